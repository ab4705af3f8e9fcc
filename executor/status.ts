import type { Container, ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from '../api/kinds/pod.ts';
import { qosClass } from '../api/qos-class.ts';
import { timestamp } from '../api/meta.ts';
import { containersOf } from './containers.ts';
import { isSidecar, restarts } from './plan.ts';
import type { Health } from './probes.ts';
import type { Resizes } from './resizes.ts';
import { type RuntimeContainer, type RuntimePod, addressesOf } from './runtime.ts';

/** Why a pod failed as a whole. */
export interface Failure {
  reason: string;
  message: string;
  /** It ran, and was ended for the sake of others. */
  disrupts?: true;
}

export interface StatusFacts {
  pod: Pod;
  runtime: RuntimePod | undefined;
  /** Scheme of container ids. */
  runtimeName: string;
  /** Why a container that does not run does not: by container name. */
  waiting: ReadonlyMap<string, { reason: string; message?: string }>;
  /** The first is the node's own. */
  hostIps: readonly [string, ...string[]];
  health: Pick<Health, 'isStarted' | 'isReady'>;
  /** Cpu and memory: what was given by container name, what runs has by container id, and a resize that is not done. */
  resizes: Pick<Resizes, 'granted' | 'applied' | 'state'>;
  /** What containers said when they ended, by container id. */
  lastWords: ReadonlyMap<string, string>;
  /** Nothing of the pod runs any more and nothing will: phases that would wait for a restart become final. */
  ended: boolean;
  /** The pod failed as a whole: `DeadlineExceeded` … */
  failure?: Failure | undefined;
  now: number;
}

type Phase = NonNullable<PodStatus['phase']>;

/** The status of a pod as a kubelet would write it. Conditions that are not a kubelet's stay as they are. */
export function podStatus(facts: StatusFacts): PodStatus {
  const { pod, runtime, hostIps, failure, now } = facts;
  const old = pod.status ?? {};
  const initContainers = (pod.spec.initContainers ?? []).map((c) => containerStatus(c, facts, 'init'));
  const containers = pod.spec.containers.map((c) => containerStatus(c, facts, 'main'));
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((c) => containerStatus(c, facts, 'ephemeral'));
  const phase = failure ? 'Failed' : phaseNow(facts, phaseOf(pod, initContainers, containers, facts.ended));
  const current = pod.spec.hostNetwork ? hostIps : runtime && addressesOf(runtime.sandbox);
  const ips = current?.map((ip) => ({ ip })) ?? old.podIPs ?? [];
  const { generation } = pod.metadata;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions: conditions(facts, phase, initContainers, containers),
    ...(failure ? { reason: failure.reason, message: failure.message } : {}),
    hostIP: hostIps[0],
    hostIPs: hostIps.map((ip) => ({ ip })),
    ...(ips[0] ? { podIP: ips[0].ip, podIPs: ips } : {}),
    startTime: old.startTime ?? timestamp(now),
    ...(pod.spec.initContainers?.length ? { initContainerStatuses: initContainers } : {}),
    containerStatuses: containers,
    ...(ephemeral.length > 0 ? { ephemeralContainerStatuses: ephemeral } : {}),
    qosClass: old.qosClass ?? qosClass(pod.spec),
  };
}

/** A pod has not come to its end before its last sidecar and ephemeral container have. */
function phaseNow({ pod, runtime, ended }: StatusFacts, phase: Phase): Phase {
  const isOver = ended || !runtime?.containers.some(({ state }) => state === 'running');
  return isOver || (phase !== 'Succeeded' && phase !== 'Failed') ? phase : (pod.status?.phase ?? 'Pending');
}

type Part = 'init' | 'main' | 'ephemeral';

function containerStatus(container: Container, facts: StatusFacts, part: Part): ContainerStatus {
  const { pod, runtime, runtimeName, health } = facts;
  const isInit = part === 'init';
  const tries = (runtime?.containers ?? [])
    .filter((c) => c.name === container.name)
    .sort((a, b) => b.attempt - a.attempt);
  const [last, previous] = tries;
  const old = statusesOf(pod).find((status) => status.name === container.name);
  if (!last) return withoutRuntime(container, facts, old, isInit);
  const why = facts.waiting.get(container.name);
  const stateOf = (c: RuntimeContainer) => containerState(c, runtimeName, facts.lastWords);
  const state = stateOf(last);
  const waits = last.state !== 'running' && !facts.ended && why !== undefined;
  const before = waits && state.terminated ? state : previous ? stateOf(previous) : (old?.lastState ?? {});
  const isDone = isInit && !isSidecar(container) && last.state === 'exited' && last.exitCode === 0;
  return {
    name: container.name,
    state: waits ? { waiting: why } : last.state === 'created' ? { waiting: { reason: 'ContainerCreating' } } : state,
    lastState: before.terminated ? { terminated: before.terminated } : {},
    ready: part === 'ephemeral' ? false : isInit && !isSidecar(container) ? isDone : health.isReady(last),
    restartCount: last.attempt,
    image: /^(sha256:|$)/.test(last.image) ? (container.image ?? '') : last.image,
    imageID: last.imageId,
    containerID: `${runtimeName}://${last.id}`,
    started: health.isStarted(last),
    ...resourcesOf(container, last, facts),
  };
}

function resourcesOf(
  { name }: Container,
  { id }: RuntimeContainer,
  { resizes }: StatusFacts,
): Pick<ContainerStatus, 'resources' | 'allocatedResources'> {
  const requests = resizes.granted.get(name)?.requests;
  const resources = resizes.applied.get(id);
  return {
    ...(resources && Object.keys(resources).length > 0 ? { resources } : {}),
    ...(requests ? { allocatedResources: requests } : {}),
  };
}

/** The runtime has never had the container, or has it no more. */
function withoutRuntime(
  container: Container,
  facts: StatusFacts,
  old: ContainerStatus | undefined,
  isInit: boolean,
): ContainerStatus {
  const lost = old?.state.running && {
    ...old.state.running,
    ...unknownEnd,
    ...(old.containerID ? { containerID: old.containerID } : {}),
  };
  const ended = old?.state.terminated ?? lost;
  const creating = facts.pod.spec.initContainers?.length ? 'PodInitializing' : 'ContainerCreating';
  const why = facts.waiting.get(container.name) ?? (facts.ended && old?.state.waiting) ?? { reason: creating };
  const isOver = facts.ended && ended !== undefined;
  const before = isOver ? old?.lastState : ended ? { terminated: ended } : old?.lastState;
  return {
    name: container.name,
    state: isOver ? { terminated: ended } : { waiting: why || { reason: creating } },
    lastState: before?.terminated ? { terminated: before.terminated } : {},
    ready: isOver && isInit && ended.exitCode === 0,
    restartCount: old?.restartCount ?? 0,
    image: container.image ?? '',
    imageID: old?.imageID ?? '',
    ...(isOver && old?.containerID ? { containerID: old.containerID } : {}),
    started: false,
  };
}

const unknownEnd = {
  exitCode: 137,
  reason: 'ContainerStatusUnknown',
  message: 'The container could not be located when the pod was terminated',
};

const statusesOf = ({ status = {} }: Pod): ContainerStatus[] => [
  ...(status.containerStatuses ?? []),
  ...(status.initContainerStatuses ?? []),
  ...(status.ephemeralContainerStatuses ?? []),
];

function containerState(
  container: RuntimeContainer,
  runtimeName: string,
  lastWords: ReadonlyMap<string, string>,
): ContainerState {
  const startedAt = container.startedAt ? { startedAt: timestamp(container.startedAt) } : {};
  if (container.state === 'running') return { running: startedAt };
  if (container.state === 'created') return { waiting: { reason: 'ContainerCreating' } };
  const { exitCode = 0, signal, reason } = container;
  const message = lastWords.get(container.id) || container.message;
  return {
    terminated: {
      exitCode,
      ...(signal === undefined ? {} : { signal }),
      reason: reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
      ...(message ? { message } : {}),
      ...startedAt,
      ...(container.finishedAt ? { finishedAt: timestamp(container.finishedAt) } : {}),
      containerID: `${runtimeName}://${container.id}`,
    },
  };
}

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase */
export function phaseOf(pod: Pod, init: ContainerStatus[], containers: ContainerStatus[], ended: boolean): Phase {
  const specs = new Map(containersOf(pod).map((c) => [c.name, c]));
  const once = init.filter(({ name }) => !isSidecar(specs.get(name)!));
  const isForGood = ({ name, state: { terminated } }: ContainerStatus) =>
    terminated !== undefined && !restarts(pod, specs.get(name)!, terminated.exitCode);
  const failedInit = once.filter(({ state }) => state.terminated !== undefined && state.terminated.exitCode !== 0);
  const started = containers.some(({ state, lastState }) => state.running ?? state.terminated ?? lastState.terminated);
  const pendingInit =
    !started &&
    init.some(({ name, state, started: up }) =>
      isSidecar(specs.get(name)!) ? !up && !state.terminated : state.terminated?.exitCode !== 0,
    );
  if (failedInit.some((one) => ended || isForGood(one))) return 'Failed';
  if (pendingInit) return ended ? 'Failed' : 'Pending';
  if (containers.some(({ state, lastState }) => !(state.running ?? state.terminated ?? lastState.terminated)))
    return ended ? 'Failed' : 'Pending';
  const isOver = containers.every(isForGood);
  if (!isOver && !(ended && containers.every(({ state }) => !state.running))) return 'Running';
  return containers.every(({ state }) => state.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
}

/** What a kubelet alone says of a pod. */
export const own: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
]);

/** Conditions that are taken away when they hold no longer. */
export const passing: ReadonlySet<string> = new Set(['PodResizePending', 'PodResizeInProgress']);

type Verdict = Pick<PodCondition, 'status' | 'reason' | 'message'>;
const yes: Verdict = { status: 'True' };

function conditions(
  facts: StatusFacts,
  phase: Phase,
  init: ContainerStatus[],
  containers: ContainerStatus[],
): PodCondition[] {
  const { pod, runtime } = facts;
  const { state } = facts.resizes;
  const ready = containersReady(phase, init, containers, pod);
  const said: Record<string, Verdict> = {
    PodReadyToStartContainers: {
      status: runtime?.sandbox.ready && runtime.sandbox.ip && !facts.ended ? 'True' : 'False',
    },
    Initialized: initialized(phase, init, containers, pod),
    Ready: ready.status === 'True' ? gatesReady(pod) : ready,
    ContainersReady: ready,
    PodScheduled: yes,
    ...(state ? { [state.type]: { status: 'True', reason: state.reason, message: state.message } } : {}),
    ...(facts.failure?.disrupts
      ? { DisruptionTarget: { status: 'True', reason: 'TerminationByKubelet', message: facts.failure.message } }
      : {}),
  };
  const old = new Map((pod.status?.conditions ?? []).map((c) => [c.type, c]));
  const ours = Object.entries(said).map(([type, verdict]) => conditionOf(type, verdict, old.get(type), facts));
  return [...ours, ...[...old.values()].filter(({ type }) => !Object.hasOwn(said, type) && !passing.has(type))];
}

function conditionOf(
  type: string,
  verdict: Verdict,
  old: PodCondition | undefined,
  { pod, now }: StatusFacts,
): PodCondition {
  const { generation } = pod.metadata;
  const same = old?.status === verdict.status && old.lastTransitionTime;
  return {
    type,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...verdict,
    lastProbeTime: null,
    lastTransitionTime: same ? old.lastTransitionTime! : timestamp(now),
  };
}

function containersReady(phase: Phase, init: ContainerStatus[], containers: ContainerStatus[], { spec }: Pod): Verdict {
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  const sidecars = new Set((spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const counted = [...init.filter(({ name }) => sidecars.has(name)), ...containers];
  const unready = counted.filter(({ ready }) => !ready).map(({ name }) => name);
  if (unready.length === 0 && containers.length === spec.containers.length) return yes;
  return {
    status: 'False',
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  };
}

function initialized(phase: Phase, init: ContainerStatus[], containers: ContainerStatus[], { spec }: Pod): Verdict {
  if (phase === 'Succeeded') return { status: 'True', reason: 'PodCompleted' };
  const sidecars = new Set((spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const started = containers.some(({ state, lastState }) => state.running ?? state.terminated ?? lastState.terminated);
  const missing = init
    .filter(({ name, ready, started: up }) => !started && (sidecars.has(name) ? !up : !ready))
    .map(({ name }) => name);
  if (missing.length === 0) return yes;
  return {
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${missing.join(' ')}]`,
  };
}

function gatesReady(pod: Pod): Verdict {
  const states = new Map((pod.status?.conditions ?? []).map((c) => [c.type, c.status]));
  const unmet = (pod.spec.readinessGates ?? [])
    .map((gate) => gate.conditionType)
    .filter((type) => states.get(type) !== 'True');
  if (unmet.length === 0) return yes;
  const words = unmet.map((type) =>
    states.has(type)
      ? `the status of pod readiness gate "${type}" is not "True", but ${states.get(type)!}`
      : `corresponding condition of pod readiness gate "${type}" does not exist.`,
  );
  return { status: 'False', reason: 'ReadinessGatesNotReady', message: words.join(', ') };
}
