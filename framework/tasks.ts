import { annotations } from '../api/kinds/names.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { TaskState } from '../mesos/tasks.ts';
import type { ClaimedVolumes } from '../scheduler/index.ts';
import type { Taken, Want } from './resources.ts';

/**
 * A pod's life as a Mesos task.
 *
 *   reserved ──▶ recording ──ACCEPT──▶ launching ──STARTING──▶ binding ──▶ bound ──▶ (terminal: forgotten)
 *      │ offer gone   │ not written        │ DROPPED, ERROR, LOST …
 *      └──────────────┴────────────────────┴─────▶ the seat is given back (NotLaunched)
 */
export type Stage = 'reserved' | 'recording' | 'launching' | 'binding' | 'bound';

/** What names a task after a restart: from a launch record, or from a bound pod. */
export interface KnownTask {
  id: string;
  uid: string;
  /** `namespace/name` of its pod. */
  key: string;
  node: string;
  agentId: string;
  stage: Stage;
  /** The launch record that names it, until it is settled. */
  record: string | undefined;
  pod: Pod | undefined;
  /** Its pod was bound before: this is a new task for it, after its old one was lost. */
  rebound: boolean;
  /** Of the host, for ports of the pod that may have any. */
  anyPorts: readonly number[];
  /** Which are to be its claims' before it is bound. */
  volumes?: ClaimedVolumes | undefined;
}

export interface Task extends KnownTask, Taken {
  want: Want;
  /** Whose resources it has; empty where that was before a restart. */
  role: string;
  /** This seat pays for the executor too. */
  carriesExecutor: boolean;
  /** Its pod is gone: to be killed as soon as Mesos has it. */
  cancelled: boolean;
  /** Milliseconds: when it was sent, or last asked about. */
  askedAt: number;
  seat: PromiseWithResolvers<void>;
}

export function createTask(known: KnownTask, taken: Taken & Pick<Task, 'want' | 'role' | 'carriesExecutor'>): Task {
  const seat = Promise.withResolvers<void>();
  // A seat that nobody follows (its pod is bound) must not end the process when it is given back.
  seat.promise.catch(() => undefined);
  return { ...known, ...taken, cancelled: false, askedAt: 0, seat };
}

const terminal: ReadonlySet<TaskState> = new Set([
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
]);

/** The task does not run and, as far as Mesos can say, will not. TASK_UNREACHABLE is not among them: it may come back. */
export const isTerminalState = (state: TaskState): boolean => terminal.has(state);

/** The executor has the task. */
export const isStarted = (state: TaskState): boolean =>
  state === 'TASK_STARTING' || state === 'TASK_RUNNING' || state === 'TASK_KILLING';

/** Mesos may know of it: it was sent. */
export const isSent = ({ stage }: Task): boolean => stage === 'launching' || stage === 'binding' || stage === 'bound';

/** Mesos owes an answer: to the launch, or to the KILL. */
const isAwaited = (task: Task): boolean => task.stage === 'launching' || (task.cancelled && isSent(task));

/** `pod.<uid>.<attempt>`: a task status alone tells its pod. */
export const taskIdOf = (uid: string, attempt: number): string => `pod.${uid}.${attempt}`;

export function parseTaskId(taskId: string): { uid: string; attempt: number } | undefined {
  const match = /^pod\.([^.]+)\.(\d+)$/.exec(taskId);
  return match ? { uid: match[1]!, attempt: Number(match[2]) } : undefined;
}

/** `taskId` is of a later attempt than `than`. */
export const isLater = (taskId: string | undefined, than: string): boolean =>
  (parseTaskId(taskId ?? '')?.attempt ?? -1) > (parseTaskId(than)?.attempt ?? -1);

const remembered = 20_000;

/** All tasks that are not over, found by id, pod and agent; and which launch records they still need. */
export class TaskTable {
  readonly #byId = new Map<string, Task>();
  readonly #byUid = new Map<string, Task>();
  readonly #byAgent = new Map<string, Set<Task>>();
  readonly #byRecord = new Map<string, Set<Task>>();
  /** By the uid of a claim whose volume the task carries. */
  readonly #byClaim = new Map<string, Task>();
  /** The highest attempt used for a pod, so that no task id comes twice. */
  readonly #attempts = new Map<string, number>();

  get(id: string): Task | undefined {
    return this.#byId.get(id);
  }

  ofPod(uid: string): Task | undefined {
    return this.#byUid.get(uid);
  }

  ofClaim(uid: string): Task | undefined {
    return this.#byClaim.get(uid);
  }

  onAgent(agentId: string): ReadonlySet<Task> {
    return this.#byAgent.get(agentId) ?? new Set();
  }

  all(): IterableIterator<Task> {
    return this.#byId.values();
  }

  /** Those that Mesos has owed an answer for longer than `patience`, milliseconds; their time starts anew. */
  silent(now: number, patience: number): Task[] {
    const silent: Task[] = [];
    for (const task of this.all())
      if (isAwaited(task) && now - task.askedAt > patience) silent.push(Object.assign(task, { askedAt: now }));
    return silent;
  }

  get size(): number {
    return this.#byId.size;
  }

  nextId(pod: Pod): string {
    const uid = pod.metadata.uid!;
    const annotated = parseTaskId(pod.metadata.annotations?.[annotations.taskId] ?? '')?.attempt ?? -1;
    return taskIdOf(uid, Math.max(annotated, this.#attempts.get(uid) ?? -1) + 1);
  }

  add(task: Task): void {
    this.#byId.set(task.id, task);
    this.#byUid.set(task.uid, task);
    for (const { claimUid } of task.want.volumes) this.#byClaim.set(claimUid, task);
    into(this.#byAgent, task.agentId, task);
    if (task.record) into(this.#byRecord, task.record, task);
    this.#attempts.delete(task.uid);
    this.#attempts.set(task.uid, parseTaskId(task.id)?.attempt ?? 0);
    if (this.#attempts.size > remembered) this.#attempts.delete(this.#attempts.keys().next().value!);
  }

  /** The tasks leave with this record. */
  record(tasks: readonly Task[], record: string): void {
    for (const task of tasks) {
      task.record = record;
      into(this.#byRecord, record, task);
    }
  }

  /** The task no longer needs its record. Answers the record's name when no other does either. */
  settled(task: Task): string | undefined {
    const { record } = task;
    task.record = undefined;
    return record !== undefined && outOf(this.#byRecord, record, task) ? record : undefined;
  }

  /** Some task still needs the record. */
  needs(record: string): boolean {
    return this.#byRecord.has(record);
  }

  delete(task: Task): void {
    this.#byId.delete(task.id);
    if (this.#byUid.get(task.uid) === task) this.#byUid.delete(task.uid);
    for (const { claimUid } of task.want.volumes)
      if (this.#byClaim.get(claimUid) === task) this.#byClaim.delete(claimUid);
    outOf(this.#byAgent, task.agentId, task);
  }
}

function into(index: Map<string, Set<Task>>, key: string, task: Task): void {
  const tasks = index.get(key);
  if (tasks) tasks.add(task);
  else index.set(key, new Set([task]));
}

/** True when the last one left. */
function outOf(index: Map<string, Set<Task>>, key: string, task: Task): boolean {
  const tasks = index.get(key);
  if (!tasks?.delete(task) || tasks.size > 0) return false;
  return index.delete(key);
}
