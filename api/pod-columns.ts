import { age } from './age.ts';
import { ageColumn, nameColumn } from './columns.ts';
import type { Column } from './kind.ts';
import type { ContainerStatus, Pod } from './kinds/pod.ts';

export const podColumns: readonly Column<Pod>[] = [
  nameColumn,
  { name: 'Ready', value: (pod) => ready(pod) },
  { name: 'Status', value: (pod) => podReason(pod) },
  { name: 'Restarts', value: (pod, now) => restarts(pod, now) },
  ageColumn,
  { name: 'IP', priority: 1, value: (pod) => pod.status?.podIP || pod.status?.podIPs?.[0]?.ip || '<none>' },
  { name: 'Node', priority: 1, value: (pod) => pod.spec.nodeName || '<none>' },
  { name: 'Nominated Node', priority: 1, value: (pod) => pod.status?.nominatedNodeName || '<none>' },
  { name: 'Readiness Gates', priority: 1, value: (pod) => readinessGates(pod) },
];

const sidecars = (pod: Pod): Set<string> =>
  new Set((pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always').map((c) => c.name));

function ready(pod: Pod): string {
  const always = sidecars(pod);
  const statuses = pod.status?.containerStatuses ?? [];
  const counted = (pod.status?.initContainerStatuses ?? []).filter((s) => always.has(s.name));
  const up =
    statuses.filter((s) => s.ready && s.state.running).length + counted.filter((s) => s.ready || s.started).length;
  return `${up}/${(pod.spec.containers ?? []).length + always.size}`;
}

const exitReason = (terminated: NonNullable<ContainerStatus['state']['terminated']>): string =>
  terminated.reason || (terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`);

/** The word in the STATUS column: the most telling of phase, init progress, container states and deletion. */
export function podReason(pod: Pod): string {
  const status = pod.status ?? {};
  let reason = status.reason || status.phase || 'Unknown';
  for (const condition of status.conditions ?? [])
    if (condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated') reason = 'SchedulingGated';
  const init = initReason(pod);
  if (init !== undefined) reason = init;
  const initialized = status.conditions?.some((c) => c.type === 'Initialized' && c.status === 'True');
  if (init === undefined || initialized) reason = containersReason(pod, reason);
  if (pod.metadata.deletionTimestamp) {
    if (status.reason === 'NodeLost') return 'Unknown';
    if (status.phase !== 'Succeeded' && status.phase !== 'Failed') return 'Terminating';
  }
  return reason;
}

function initReason(pod: Pod): string | undefined {
  const always = sidecars(pod);
  const total = pod.spec.initContainers?.length ?? 0;
  for (const [i, { name, state, started }] of (pod.status?.initContainerStatuses ?? []).entries()) {
    if (state.terminated?.exitCode === 0) continue;
    if (always.has(name) && started) continue;
    if (state.terminated) return `Init:${exitReason(state.terminated)}`;
    const waiting = state.waiting?.reason;
    return waiting && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${i}/${total}`;
  }
  return undefined;
}

function containersReason(pod: Pod, fallback: string): string {
  let reason = fallback;
  let running = false;
  for (const { state, ready: isReady } of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    if (state.waiting?.reason) reason = state.waiting.reason;
    else if (state.terminated) reason = exitReason(state.terminated);
    else if (isReady && state.running) running = true;
  }
  if (reason !== 'Completed' || !running) return reason;
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ? 'Running' : 'NotReady';
}

function restarts(pod: Pod, now: number): string {
  const always = sidecars(pod);
  const init = pod.status?.initContainerStatuses ?? [];
  const main = pod.status?.containerStatuses ?? [];
  const initializing = initReason(pod) !== undefined;
  const counted = initializing ? init : [...init.filter((s) => always.has(s.name)), ...main];
  const total = counted.reduce((sum, s) => sum + (s.restartCount ?? 0), 0);
  const last = counted
    .map((s) => s.lastState?.terminated?.finishedAt)
    .filter((at) => at !== undefined)
    .sort()
    .at(-1);
  return total > 0 && last ? `${total} (${age(last, now)} ago)` : String(total);
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const met = gates.filter((gate) =>
    pod.status?.conditions?.some((c) => c.type === gate.conditionType && c.status === 'True'),
  );
  return `${met.length}/${gates.length}`;
}
