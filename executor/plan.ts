import type { Container, Pod } from '../api/kinds/pod.ts';
import { isTerminal } from '../api/kinds/pod.ts';
import type { Health } from './probes.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';

/** What to do next for one pod, in this order: stop, sandbox, start. Empty and not done: wait for something to change. */
export interface Plan {
  stop: Stop[];
  /** The attempt of the sandbox to make; undefined: the one there is will do, or none is needed. */
  sandbox: number | undefined;
  start: Start[];
  /** Containers that would be started but for their backoff. */
  waiting: { container: Container; failedAt: number; remaining: number }[];
  /** Nothing runs, and nothing will again: the pod has reached its end. */
  done: boolean;
}

/** `message` is what the user reads of it; `graceSeconds` what it has, when that is less than its pod has. */
export interface Stop {
  container: RuntimeContainer;
  message?: string;
  graceSeconds?: number | undefined;
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
  health: Pick<Health, 'isStarted' | 'failed'>;
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
    plan.stop = nextToEnd(pod, running).map((container) => ({ container }));
    plan.done = running.length === 0;
    return plan;
  };
  if (isTerminal(pod) || isOver(pod, latest)) return end();
  if (!runtime?.sandbox.ready) {
    plan.stop = running.map((container) => ({ container }));
    plan.sandbox = runtime ? runtime.sandbox.attempt + 1 : 0;
    return plan;
  }
  for (const container of running) {
    const stop = reasonToStop(pod, container, facts);
    if (stop) plan.stop.push(stop);
  }
  for (const container of pod.spec.ephemeralContainers ?? [])
    if (!latest.has(container.name)) plan.start.push({ container, attempt: 0, endedAt: undefined });
  if (!planInit(plan, pod, runtime, facts)) return plan;
  for (const container of pod.spec.containers) planStart(plan, pod, container, latest, facts, byPolicy(pod, container));
  return plan;
}

/** Of a pod that is over: its containers, then the sidecars, the last one first. */
function nextToEnd({ spec }: Pod, running: readonly RuntimeContainer[]): readonly RuntimeContainer[] {
  const sidecars = (spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const others = running.filter(({ name }) => !sidecars.includes(name));
  if (others.length > 0) return others;
  const last = sidecars.findLast((sidecar) => running.some(({ name }) => name === sidecar));
  return running.filter(({ name }) => name === last);
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
  const isForGood = (container: Container) => {
    const last = latest.get(container.name);
    return last?.state === 'exited' && !byPolicy(pod, container)(last);
  };
  const failedInit = (pod.spec.initContainers ?? []).some(
    (init) => !isSidecar(init) && latest.get(init.name)?.exitCode !== 0 && isForGood(init),
  );
  return failedInit || pod.spec.containers.every(isForGood);
}

/**
 * Whether a container that ended with this code is started again: the first of its own rules that is of the code says so, else
 * its own policy, else that of its pod.
 */
export function restarts(
  { spec }: Pod,
  { restartPolicy, restartPolicyRules = [] }: Container,
  exitCode: number,
): boolean {
  const isOf = ({ operator, values = [] }: { operator: string; values?: number[] }) =>
    values.includes(exitCode) === (operator === 'In');
  if (restartPolicyRules.some(({ action, exitCodes }) => action === 'Restart' && exitCodes && isOf(exitCodes)))
    return true;
  const policy = restartPolicy ?? spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

type Again = (ended: RuntimeContainer) => boolean;

const byPolicy =
  (pod: Pod, container: Container): Again =>
  ({ exitCode = 0 }) =>
    restarts(pod, container, exitCode);
const always: Again = () => true;

/** True when the containers proper may run. What init containers did in an earlier sandbox, to its network say, is to be done anew. */
function planInit(plan: Plan, pod: Pod, runtime: RuntimePod, facts: PlanFacts): boolean {
  const latest = latestOf(runtime);
  const here = new Set(runtime.containers.filter((c) => c.sandboxId === runtime.sandbox.id).map(({ name }) => name));
  // A container that was ever started shows that everything before it was done.
  const initialised = pod.spec.containers.some(({ name }) => here.has(name));
  for (const init of pod.spec.initContainers ?? []) {
    const last = latest.get(init.name);
    if (isSidecar(init)) {
      if (last?.state !== 'running') planStart(plan, pod, init, latest, facts, always);
      if (!initialised && !(last && facts.health.isStarted(last))) return false;
    } else if (!initialised && !(here.has(init.name) && last?.state === 'exited' && last.exitCode === 0)) {
      const again = here.has(init.name) ? byPolicy(pod, init) : always;
      if (last?.state !== 'running') planStart(plan, pod, init, latest, facts, again);
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
  again: Again,
): void {
  const last = latest.get(container.name);
  if (last?.state === 'running') {
    // It is being stopped because its spec changed; it starts again when it has ended.
    return;
  }
  const endedAt = last && (last.finishedAt || last.startedAt || undefined);
  if (last?.state === 'exited' && !again(last)) return;
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

function reasonToStop(pod: Pod, container: RuntimeContainer, facts: PlanFacts): Stop | undefined {
  const { name } = container;
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  if (ephemeralContainers.some((c) => c.name === name)) return undefined;
  const wanted = [...containers, ...initContainers].find((c) => c.name === name);
  if (!wanted || facts.hashOf(wanted) !== container.specHash)
    return { container, message: `Container ${name} definition changed, will be restarted` };
  const failed = facts.health.failed(container);
  if (!failed) return undefined;
  const { kind, graceSeconds } = failed;
  return { container, graceSeconds, message: `Container ${name} failed ${kind} probe, will be restarted` };
}
