import type { LabelSelector } from './meta.ts';
import { checkLabelValue, checkQualifiedName } from './names.ts';

/** One clause of a label selector; a selector is the conjunction of its clauses. */
export interface Requirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;

export const hasLabel = (labels: Labels | undefined, key: string): boolean =>
  labels !== undefined && Object.hasOwn(labels, key);

export function matches(requirements: readonly Requirement[], labels: Labels | undefined): boolean {
  return requirements.every((requirement) => matchesOne(requirement, labels));
}

function matchesOne({ key, operator, values }: Requirement, labels: Labels | undefined): boolean {
  const has = hasLabel(labels, key);
  const value = has ? labels![key]! : '';
  switch (operator) {
    case 'In':
      return has && values.includes(value);
    case 'NotIn':
      return !has || !values.includes(value);
    case 'Exists':
      return has;
    case 'DoesNotExist':
      return !has;
    case 'Gt':
      return has && /^-?\d+$/.test(value) && Number(value) > Number(values[0]);
    case 'Lt':
      return has && /^-?\d+$/.test(value) && Number(value) < Number(values[0]);
  }
}

/** A LabelSelector object as requirements. An absent selector matches nothing, an empty one everything. */
export function fromLabelSelector(selector: LabelSelector | undefined): Requirement[] | undefined {
  if (!selector) return undefined;
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]): Requirement => ({
      key,
      operator: 'In',
      values: [value],
    })),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values }): Requirement => ({
      key,
      operator,
      values: values ?? [],
    })),
  ];
}

export function matchesLabelSelector(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  const requirements = fromLabelSelector(selector);
  return requirements !== undefined && matches(requirements, labels);
}

/** The text form: `app=web,tier in (a,b),!canary`. */
export function formatSelector(requirements: readonly Requirement[]): string {
  return requirements
    .map(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
          return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${[...values].sort().join(',')})`;
        case 'NotIn':
          return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${[...values].sort().join(',')})`;
        case 'Exists':
          return key;
        case 'DoesNotExist':
          return `!${key}`;
        case 'Gt':
          return `${key}>${values[0]}`;
        case 'Lt':
          return `${key}<${values[0]}`;
      }
    })
    .join(',');
}

const tokens = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y;

/** Reads `--selector`. Throws an Error whose message Kubernetes' parser would give. */
export function parseLabelSelector(text: string): Requirement[] {
  const words = tokenize(text);
  const out: Requirement[] = [];
  let at = 0;
  const next = () => words[at++] ?? '';
  while (at < words.length) {
    out.push(parseRequirement(next, () => words[at] ?? ''));
    if (at >= words.length) break;
    const separator = next();
    if (separator !== ',') throw new Error(`found '${separator}', expected: ',' or 'end of string'`);
    if (at >= words.length) throw new Error("found '', expected: identifier after ','");
  }
  return out;
}

function tokenize(text: string): string[] {
  const words: string[] = [];
  tokens.lastIndex = 0;
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) words.push(match[1]!);
  return words;
}

function parseRequirement(next: () => string, peek: () => string): Requirement {
  let key = next();
  const negated = key === '!';
  if (negated) key = next();
  if (/^(==|[=!(),<>]|!=)?$/.test(key))
    throw new Error(`found '${key}', expected: ${negated ? 'identifier' : "!, identifier, or 'end of string'"}`);
  checkKey(key);
  if (negated) return { key, operator: 'DoesNotExist', values: [] };
  if (peek() === '' || peek() === ',') return { key, operator: 'Exists', values: [] };
  const operator = next();
  if (operator === 'in' || operator === 'notin')
    return checked({ key, operator: operator === 'in' ? 'In' : 'NotIn', values: parseSet(next, peek) });
  if (['=', '==', '!=', '<', '>'].includes(operator)) {
    const value = peek() === '' || peek() === ',' ? '' : next();
    if (operator === '<' || operator === '>') {
      if (!/^-?\d+$/.test(value)) throw new Error("for 'Gt', 'Lt' operators, the value must be an integer");
      return { key, operator: operator === '>' ? 'Gt' : 'Lt', values: [value] };
    }
    return checked({ key, operator: operator === '!=' ? 'NotIn' : 'In', values: [value] });
  }
  throw new Error(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
}

function parseSet(next: () => string, peek: () => string): string[] {
  const open = next();
  if (open !== '(') throw new Error(`found '${open}', expected: '('`);
  const values: string[] = [];
  for (;;) {
    if (peek() === ')' || peek() === ',') values.push('');
    else values.push(next());
    const after = next();
    if (after === ')') return values;
    if (after !== ',') throw new Error(`found '${after}', expected: ',' or ')'`);
  }
}

function checkKey(key: string): void {
  const [error] = checkQualifiedName(key);
  if (error) throw new Error(`key: Invalid value: ${JSON.stringify(key)}: ${error}`);
}

function checked(requirement: Requirement): Requirement {
  requirement.values.forEach((value, i) => {
    const [error] = checkLabelValue(value);
    if (error) throw new Error(`values[${i}][${requirement.key}]: Invalid value: ${JSON.stringify(value)}: ${error}`);
  });
  return requirement;
}

/** One clause of `--field-selector`. */
export interface FieldRequirement {
  field: string;
  equal: boolean;
  value: string;
}

/** Reads `status.phase=Running,spec.nodeName!=a`; backslash escapes `,`, `=` and itself. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  if (text.trim() === '') return [];
  return splitUnescaped(text).map((term) => {
    const match = /^((?:[^=!\\]|\\.)*)(!=|==|=)(.*)$/s.exec(term);
    if (!match) throw new Error(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field, operator, value] = match;
    return { field: field!.trim(), equal: operator !== '!=', value: value!.replace(/\\([\\,=])/g, '$1') };
  });
}

function splitUnescaped(text: string): string[] {
  const terms = text.match(/(?:[^,\\]|\\.)+/gs) ?? [];
  return terms.filter((term) => term !== '');
}
