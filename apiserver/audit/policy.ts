import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Attributes } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';

export const auditLevels = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export type AuditLevel = (typeof auditLevels)[number];
export const auditStages = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type AuditStage = (typeof auditStages)[number];

interface AuditRule {
  level: AuditLevel;
  users?: string[];
  userGroups?: string[];
  verbs?: string[];
  resources?: { group?: string; resources?: string[]; resourceNames?: string[] }[];
  namespaces?: string[];
  nonResourceURLs?: string[];
  omitStages?: AuditStage[];
}

/** How much is told of one request, and at which points. */
export interface AuditDecision {
  level: AuditLevel;
  omitted: ReadonlySet<AuditStage>;
}

const nothing: AuditDecision = { level: 'None', omitted: new Set() };

/**
 * Which requests are logged: the first rule that matches says how much; what none matches is not logged.
 * https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
 */
export class AuditPolicy {
  readonly #rules: readonly { rule: AuditRule; decision: AuditDecision }[];

  constructor(rules: readonly AuditRule[], omitStages: readonly AuditStage[] = []) {
    this.#rules = rules.map((rule) => ({
      rule,
      decision: { level: rule.level, omitted: new Set([...omitStages, ...(rule.omitStages ?? [])]) },
    }));
  }

  /** Throws an Error that names the file and what it should hold. */
  static read(path: string): AuditPolicy {
    const value = (parse(readFileSync(path, 'utf8')) ?? {}) as {
      apiVersion?: string;
      kind?: string;
      rules?: AuditRule[];
      omitStages?: AuditStage[];
    };
    if (value.kind !== 'Policy' || value.apiVersion !== 'audit.k8s.io/v1')
      throw new Error(`${path} should hold a Policy of audit.k8s.io/v1`);
    if (!value.rules?.length) throw new Error(`${path} has no rules`);
    for (const [i, { level, omitStages = [] }] of value.rules.entries()) {
      if (!auditLevels.includes(level))
        throw new Error(`${path}: rules[${i}].level should be one of ${auditLevels.join(', ')}, not "${level}"`);
      checkStages(omitStages, `${path}: rules[${i}].omitStages`);
    }
    checkStages(value.omitStages ?? [], `${path}: omitStages`);
    return new AuditPolicy(value.rules, value.omitStages);
  }

  decide(user: User, attributes: Attributes): AuditDecision {
    return this.#rules.find(({ rule }) => matches(rule, user, attributes))?.decision ?? nothing;
  }
}

function checkStages(stages: readonly AuditStage[], where: string): void {
  for (const stage of stages)
    if (!auditStages.includes(stage))
      throw new Error(`${where} should list some of ${auditStages.join(', ')}, not "${stage}"`);
}

function matches(rule: AuditRule, user: User, a: Attributes): boolean {
  if (rule.users?.length && !rule.users.includes(user.name)) return false;
  if (rule.userGroups?.length && !rule.userGroups.some((group) => user.groups.includes(group))) return false;
  if (rule.verbs?.length && !rule.verbs.includes(a.verb)) return false;
  if (!rule.namespaces?.length && !rule.resources?.length && !rule.nonResourceURLs?.length) return true;
  if (a.path !== '')
    return (rule.nonResourceURLs ?? []).some((url) =>
      url.endsWith('*') ? a.path.startsWith(url.slice(0, -1)) : a.path === url,
    );
  if (rule.namespaces?.length && !rule.namespaces.includes(a.namespace)) return false;
  if (!rule.resources?.length) return !rule.nonResourceURLs?.length;
  return rule.resources.some(
    ({ group = '', resources = [], resourceNames = [] }) =>
      group === a.group &&
      (resources.length === 0 || resources.some((pattern) => isResource(pattern, a))) &&
      (resourceNames.length === 0 || resourceNames.includes(a.name)),
  );
}

/** A resource, a subresource, all subresources of one, one subresource of all, or everything. */
function isResource(pattern: string, { resource, subresource }: Attributes): boolean {
  if (pattern === '*') return true;
  const [wanted, sub] = pattern.split('/');
  if (sub === undefined) return wanted === resource && subresource === '';
  return (wanted === '*' || wanted === resource) && (sub === subresource || (sub === '*' && subresource !== ''));
}
