import { equal } from '../../lib/equal.ts';
import { bad, forbiddenField } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { podColumns } from '../pod-columns.ts';
import { defaultPodSpec } from '../pod-spec-defaults.ts';
import { validatePodSpec } from '../pod-spec-validate.ts';
import { compareQuantities } from '../quantity.ts';

export interface Pod extends KubeObject {
  spec: PodSpec;
  status?: PodStatus;
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  ephemeralContainers?: Container[];
  volumes?: Volume[];
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  terminationGracePeriodSeconds?: number;
  activeDeadlineSeconds?: number;
  dnsPolicy?: string;
  dnsConfig?: { nameservers?: string[]; searches?: string[]; options?: { name: string; value?: string }[] };
  nodeSelector?: Record<string, string>;
  serviceAccountName?: string;
  nodeName?: string;
  enableServiceLinks?: boolean;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  shareProcessNamespace?: boolean;
  hostname?: string;
  subdomain?: string;
  affinity?: Affinity;
  schedulerName?: string;
  tolerations?: Toleration[];
  priorityClassName?: string;
  priority?: number;
  preemptionPolicy?: 'PreemptLowerPriority' | 'Never';
  topologySpreadConstraints?: TopologySpreadConstraint[];
  overhead?: Record<string, string>;
  securityContext?: { runAsUser?: number; runAsGroup?: number; fsGroup?: number; supplementalGroups?: number[] };
  imagePullSecrets?: { name: string }[];
  readinessGates?: { conditionType: string }[];
  schedulingGates?: { name: string }[];
  runtimeClassName?: string;
}

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  ports?: ContainerPort[];
  env?: EnvVar[];
  envFrom?: { prefix?: string; configMapRef?: LocalRef; secretRef?: LocalRef }[];
  resources?: ResourceRequirements;
  volumeMounts?: VolumeMount[];
  lifecycle?: { postStart?: unknown; preStop?: unknown };
  terminationMessagePath?: string;
  terminationMessagePolicy?: 'File' | 'FallbackToLogsOnError';
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  livenessProbe?: unknown;
  readinessProbe?: unknown;
  startupProbe?: unknown;
  securityContext?: { runAsUser?: number; runAsGroup?: number; privileged?: boolean; readOnlyRootFilesystem?: boolean };
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  /** On an init container, Always makes it a sidecar. */
  restartPolicy?: 'Always';
}

export interface LocalRef {
  name: string;
  optional?: boolean;
}

export interface ContainerPort {
  name?: string;
  hostPort?: number;
  containerPort: number;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  hostIP?: string;
}

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: {
    fieldRef?: { apiVersion?: string; fieldPath: string };
    resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
    configMapKeyRef?: LocalRef & { key: string };
    secretKeyRef?: LocalRef & { key: string };
  };
}

export interface ResourceRequirements {
  limits?: Record<string, string>;
  requests?: Record<string, string>;
}

export interface VolumeMount {
  name: string;
  mountPath: string;
  subPath?: string;
  subPathExpr?: string;
  readOnly?: boolean;
}

/** One volume: exactly one source beside the name. */
export interface Volume {
  name: string;
  emptyDir?: { medium?: string; sizeLimit?: string };
  hostPath?: { path: string; type?: string };
  configMap?: { name?: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  secret?: { secretName?: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  [source: string]: unknown;
}

export interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

export interface Toleration {
  key?: string;
  operator?: 'Exists' | 'Equal';
  value?: string;
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  tolerationSeconds?: number;
}

export interface NodeSelectorTerm {
  matchExpressions?: NodeSelectorRequirement[];
  matchFields?: NodeSelectorRequirement[];
}

export interface NodeSelectorRequirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values?: string[];
}

export interface Affinity {
  nodeAffinity?: {
    requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] };
    preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; preference: NodeSelectorTerm }[];
  };
  podAffinity?: PodAffinity;
  podAntiAffinity?: PodAffinity;
}

export interface PodAffinity {
  requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[];
  preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; podAffinityTerm: PodAffinityTerm }[];
}

export interface PodAffinityTerm {
  labelSelector?: LabelSelector;
  topologyKey: string;
  namespaces?: string[];
  namespaceSelector?: LabelSelector;
  matchLabelKeys?: string[];
  mismatchLabelKeys?: string[];
}

export interface TopologySpreadConstraint {
  maxSkew: number;
  topologyKey: string;
  whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway';
  labelSelector?: LabelSelector;
  minDomains?: number;
  nodeAffinityPolicy?: 'Honor' | 'Ignore';
  nodeTaintsPolicy?: 'Honor' | 'Ignore';
  matchLabelKeys?: string[];
}

export interface PodStatus {
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  conditions?: PodCondition[];
  message?: string;
  reason?: string;
  nominatedNodeName?: string;
  hostIP?: string;
  hostIPs?: { ip: string }[];
  podIP?: string;
  podIPs?: { ip: string }[];
  startTime?: string;
  initContainerStatuses?: ContainerStatus[];
  containerStatuses?: ContainerStatus[];
  ephemeralContainerStatuses?: ContainerStatus[];
  qosClass?: 'Guaranteed' | 'Burstable' | 'BestEffort';
  observedGeneration?: number;
}

export type PodCondition = Condition & { lastProbeTime?: string | null };

export interface ContainerStatus {
  name: string;
  state: ContainerState;
  lastState: ContainerState;
  ready: boolean;
  restartCount: number;
  image: string;
  imageID: string;
  containerID?: string;
  started?: boolean;
}

/** Exactly one of the three is set; none means waiting. */
export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: {
    exitCode: number;
    signal?: number;
    reason?: string;
    message?: string;
    startedAt?: string;
    finishedAt?: string;
    containerID?: string;
  };
}

export const Pod = kind<Pod>({
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  short: ['po'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'binding', 'eviction', 'log', 'exec', 'attach', 'portforward'],
  defaults: (pod) => {
    pod.spec ??= { containers: [] };
    defaultPodSpec(pod.spec);
    (pod.spec as { enableServiceLinks?: boolean }).enableServiceLinks ??= true;
  },
  prepareCreate: (pod) => {
    pod.status = { phase: 'Pending', qosClass: qosClass(pod.spec) };
  },
  prepareStatus: (pod, old) => {
    if (old.metadata.ownerReferences) pod.metadata.ownerReferences = old.metadata.ownerReferences;
    pod.status ??= {};
    pod.status.qosClass ??= old.status?.qosClass ?? qosClass(pod.spec);
  },
  validate: (pod) => validatePodSpec(pod.spec, 'spec'),
  validateUpdate: validatePodUpdate,
  gracePeriodSeconds: (pod) =>
    pod.spec.nodeName && !isTerminal(pod) ? Math.max(1, pod.spec.terminationGracePeriodSeconds ?? 30) : 0,
  columns: podColumns,
  selectableFields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIP ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
  },
});

/** The container runs no more and never will: the pod has reached its end. */
export const isTerminal = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

/** Who is evicted first: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const all = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const set = (amounts: Record<string, string> | undefined, name: string) =>
    amounts?.[name] !== undefined && compareQuantities(amounts[name], '0') > 0;
  const some = all.some(({ resources }) =>
    ['cpu', 'memory'].some((name) => set(resources?.limits, name) || set(resources?.requests, name)),
  );
  if (!some) return 'BestEffort';
  const guaranteed = all.every(({ resources }) =>
    ['cpu', 'memory'].every(
      (name) =>
        set(resources?.limits, name) &&
        compareQuantities(resources?.requests?.[name] ?? resources!.limits![name]!, resources!.limits![name]!) === 0,
    ),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

const podUpdateRule =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  if (pod.spec.containers.length !== old.spec.containers.length)
    errors.push(forbiddenField('spec.containers', 'pod updates may not add or remove containers'));
  const before = old.spec.activeDeadlineSeconds;
  const after = pod.spec.activeDeadlineSeconds;
  if (before !== undefined && (after === undefined || after > before))
    errors.push(bad('spec.activeDeadlineSeconds', after ?? '', 'must be less than or equal to previous value'));
  const lost = (old.spec.tolerations ?? []).filter(
    (one) =>
      !(pod.spec.tolerations ?? []).some((other) =>
        equal({ ...one, tolerationSeconds: 0 }, { ...other, tolerationSeconds: 0 }),
      ),
  );
  if (lost.length > 0)
    errors.push(
      forbiddenField('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'),
    );
  const gates = new Set((old.spec.schedulingGates ?? []).map((gate) => gate.name));
  for (const [i, gate] of (pod.spec.schedulingGates ?? []).entries())
    if (!gates.has(gate.name))
      errors.push(
        forbiddenField(
          `spec.schedulingGates[${i}].name`,
          `only deletion is allowed, but found new scheduling gate '${gate.name}'`,
        ),
      );
  if (errors.length === 0 && !equal(fixedPart(pod, old), fixedPart(old, old)))
    errors.push(forbiddenField('spec', podUpdateRule));
  return errors;
}

/** A pod's spec with everything that may change taken from `old`. */
function fixedPart({ spec }: Pod, old: Pod): PodSpec {
  const images = (containers: Container[] | undefined, from: Container[] | undefined) =>
    containers?.map((c, i) => ({ ...c, image: from?.[i]?.image ?? '' }));
  const { initContainers, activeDeadlineSeconds: _, tolerations: __, schedulingGates: ___, ...rest } = spec;
  const init = images(initContainers, old.spec.initContainers);
  return {
    ...rest,
    containers: images(spec.containers, old.spec.containers)!,
    ...(init ? { initContainers: init } : {}),
  };
}
