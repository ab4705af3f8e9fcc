import type { Pod, PodStatus } from '../api/kinds/pod.ts';
import type { Kubelet } from './kubelet.ts';
import { latestOf } from './plan.ts';
import type { Health } from './probes.ts';
import type { Resizes } from './resizes.ts';
import type { RuntimePod } from './runtime.ts';
import { type Failure, podStatus } from './status.ts';
import type { Waiting } from './start-container.ts';

export interface Report {
  runtime: RuntimePod | undefined;
  waiting: ReadonlyMap<string, Waiting>;
  health: Health;
  resizes: Resizes;
  /** What containers left in their termination message files, by container id. */
  lastWords: ReadonlyMap<string, string>;
  /** Nothing of the pod runs any more and nothing will. */
  ended: boolean;
  failure?: Failure | undefined;
  /** Nobody waits for its status any more. */
  absent: boolean;
  /** Mesos is told once, when nothing is left. */
  silent: boolean;
}

/** Says how a pod is: to the apiserver as its status, to Mesos as its task's state. */
export function reportStatus(kubelet: Kubelet, pod: Pod, { absent, silent, ...facts }: Report): void {
  const status = podStatus({
    ...facts,
    pod: withWritten(kubelet, pod),
    runtimeName: kubelet.runtime.name,
    hostIps: kubelet.nodeIps,
    now: Date.now(),
  });
  if (!absent) kubelet.statuses.set(pod, status);
  if (silent) return;
  const message = facts.failure?.message ?? (status.phase === 'Failed' ? failedContainers(facts.runtime) : undefined);
  kubelet.report(pod.metadata.uid!, {
    phase: status.phase!,
    ...(message ? { message } : {}),
    ...(status.podIP ? { podIp: status.podIP } : {}),
    // An update for each pod that becomes ready is dear to a Mesos master: only where somebody has asked for it.
    ...(tellsReadiness(pod) ? { isReady: isReady(status) } : {}),
  });
}

/** Mesos is told of a pod whose status tells already how it ended. */
export function reportEnd(kubelet: Kubelet, { metadata, status = {} }: Pod, runtime: RuntimePod | undefined): void {
  const { phase, reason } = status;
  const message = status.message ?? reason ?? (phase === 'Failed' ? failedContainers(runtime) : undefined);
  kubelet.report(metadata.uid!, { phase: phase!, ...(message ? { message } : {}) });
}

const tellsReadiness = ({ spec: { containers, readinessGates = [] } }: Pod): boolean =>
  readinessGates.length > 0 || containers.some(({ readinessProbe }) => readinessProbe);

const isReady = ({ conditions = [] }: PodStatus): boolean =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True');

/** The pod with what we have written last, though the watch may not have brought it back yet. */
export function withWritten({ statuses }: Kubelet, pod: Pod): Pod {
  const written = statuses.latest(pod.metadata.uid!);
  if (!written) return pod;
  const ours = new Set(written.conditions?.map(({ type }) => type));
  const others = (pod.status?.conditions ?? []).filter(({ type }) => !ours.has(type));
  const theirs = new Map(pod.status?.conditions?.map((c) => [c.type, c]));
  const kept = written.conditions?.map((c) => (kubeletConditions.has(c.type) ? c : (theirs.get(c.type) ?? c))) ?? [];
  return { ...pod, status: { ...pod.status, ...written, conditions: [...kept, ...others] } };
}

const kubeletConditions = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
]);

function failedContainers(runtime: RuntimePod | undefined): string | undefined {
  const failed = [...latestOf(runtime).values()].filter((c) => c.state === 'exited' && c.exitCode !== 0);
  if (failed.length === 0) return undefined;
  return failed
    .map((c) => `container ${c.name} ended with exit code ${c.exitCode ?? 0} (${c.reason ?? 'Error'})`)
    .join('; ');
}
