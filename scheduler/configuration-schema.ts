/** What the files that say which policies apply may hold: a typing error must not pass for a wish that was heard. */
import { describe } from '../api/field-error.ts';
import { prune } from '../api/structural/prune.ts';
import type { StructuralSchema } from '../api/structural/schema.ts';
import { join, validateBySchema } from '../api/structural/validate.ts';
import type { ScoringStrategy, ShapePoint } from './plugins/resources-fit.ts';

const anything: StructuralSchema = { 'x-kubernetes-preserve-unknown-fields': true };
const text: StructuralSchema = { type: 'string' };
const flag: StructuralSchema = { type: 'boolean' };
const whole = (minimum: number, maximum?: number): StructuralSchema => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
});
const percent = whole(0, 100);
const choice = (...values: string[]): StructuralSchema => ({ type: 'string', enum: values });
const list = (items: StructuralSchema): StructuralSchema => ({ type: 'array', items });
const object = (properties: Record<string, StructuralSchema>, ...required: string[]): StructuralSchema => ({
  type: 'object',
  properties,
  required,
});
const named = (properties: Record<string, StructuralSchema> = {}) => object({ name: text, ...properties }, 'name');

const pluginSet = object({ enabled: list(named({ weight: whole(0) })), disabled: list(named()) });
const points = [
  ...['multiPoint', 'preEnqueue', 'queueSort', 'preFilter', 'filter', 'postFilter', 'preScore', 'score'],
  ...['reserve', 'permit', 'preBind', 'bind', 'postBind'],
];
const profile = object({
  schedulerName: text,
  percentageOfNodesToScore: percent,
  plugins: object(Object.fromEntries(points.map((point) => [point, pluginSet]))),
  pluginConfig: {
    ...list(named({ args: anything })),
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  },
});

/** Of kube-scheduler as a process, or of what km does in its own way. */
export const idleFields: readonly string[] = [
  ...['clientConnection', 'delayCacheUntilActive', 'enableContentionProfiling', 'enableProfiling'],
  ...['healthzBindAddress', 'leaderElection', 'metricsBindAddress', 'parallelism'],
  ...['podInitialBackoffSeconds', 'podMaxBackoffSeconds'],
];

/** Policies whose args say how long kube-scheduler waits for others, or turn on what is being tried out there. */
export const idleArgs: ReadonlySet<string> = new Set(['DynamicResources', 'VolumeBinding']);

export const configurationSchema = object({
  ...Object.fromEntries(idleFields.map((name) => [name, anything])),
  percentageOfNodesToScore: percent,
  profiles: list(profile),
  extenders: anything,
});

const shape: StructuralSchema = {
  ...list(object({ utilization: percent, score: whole(0, 10) }, 'utilization', 'score')),
  minItems: 1,
};
const resources = list(named({ weight: whole(1, 100) }));

export const policySchema = object({
  predicates: list(
    named({
      argument: object({
        serviceAffinity: object({ labels: list(text) }, 'labels'),
        labelsPresence: object({ labels: list(text), presence: flag }, 'labels'),
      }),
    }),
  ),
  priorities: list(
    named({
      weight: whole(1),
      argument: object({
        serviceAntiAffinity: object({ label: text }, 'label'),
        labelPreference: object({ label: text, presence: flag }, 'label'),
        requestedToCapacityRatioArguments: object({ shape, resources }, 'shape'),
      }),
    }),
  ),
  hardPodAffinitySymmetricWeight: percent,
  alwaysCheckAllPredicates: flag,
  extenders: anything,
});

const requirements = list(
  object(
    { key: text, operator: choice('In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'), values: list(text) },
    'key',
    'operator',
  ),
);
const term = object({ matchExpressions: requirements, matchFields: requirements });
const honored = choice('Honor', 'Ignore');
const constraint = object(
  {
    maxSkew: whole(1),
    topologyKey: text,
    whenUnsatisfiable: choice('DoNotSchedule', 'ScheduleAnyway'),
    minDomains: whole(1),
    nodeAffinityPolicy: honored,
    nodeTaintsPolicy: honored,
  },
  ...['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
);
const nothing = object({});

const argsSchemas: Readonly<Record<string, StructuralSchema>> = {
  ...Object.fromEntries([...idleArgs].map((name) => [name, anything])),
  DefaultPreemption: object({ minCandidateNodesPercentage: percent, minCandidateNodesAbsolute: whole(0) }),
  InterPodAffinity: object({ hardPodAffinityWeight: percent, ignorePreferredTermsOfExistingPods: flag }),
  NodeAffinity: object({
    addedAffinity: object({
      requiredDuringSchedulingIgnoredDuringExecution: object({ nodeSelectorTerms: list(term) }, 'nodeSelectorTerms'),
      preferredDuringSchedulingIgnoredDuringExecution: list(
        object({ weight: whole(1, 100), preference: term }, 'weight', 'preference'),
      ),
    }),
  }),
  NodeLabel: object({
    presentLabels: list(text),
    absentLabels: list(text),
    presentLabelsPreference: list(text),
    absentLabelsPreference: list(text),
  }),
  NodeResourcesBalancedAllocation: object({ resources }),
  NodeResourcesFit: object({
    ignoredResources: list(text),
    ignoredResourceGroups: list(text),
    scoringStrategy: object({
      type: choice('LeastAllocated', 'MostAllocated', 'RequestedToCapacityRatio'),
      resources,
      requestedToCapacityRatio: object({ shape }, 'shape'),
    }),
  }),
  PodTopologySpread: object({ defaultConstraints: list(constraint), defaultingType: choice('System', 'List') }),
  SelectorSpread: object({ servicesOnly: flag }),
  ServiceAffinity: object({ affinityLabels: list(text), antiAffinityLabelsPreference: list(text) }),
};

/** Throws an Error that names the field and what is wrong with it. */
export function check(value: unknown, schema: StructuralSchema, field = ''): void {
  const [unknown] = prune(structuredClone(value), schema);
  if (unknown !== undefined) throw new Error(`${join(field, unknown)}: there is no such field`);
  const [error] = validateBySchema(value, schema, field);
  if (error) throw new Error(`${error.field}: ${describe(error)}`);
}

/** The args of one of our policies. */
export function checkArgs(name: string, args: object, field: string): void {
  check(args, argsSchemas[name] ?? nothing, field);
  const { scoringStrategy, defaultingType, defaultConstraints } = args as {
    scoringStrategy?: ScoringStrategy;
    defaultingType?: string;
    defaultConstraints?: object[];
  };
  const ratio = `${field}.scoringStrategy.requestedToCapacityRatio`;
  const points = scoringStrategy?.requestedToCapacityRatio?.shape;
  if (scoringStrategy?.type === 'RequestedToCapacityRatio' && !points)
    throw new Error(`${ratio}: Required value: the type RequestedToCapacityRatio needs a shape`);
  checkShape(points ?? [], `${ratio}.shape`);
  if (defaultConstraints?.length && defaultingType !== 'List')
    throw new Error(`${field}.defaultConstraints: Forbidden: they need the defaultingType List`);
}

export function checkShape(points: readonly ShapePoint[], field: string): void {
  for (const [i, { utilization }] of points.entries())
    if (i > 0 && utilization <= points[i - 1]!.utilization)
      throw new Error(`${field}[${i}].utilization: Invalid value: ${utilization}: must be more than the one before`);
}

/** Where a file asks for servers that are to be asked about nodes. */
export function refuseExtenders({ extenders }: { extenders?: unknown }): void {
  if (Array.isArray(extenders) && extenders.length > 0)
    throw new Error(
      'extenders: Forbidden: km asks no other servers where pods go; a policy of your own can be a module beside this file, which a KubeSchedulerConfiguration enables by its path',
    );
}
