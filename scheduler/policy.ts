import type { Profile } from './configuration.ts';
import { checkShape } from './configuration-schema.ts';
import { everyNode } from './decide.ts';
import type { Plugin, Weighted } from './plugin.ts';
import { plugins } from './plugins/index.ts';
import type { ShapePoint } from './plugins/resources-fit.ts';
import { part } from './profile.ts';

/** The file format of kube-scheduler before 1.23: `{"kind":"Policy","predicates":[…],"priorities":[…]}`. */
export interface Policy {
  kind: 'Policy';
  predicates?: Predicate[];
  priorities?: Priority[];
  hardPodAffinitySymmetricWeight?: number;
}

interface Predicate {
  name: string;
  argument?: {
    serviceAffinity?: { labels: string[] };
    labelsPresence?: { labels: string[]; presence: boolean };
  };
}

interface Priority {
  name: string;
  weight?: number;
  argument?: {
    labelPreference?: { label: string; presence: boolean };
    serviceAntiAffinity?: { label: string };
    requestedToCapacityRatioArguments?: { shape?: ShapePoint[]; resources?: { name: string; weight?: number }[] };
  };
}

const general = ['NodeResourcesFit', 'NodeName', 'NodePorts', 'NodeAffinity'];
/** Always applied, as kube-scheduler did: what the cluster needs to work at all. */
const mandatory = ['NodeUnschedulable', 'TaintToleration', 'DynamicResources'];

const predicates: Readonly<Record<string, string[]>> = {
  PodFitsResources: ['NodeResourcesFit'],
  PodFitsHost: ['NodeName'],
  HostName: ['NodeName'],
  PodFitsPorts: ['NodePorts'],
  PodFitsHostPorts: ['NodePorts'],
  PodSelectorMatches: ['NodeAffinity'],
  MatchNodeSelector: ['NodeAffinity'],
  GeneralPredicates: general,
  PodToleratesNodeTaints: ['TaintToleration'],
  CheckNodeUnschedulable: ['NodeUnschedulable'],
  MatchInterPodAffinity: ['InterPodAffinity'],
  EvenPodsSpread: ['PodTopologySpread'],
  NoDiskConflict: ['VolumeRestrictions'],
  NoVolumeZoneConflict: ['VolumeZone'],
  CheckVolumeBinding: ['VolumeBinding'],
  NoVolumeNodeConflict: ['VolumeBinding'],
  MaxCSIVolumeCountPred: ['NodeVolumeLimits'],
  // Such disks are volumes of CSI drivers by now.
  MaxEBSVolumeCount: ['NodeVolumeLimits'],
  MaxGCEPDVolumeCount: ['NodeVolumeLimits'],
  MaxAzureDiskVolumeCount: ['NodeVolumeLimits'],
  MaxCinderVolumeCount: ['NodeVolumeLimits'],
  // A node says by taints how it is.
  CheckNodeCondition: ['TaintToleration'],
  CheckNodeMemoryPressure: ['TaintToleration'],
  CheckNodeDiskPressure: ['TaintToleration'],
  CheckNodePIDPressure: ['TaintToleration'],
};

const usualPredicates = [
  'NoDiskConflict',
  'NoVolumeZoneConflict',
  'MaxCSIVolumeCountPred',
  'CheckVolumeBinding',
  'GeneralPredicates',
  'PodToleratesNodeTaints',
  'MatchInterPodAffinity',
  'EvenPodsSpread',
];

const priorities: Readonly<Record<string, [plugin: string, args?: object]>> = {
  LeastRequestedPriority: ['NodeResourcesFit', { scoringStrategy: { type: 'LeastAllocated' } }],
  MostRequestedPriority: ['NodeResourcesFit', { scoringStrategy: { type: 'MostAllocated' } }],
  BalancedResourceAllocation: ['NodeResourcesBalancedAllocation'],
  SelectorSpread: ['SelectorSpread'],
  SelectorSpreadPriority: ['SelectorSpread'],
  ServiceSpreadingPriority: ['SelectorSpread', { servicesOnly: true }],
  EqualPriority: ['EqualPriority'],
  NodeAffinityPriority: ['NodeAffinity'],
  TaintTolerationPriority: ['TaintToleration'],
  InterPodAffinityPriority: ['InterPodAffinity'],
  ImageLocalityPriority: ['ImageLocality'],
  EvenPodsSpreadPriority: ['PodTopologySpread'],
};

/** Those that other parts of a cluster would have to serve, and nobody does. */
const idle: Readonly<Record<string, string>> = {
  NodePreferAvoidPodsPriority: 'nodes do not say any more which pods they would rather not have',
};

const usualPriorities: Priority[] = [
  'LeastRequestedPriority',
  'BalancedResourceAllocation',
  'SelectorSpreadPriority',
  'NodeAffinityPriority',
  'TaintTolerationPriority',
  'InterPodAffinityPriority',
  'ImageLocalityPriority',
].map((name) => ({ name, weight: 1 }));

/** Throws an Error that names what is not known. */
export function fromPolicy(policy: Policy): Profile {
  const { hardPodAffinitySymmetricWeight = 1 } = policy;
  const make = (name: string, args?: object): Plugin =>
    plugins.get(name)!(name === 'InterPodAffinity' ? { hardPodAffinityWeight: hardPodAffinitySymmetricWeight } : args);
  const asked = (policy.predicates ?? usualPredicates.map((name) => ({ name }))).flatMap(filterOf);
  const all = [...mandatory.map((name): [string, object?] => [name]), ...asked];
  const filters = new Map(
    all.map(([name, args]) => [JSON.stringify([name, args]), part(make(name, args), true, false)]),
  );
  const wanted = policy.priorities ?? usualPriorities;
  const scores = wanted
    .filter(({ name }) => !(name in idle))
    .map((priority): Weighted => {
      const [name, args] = scoreOf(priority);
      return { plugin: part(make(name, args), false, true), weight: priority.weight ?? 1 };
    });
  return {
    schedulerName: 'default-scheduler',
    plugins: [...[...filters.values()].map((plugin) => ({ plugin, weight: 0 })), ...scores],
    percentageOfNodesToScore: everyNode,
    preempts: true,
    warnings: wanted.flatMap(({ name }) => (name in idle ? [`the priority ${name} does nothing: ${idle[name]}`] : [])),
  };
}

function filterOf({ name, argument }: Predicate): [plugin: string, args?: object][] {
  if (argument?.serviceAffinity) return [['ServiceAffinity', { affinityLabels: argument.serviceAffinity.labels }]];
  const presence = argument?.labelsPresence;
  if (presence) return [['NodeLabel', { [presence.presence ? 'presentLabels' : 'absentLabels']: presence.labels }]];
  const known = predicates[name];
  if (!known)
    throw new Error(
      unknown('predicate', name, [...Object.keys(predicates), 'CheckNodeLabelPresence', 'CheckServiceAffinity']),
    );
  return known.map((plugin) => [plugin]);
}

function scoreOf({ name, argument }: Priority): [plugin: string, args?: object] {
  const label = argument?.labelPreference;
  if (label)
    return ['NodeLabel', { [label.presence ? 'presentLabelsPreference' : 'absentLabelsPreference']: [label.label] }];
  const spread = argument?.serviceAntiAffinity;
  if (spread) return ['ServiceAffinity', { antiAffinityLabelsPreference: [spread.label] }];
  const ratio = argument?.requestedToCapacityRatioArguments;
  if (ratio) {
    const { shape = [], resources } = ratio;
    checkShape(shape, `${name}: requestedToCapacityRatioArguments.shape`);
    const strategy = {
      type: 'RequestedToCapacityRatio',
      requestedToCapacityRatio: { shape },
      ...(resources ? { resources } : {}),
    };
    return ['NodeResourcesFit', { scoringStrategy: strategy }];
  }
  const known = priorities[name];
  if (!known)
    throw new Error(
      unknown('priority', name, [...Object.keys(priorities), ...Object.keys(idle), 'CalculateNodeLabelPriority']),
    );
  return known;
}

const unknown = (what: string, name: string, names: readonly string[]): string =>
  `there is no ${what} "${name}", or its argument is missing; there are ${names.join(', ')}`;
