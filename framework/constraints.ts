import { attributeLabel } from '../api/kinds/names.ts';
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod } from '../api/kinds/pod.ts';
import type { AttributeConstraint } from '../mesos/scheduler.ts';

/** All of it must hold for an agent to be offered. */
export type Group = readonly AttributeConstraint[];

/** What a pod demands of a node's label or, by `metadata.name`, of its name; without a value: that it has the label. */
interface Condition {
  label: string;
  value: string | undefined;
}

/** One way in which a pod may be placed; without conditions: anywhere. */
type Alternative = readonly Condition[];

/** More of them would cost the master more than the offers do. */
const mostGroups = 64;

const nodeName = 'metadata.name';
const hostname = 'kubernetes.io/hostname';
const places = { 'topology.kubernetes.io/region': 'REGION', 'topology.kubernetes.io/zone': 'ZONE' } as const;
const anywhere: readonly Alternative[] = [[]];

/**
 * Which agents are of use to these pods, as offer constraints can say it; undefined: any may be. Only what Mesos and the
 * labels of nodes are sure to agree on is asked for, so that no agent is held back on which one of the pods would fit.
 * `hostOf` tells the host name of a node's agent.
 */
export function groupsFor(
  pods: Iterable<Pod>,
  hostOf: (node: string) => string | undefined,
): readonly Group[] | undefined {
  const alternatives = new Map<string, Alternative>();
  for (const pod of pods) {
    for (const alternative of alternativesOf(pod)) {
      if (alternative.length === 0) return undefined;
      alternatives.set(JSON.stringify(alternative), alternative);
    }
    if (alternatives.size > mostGroups) return undefined;
  }
  const groups = [...alternatives.values()].flatMap((alternative) => groupsOf(alternative, hostOf));
  if (groups.length === 0 || groups.length > mostGroups || groups.some((group) => group.length === 0)) return undefined;
  return groups;
}

const known = new WeakMap<Pod, readonly Alternative[]>();

function alternativesOf(pod: Pod): readonly Alternative[] {
  let alternatives = known.get(pod);
  if (!alternatives) known.set(pod, (alternatives = read(pod)));
  return alternatives;
}

function read({ spec }: Pod): readonly Alternative[] {
  const own = spec.nodeName ? [{ label: nodeName, value: spec.nodeName }] : [];
  const selected = Object.entries(spec.nodeSelector ?? {}).map(([label, value]) => ({ label, value }));
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return both([[...own, ...selected].filter(isOfAgent)], terms?.flatMap(ofTerm) ?? anywhere);
}

const ofTerm = ({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): readonly Alternative[] =>
  [...matchExpressions, ...matchFields].map(ofRequirement).reduce(both, anywhere);

/** What is asked to be absent is no demand: a node may lack a label whose attribute its agent has. */
function ofRequirement({ key: label, operator, values = [] }: NodeSelectorRequirement): readonly Alternative[] {
  if (!isOfAgent({ label })) return anywhere;
  if (operator === 'In') return values.map((value) => [{ label, value }]);
  return operator === 'NotIn' || operator === 'DoesNotExist' ? anywhere : [[{ label, value: undefined }]];
}

/** Each with each; where these are too many, one side alone: that admits more. */
function both(a: readonly Alternative[], b: readonly Alternative[]): readonly Alternative[] {
  if (a.length * b.length > mostGroups) return a.length < b.length ? a : b;
  return a.flatMap((one) => b.map((other) => [...one, ...other]));
}

const isOfAgent = ({ label }: Pick<Condition, 'label'>): boolean =>
  label === nodeName || label === hostname || label in places || label.startsWith(attributeLabel(''));

/** Where an agent has no fault domain, region and zone are what somebody wrote on its node: it is not held back. */
function groupsOf(alternative: Alternative, hostOf: (node: string) => string | undefined): Group[] {
  const others = alternative.flatMap((condition) => onAgent(condition, hostOf));
  const where = alternative.flatMap(({ label, value }): AttributeConstraint[] =>
    isPlace(label) && value !== undefined
      ? [{ selector: { pseudoattribute_type: places[label] }, predicate: { text_equals: { value } } }]
      : [],
  );
  if (where.length === 0) return [others];
  const nowhere = where.map(({ selector }) => ({ selector, predicate: { not_exists: {} } }));
  return [
    [...others, ...where],
    [...others, ...nowhere],
  ];
}

function onAgent(
  { label, value }: Condition,
  hostOf: (node: string) => string | undefined,
): readonly AttributeConstraint[] {
  if (isPlace(label)) return [];
  if (label === nodeName || label === hostname) {
    const host = value === undefined ? undefined : hostOf(value);
    if (host === undefined) return [];
    return [{ selector: { pseudoattribute_type: 'HOSTNAME' }, predicate: { text_equals: { value: host } } }];
  }
  const selector = { attribute_name: label.slice(attributeLabel('').length) };
  return [{ selector, predicate: value === undefined ? { exists: {} } : { text_equals: { value } } }];
}

const isPlace = (label: string): label is keyof typeof places => label in places;
