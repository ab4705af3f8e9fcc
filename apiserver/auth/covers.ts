import type { PolicyRule } from '../../api/rbac.ts';

/** The rules of `wanted` that `held` does not give, each broken down to one verb on one thing. */
export function uncovered(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(atoms).filter((atom) => !held.some((rule) => covers(rule, atom)));
}

function atoms(rule: PolicyRule): PolicyRule[] {
  const urls = (rule.nonResourceURLs ?? []).map((url): Omit<PolicyRule, 'verbs'> => ({ nonResourceURLs: [url] }));
  const names = rule.resourceNames?.length ? rule.resourceNames.map((name) => [name]) : [undefined];
  const resources = (rule.apiGroups ?? []).flatMap((group) =>
    (rule.resources ?? []).flatMap((resource) =>
      names.map((resourceNames): Omit<PolicyRule, 'verbs'> => ({
        apiGroups: [group],
        resources: [resource],
        ...(resourceNames ? { resourceNames } : {}),
      })),
    ),
  );
  return rule.verbs.flatMap((verb) => [...resources, ...urls].map((what) => ({ verbs: [verb], ...what })));
}

const has = (words: readonly string[] | undefined, word: string): boolean =>
  words?.includes('*') === true || words?.includes(word) === true;

function covers(rule: PolicyRule, atom: PolicyRule): boolean {
  if (!has(rule.verbs, atom.verbs[0]!)) return false;
  const url = atom.nonResourceURLs?.[0];
  if (url !== undefined)
    return (rule.nonResourceURLs ?? []).some((own) =>
      own.endsWith('*') ? url.startsWith(own.slice(0, -1)) : own === url,
    );
  const resource = atom.resources![0]!;
  const [, subresource] = resource.split('/');
  const coversResource =
    has(rule.resources, resource) || (subresource !== undefined && rule.resources?.includes(`*/${subresource}`));
  const name = atom.resourceNames?.[0];
  const coversName = !rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name));
  return has(rule.apiGroups, atom.apiGroups![0]!) && Boolean(coversResource) && coversName;
}

/** A rule as Kubernetes names it in a refusal. */
export function describeRule(rule: PolicyRule): string {
  const words = (list: readonly string[]) => list.map((word) => JSON.stringify(word)).join(', ');
  const parts = [
    ...(rule.nonResourceURLs?.length ? [`NonResourceURLs:[${words(rule.nonResourceURLs)}]`] : []),
    ...(rule.apiGroups?.length ? [`APIGroups:[${words(rule.apiGroups)}]`] : []),
    ...(rule.resources?.length ? [`Resources:[${words(rule.resources)}]`] : []),
    ...(rule.resourceNames?.length ? [`ResourceNames:[${words(rule.resourceNames)}]`] : []),
    `Verbs:[${words(rule.verbs)}]`,
  ];
  return `{${parts.join(', ')}}`;
}
