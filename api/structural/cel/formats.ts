import { Optional, type Environment } from '@marcbachmann/cel-js';
import { checkDns1035, checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from '../../names.ts';
import { hasFormat } from '../formats.ts';
import { define, defineNamespace, defineType } from './define.ts';

const type = 'kubernetes.NamedFormat';

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library */
export function formats(environment: Environment): void {
  const all = new Map(Object.entries(checks).map(([name, check]) => [name, new Format(check)]));
  defineType(environment, type, Format, (a, b) => a === b);
  define(environment, {
    [`${type}.validate(string): optional<list<string>>`]: ({ check }: Format, text: string) => {
      const wrong = check(text);
      return wrong.length > 0 ? Optional.of(wrong) : Optional.none();
    },
  });
  defineNamespace(environment, 'format', {
    [`named(string): optional<${type}>`]: (name: string) => Optional.of(all.get(name)),
    ...Object.fromEntries([...all].map(([name, format]) => [`${name}(): ${type}`, () => format])),
  });
}

/** What is wrong with a text, in Kubernetes' words. */
type Check = (text: string) => string[];

class Format {
  readonly check: Check;
  constructor(check: Check) {
    this.check = check;
  }
}

/** A name is made by adding to a prefix, so that may end with a dash. */
const asPrefix =
  (check: Check): Check =>
  (text) =>
    check(text.replace(/(?<=.)-$/, 'a'));

const has =
  (format: string, words: string): Check =>
  (text) =>
    hasFormat(format, text) ? [] : [words];

const checks: Record<string, Check> = {
  dns1123Label: checkDnsLabel,
  dns1123Subdomain: checkDnsSubdomain,
  dns1035Label: checkDns1035,
  qualifiedName: checkQualifiedName,
  dns1123LabelPrefix: asPrefix(checkDnsLabel),
  dns1123SubdomainPrefix: asPrefix(checkDnsSubdomain),
  dns1035LabelPrefix: asPrefix(checkDns1035),
  labelValue: checkLabelValue,
  uri: (text) => (hasFormat('uri', text) ? [] : [`parse ${JSON.stringify(text)}: invalid URI for request`]),
  uuid: has('uuid', 'does not match the UUID format'),
  byte: has('byte', 'invalid base64'),
  date: has('date', 'invalid date'),
  datetime: has('date-time', 'invalid datetime'),
};
