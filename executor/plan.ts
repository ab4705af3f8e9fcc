import type { Container, Pod } from '../api/kinds/pod.ts';
import { isTerminal } from '../api/kinds/pod.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';

/** What to do next for one pod, in this order: stop, sandbox, start. Empty and not done: wait for something to change. */
export interface Plan {
  stop: RuntimeContainer[];
  /** The attempt of the sandbox to make; undefined: the one there is will do, or none is needed. */
  sandbox: number | undefined;
  start: Start[];
  /** Containers that would be started but for their backoff. */
  waiting: { container: Container; failedAt: number; remaining: number }[];
  /** Nothing runs, and nothing will again: the pod has reached its end. */
  done: boolean;
}

export interface Start {
  container: Container;
  attempt: number;
  /** When the try before failed or ended; undefined at the first. */
  endedAt: number | undefined;
}

export interface PlanFacts {
  hashOf(container: Container): string;
  /** Milliseconds that a container has to wait which ended at `endedAt`. */
  remaining(container: Container, endedAt: number): number;
}

/**
 * One pod as it is wanted × as the runtime has it → the next steps. Init containers run one after the other; sidecars
 * (init containers with restartPolicy Always) stay; then all containers at once; what ended is restarted by policy.
 */
export function planPod(pod: Pod, runtime: RuntimePod | undefined, facts: PlanFacts): Plan {
  const plan: Plan = { stop: [], sandbox: undefined, start: [], waiting: [], done: false };
  const latest = latestOf(runtime);
  const running = [...latest.values()].filter((c) => c.state === 'running');
  const end = () => {
    plan.stop = running;
    plan.done = running.length === 0;
    return plan;
  };
  if (isTerminal(pod) || isOver(pod, latest)) return end();
  if (!runtime?.sandbox.ready) {
    plan.stop = running;
    plan.sandbox = runtime ? runtime.sandbox.attempt + 1 : 0;
    return plan;
  }
  for (const [name, container] of latest)
    if (container.state === 'running' && isObsolete(pod, name, container, facts)) plan.stop.push(container);
  if (!planInit(plan, pod, latest, facts)) return plan;
  for (const container of pod.spec.containers)
    planStart(plan, pod, container, latest, facts, pod.spec.restartPolicy ?? 'Always');
  return plan;
}

/** The newest try of each container. */
export function latestOf(runtime: RuntimePod | undefined): Map<string, RuntimeContainer> {
  const latest = new Map<string, RuntimeContainer>();
  for (const container of runtime?.containers ?? [])
    if ((latest.get(container.name)?.attempt ?? -1) < container.attempt) latest.set(container.name, container);
  return latest;
}

export const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always';

/** An init container failed for good, or every container ended for good. */
function isOver(pod: Pod, latest: ReadonlyMap<string, RuntimeContainer>): boolean {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const failedInit = (pod.spec.initContainers ?? []).some((init) => {
    const last = latest.get(init.name);
    return policy === 'Never' && !isSidecar(init) && last?.state === 'exited' && last.exitCode !== 0;
  });
  return (
    failedInit ||
    pod.spec.containers.every(({ name }) => {
      const last = latest.get(name);
      return last?.state === 'exited' && !restarts(policy, last);
    })
  );
}

const restarts = (policy: string, ended: RuntimeContainer): boolean =>
  policy === 'Always' || (policy === 'OnFailure' && ended.exitCode !== 0);

/** True when the containers proper may run. */
function planInit(plan: Plan, pod: Pod, latest: ReadonlyMap<string, RuntimeContainer>, facts: PlanFacts): boolean {
  // A container that was ever started shows that everything before it was done.
  const initialised = pod.spec.containers.some(({ name }) => latest.has(name));
  for (const init of pod.spec.initContainers ?? []) {
    const last = latest.get(init.name);
    if (isSidecar(init)) {
      if (last?.state === 'running') continue;
      planStart(plan, pod, init, latest, facts, 'Always');
      if (!initialised) return false;
    } else if (!initialised && !(last?.state === 'exited' && last.exitCode === 0)) {
      if (last?.state !== 'running') planStart(plan, pod, init, latest, facts, pod.spec.restartPolicy ?? 'Always');
      return false;
    }
  }
  return true;
}

function planStart(
  plan: Plan,
  pod: Pod,
  container: Container,
  latest: ReadonlyMap<string, RuntimeContainer>,
  facts: PlanFacts,
  policy: string,
): void {
  const last = latest.get(container.name);
  if (last?.state === 'running') {
    // It is being stopped because its spec changed; it starts again when it has ended.
    return;
  }
  const endedAt = last && (last.finishedAt || last.startedAt || undefined);
  if (last?.state === 'exited' && !restarts(policy, last)) return;
  const remaining = endedAt === undefined ? 0 : facts.remaining(container, endedAt);
  if (remaining > 0) plan.waiting.push({ container, failedAt: endedAt!, remaining });
  else plan.start.push({ container, attempt: last ? last.attempt + 1 : firstAttempt(pod, container), endedAt });
}

/** The runtime knows nothing of the container: an earlier life of it is known only from the pod's status. */
function firstAttempt(pod: Pod, { name }: Container): number {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const old = [...initContainerStatuses, ...containerStatuses].find((status) => status.name === name);
  if (!old) return 0;
  const ran = old.state.running !== undefined || old.state.terminated !== undefined;
  return old.restartCount + (ran ? 1 : 0);
}

function isObsolete(pod: Pod, name: string, container: RuntimeContainer, facts: PlanFacts): boolean {
  const wanted = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === name);
  return wanted === undefined || facts.hashOf(wanted) !== container.specHash;
}
