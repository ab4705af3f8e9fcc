import type { CallSubscribe } from '../mesos/executor.ts';
import type { TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';
import { newUuid } from '../mesos/uuid.ts';
import type { PodReport } from './kubelet.ts';

/** The pod that a task carries: TaskInfo.data as JSON. */
export interface PodRef {
  namespace: string;
  name: string;
  uid: string;
}

export type TaskEvent =
  | { type: 'subscribed'; knowsKilling: boolean }
  | { type: 'launch'; task: TaskInfo }
  | { type: 'kill'; taskId: string; graceSeconds: number | undefined }
  | { type: 'acknowledged'; taskId: string; uuid: Uint8Array }
  /** `graceSeconds` is what all pods have together until we must be gone. */
  | { type: 'shutdown'; graceSeconds: number }
  /** The pod is bound to this node; `taskId` is the task that its annotation names. */
  | { type: 'bound'; uid: string; taskId: string | undefined }
  /** Its object is gone, and nothing of it is here: nothing more is told of it. */
  | { type: 'unbound'; uid: string }
  /** A pod that no task carries runs here: it ends with the executor. */
  | { type: 'static'; uid: string }
  | { type: 'report'; uid: string; report: PodReport }
  | { type: 'tick' };

export type TaskAction =
  | { type: 'update'; status: TaskStatus }
  | { type: 'admit'; uid: string }
  | { type: 'dismiss'; uid: string }
  | { type: 'end'; uid: string; graceSeconds: number | undefined; remove: boolean }
  /** Everything is told and acknowledged, after a shutdown or when nothing has been here for long. */
  | { type: 'exit'; why: string };

interface Task {
  id: string;
  pod: PodRef;
  launchedAt: number;
  state: TaskState;
  /** As last told. */
  isHealthy: boolean | undefined;
  isBound: boolean;
  /** The pod names another task as its own. */
  isForeign: boolean;
}

export interface TasksOptions {
  executorId: string;
  agentId: string;
  /** How long a task waits for its pod to be bound to this node, ms. */
  launchGrace: number;
  /** How long an executor without pods stays, ms; 0: for ever. */
  idleTimeout: number;
}

/**
 * What Mesos is told of its tasks, decided purely: an event comes in, what is to be done comes out; no clock, no wire.
 *
 *   LAUNCH ─▶ STARTING ─(pod runs)─▶ RUNNING ─(pod ended)─▶ FINISHED, FAILED     RUNNING again when readiness changes
 *                    └──── KILL, deletion ──▶ (KILLING) ──▶ KILLED
 *
 * Updates are kept until they are acknowledged, tasks until their first update is: both go along with a resubscription.
 */
export class Tasks {
  readonly #options: TasksOptions;
  readonly #tasks = new Map<string, Task>();
  readonly #byPod = new Map<string, Task>();
  /** What is bound here already, and under which task: a launch may come after. */
  readonly #bound = new Map<string, string | undefined>();
  readonly #static = new Set<string>();
  readonly #unacknowledgedTasks = new Map<string, TaskInfo>();
  readonly #updates = new Map<string, TaskStatus>();
  #knowsKilling = false;
  #isShuttingDown = false;
  /** When it was seen that nothing is here. */
  #idleSince: number | undefined;

  constructor(options: TasksOptions) {
    this.#options = options;
  }

  on(event: TaskEvent, now: number): TaskAction[] {
    switch (event.type) {
      case 'subscribed':
        this.#knowsKilling = event.knowsKilling;
        return [];
      case 'launch':
        return this.#launch(event.task, now);
      case 'kill':
        return this.#kill(event.taskId, event.graceSeconds, now);
      case 'acknowledged':
        return this.#acknowledge(event.taskId, event.uuid);
      case 'shutdown':
        return this.#shutDown(event.graceSeconds, now);
      case 'bound':
        return this.#bind(event.uid, event.taskId);
      case 'unbound':
        this.#bound.delete(event.uid);
        return [];
      case 'static':
        this.#static.add(event.uid);
        return [];
      case 'report':
        return this.#report(event.uid, event.report, now);
      case 'tick':
        return this.#tick(now);
    }
  }

  /** What a SUBSCRIBE has to carry. */
  subscription(): CallSubscribe {
    return {
      unacknowledged_tasks: [...this.#unacknowledgedTasks.values()],
      unacknowledged_updates: [...this.#updates.values()].map((status) => ({ status })),
    };
  }

  /** Tasks and static pods that have not ended. */
  get live(): number {
    return this.#tasks.size + this.#static.size;
  }

  #launch(info: TaskInfo, now: number): TaskAction[] {
    const id = info.task_id.value;
    if (this.#tasks.has(id)) return [];
    this.#unacknowledgedTasks.set(id, info);
    const pod = podOf(info);
    if (!pod || this.#isShuttingDown) {
      const message = pod ? 'the executor is shutting down' : 'the task does not say which pod it carries';
      return [this.#update({ id }, pod ? 'TASK_KILLED' : 'TASK_FAILED', now, message)];
    }
    const before = this.#byPod.get(pod.uid);
    const replaced = before ? this.#end(before, 'TASK_KILLED', now, `task ${id} carries the pod now`) : [];
    const task: Task = {
      id,
      pod,
      launchedAt: now,
      state: 'TASK_STARTING',
      isHealthy: undefined,
      isBound: this.#bound.has(pod.uid),
      isForeign: false,
    };
    this.#tasks.set(id, task);
    this.#byPod.set(pod.uid, task);
    const kept = replaced.filter(({ type }) => type !== 'dismiss');
    return [...kept, this.#update(task, 'TASK_STARTING', now), { type: 'admit', uid: pod.uid }];
  }

  #kill(id: string, graceSeconds: number | undefined, now: number): TaskAction[] {
    const task = this.#tasks.get(id);
    if (!task || task.state === 'TASK_KILLING') return [];
    if (!task.isBound || task.isForeign)
      return this.#end(task, 'TASK_KILLED', now, 'killed before its pod was bound here');
    task.state = 'TASK_KILLING';
    const told = this.#knowsKilling ? [this.#update(task, 'TASK_KILLING', now)] : [];
    return [...told, { type: 'end', uid: task.pod.uid, graceSeconds, remove: true }];
  }

  #shutDown(graceSeconds: number, now: number): TaskAction[] {
    this.#isShuttingDown = true;
    const actions = [...this.#tasks.values()].flatMap((task): TaskAction[] =>
      task.isBound
        ? [{ type: 'end', uid: task.pod.uid, graceSeconds, remove: false }]
        : this.#end(task, 'TASK_KILLED', now, 'the executor is shutting down'),
    );
    const untasked = [...this.#static].map((uid): TaskAction => ({ type: 'end', uid, graceSeconds, remove: false }));
    return [...actions, ...untasked, ...this.#exitIfDone()];
  }

  #acknowledge(id: string, uuid: Uint8Array): TaskAction[] {
    this.#unacknowledgedTasks.delete(id);
    this.#updates.delete(Buffer.from(uuid).toString('hex'));
    return this.#exitIfDone();
  }

  #bind(uid: string, taskId: string | undefined): TaskAction[] {
    this.#bound.set(uid, taskId);
    const task = this.#byPod.get(uid);
    if (task) {
      task.isBound = true;
      task.isForeign = taskId !== undefined && taskId !== task.id;
    }
    return [];
  }

  #report(uid: string, report: PodReport, now: number): TaskAction[] {
    const { phase, message, isReady, gone = false } = report;
    if (gone) this.#bound.delete(uid);
    if (gone) this.#static.delete(uid);
    const task = this.#byPod.get(uid);
    if (!task) return this.#exitIfDone();
    if (gone) return [...this.#end(task, 'TASK_KILLED', now, message), ...this.#exitIfDone()];
    if (phase === 'Succeeded') return [...this.#end(task, 'TASK_FINISHED', now, message), ...this.#exitIfDone()];
    if (phase === 'Failed') return [...this.#end(task, 'TASK_FAILED', now, message), ...this.#exitIfDone()];
    const isNews = task.state === 'TASK_STARTING' || (task.state === 'TASK_RUNNING' && task.isHealthy !== isReady);
    if (phase !== 'Running' || !isNews) return [];
    task.state = 'TASK_RUNNING';
    task.isHealthy = isReady;
    return [this.#update(task, 'TASK_RUNNING', now, undefined, report)];
  }

  /** A launch always comes before its binding: one that nobody follows up has been given up by the framework. */
  #tick(now: number): TaskAction[] {
    const late = [...this.#tasks.values()].filter((t) => !t.isBound && now - t.launchedAt > this.#options.launchGrace);
    const seconds = Math.round(this.#options.launchGrace / 1000);
    const given = late.flatMap((task) =>
      this.#end(task, 'TASK_FAILED', now, `the pod was not bound to this node within ${seconds} s`),
    );
    return [...given, ...this.#exitIfIdle(now)];
  }

  /** What it has of the agent is for others then; the next launch brings another executor. Pods that have ended have logs, and are served. */
  #exitIfIdle(now: number): TaskAction[] {
    const { idleTimeout } = this.#options;
    const isIdle = this.live + this.#bound.size + this.#updates.size + this.#unacknowledgedTasks.size === 0;
    this.#idleSince = isIdle ? (this.#idleSince ?? now) : undefined;
    if (idleTimeout === 0 || this.#idleSince === undefined || now - this.#idleSince < idleTimeout) return [];
    return [{ type: 'exit', why: `no pod has been here for ${Math.round(idleTimeout / 1000)} s` }];
  }

  #end(task: Task, state: TaskState, now: number, message?: string): TaskAction[] {
    this.#tasks.delete(task.id);
    if (this.#byPod.get(task.pod.uid) === task) this.#byPod.delete(task.pod.uid);
    return [this.#update(task, state, now, message), { type: 'dismiss', uid: task.pod.uid }];
  }

  #exitIfDone(): TaskAction[] {
    return this.#isShuttingDown && this.live === 0 && this.#updates.size === 0
      ? [{ type: 'exit', why: 'all tasks have ended after a shutdown' }]
      : [];
  }

  #update({ id }: { id: string }, state: TaskState, now: number, message?: string, running?: PodReport): TaskAction {
    const { podIp: ip, isReady } = running ?? {};
    const uuid = newUuid();
    const status: TaskStatus = {
      task_id: { value: id },
      state,
      source: 'SOURCE_EXECUTOR',
      executor_id: { value: this.#options.executorId },
      agent_id: { value: this.#options.agentId },
      uuid,
      timestamp: now / 1000,
      ...(message ? { message } : {}),
      ...(isReady === undefined ? {} : { healthy: isReady }),
      ...(ip ? { container_status: { network_infos: [{ ip_addresses: [{ ip_address: ip }] }] } } : {}),
    };
    this.#updates.set(Buffer.from(uuid).toString('hex'), status);
    return { type: 'update', status };
  }
}

function podOf({ data }: TaskInfo): PodRef | undefined {
  try {
    const { namespace, name, uid } = JSON.parse(Buffer.from(data ?? []).toString('utf8')) as Partial<PodRef>;
    return namespace && name && uid ? { namespace, name, uid } : undefined;
  } catch {
    return undefined;
  }
}
