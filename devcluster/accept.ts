/** ACCEPT: which offers it may use, and its operations one after the other, each on what the former left. */
import type { CallAccept } from '../mesos/scheduler.ts';
import type { ExecutorInfo, Reason, TaskInfo } from '../mesos/tasks.ts';
import type { OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { addFilter, removeOffer } from './offers.ts';
import { operate, tellError } from './operate.ts';
import { changesResources, mapResources } from './operations.ts';
import { add, refined, subtract } from './resources.ts';
import type { Agent, Framework, Master, Offer, Work } from './state.ts';
import { partitionState, tell } from './status.ts';
import { addExecutor, addTask, executorKey, taskOf } from './tasks.ts';
import { adjusted, groupError, inRole, launchError, type Surroundings } from './validate-task.ts';

export function accept(
  master: Master,
  framework: Framework,
  { offer_ids = [], operations = [], filters }: CallAccept,
): void {
  const ids = offer_ids.map(({ value }) => value);
  const offers = ids.flatMap((id) => ownOffer(master, framework, id) ?? []);
  const error = offersError(ids, offers);
  for (const offer of offers) removeOffer(master, offer);
  if (error !== undefined) return drop(framework, operations, error);
  const { agent, role } = offers[0]!;
  const ground = new Ground(master, framework, agent, role, offers.map((offer) => offer.resources).reduce(add, []));
  for (const operation of operations) ground.apply(operation);
  // What nobody used is declined, but not what became of it by an operation. All offers are of one role.
  addFilter(master, offers[0]!, subtract(ground.left, subtract(ground.left, ground.given)), filters);
}

function ownOffer(master: Master, framework: Framework, id: string): Offer | undefined {
  const offer = master.offers.get(id);
  return offer?.framework === framework ? offer : undefined;
}

function offersError(ids: readonly string[], offers: readonly Offer[]): string | undefined {
  if (ids.length === 0) return 'No offers specified';
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) return `Duplicate offer ${twice} in offer list`;
  const void_ = ids.find((id) => !offers.some((offer) => offer.id === id));
  if (void_ !== undefined) return `Offer ${void_} is no longer valid`;
  const first = offers[0]!;
  const other = offers.find((offer) => offer.agent !== first.agent);
  if (other)
    return `Aggregated offers must belong to one single agent. Offer ${other.id} uses agent ${other.agent.id} and agent ${first.agent.id}`;
  const foreign = offers.find((offer) => offer.role !== first.role);
  return foreign
    ? `Aggregated offers must be allocated to the same role. Offer ${foreign.id} uses role ${foreign.role} but another is using role ${first.role}`
    : undefined;
}

const tasksOf = (operation: OfferOperation): TaskInfo[] =>
  operation.launch?.task_infos ?? operation.launch_group?.task_group.tasks ?? [];

function drop(framework: Framework, operations: readonly OfferOperation[], error: string): void {
  for (const operation of operations.filter(changesResources))
    tellError(framework, operation, `Operation attempted with invalid offers: ${error}`);
  for (const task of operations.flatMap(tasksOf))
    tell(framework, {
      taskId: task.task_id.value,
      agentId: task.agent_id.value,
      state: partitionState(framework, 'TASK_DROPPED'),
      reason: 'REASON_INVALID_OFFERS',
      message: `Task launched with invalid offers: ${error}`,
    });
}

/** The resources of the offers of one ACCEPT, and what is made of them. */
class Ground {
  readonly #master: Master;
  readonly #framework: Framework;
  readonly #agent: Agent;
  readonly #role: string;
  readonly given: readonly Resource[];
  left: readonly Resource[];

  constructor(master: Master, framework: Framework, agent: Agent, role: string, resources: Resource[]) {
    this.#master = master;
    this.#framework = framework;
    this.#agent = agent;
    this.#role = role;
    this.given = resources;
    this.left = resources;
  }

  apply(operation: OfferOperation): void {
    if (operation.type === 'LAUNCH') this.#launch(operation);
    else if (operation.type === 'LAUNCH_GROUP') this.#launchGroup(operation);
    else if (changesResources(operation)) this.#operate(operation);
    // One of an unknown type is skipped.
  }

  #operate(given: OfferOperation): void {
    const operation = mapResources(given, (resource) => inRole(refined(resource), this.#role));
    this.left = operate(this.#master, this.#framework, this.#agent, operation, this.left);
  }

  #launch({ id, launch }: OfferOperation): void {
    for (const given of launch?.task_infos ?? []) {
      const task = this.#adjust(given);
      const error = id ? 'The `id` field cannot be set on LAUNCH operations' : launchError(task, this.#around());
      if (error !== undefined) this.#refuse(task, 'REASON_TASK_INVALID', error);
      else if (!this.#mayRun(task)) this.#refuse(task, 'REASON_TASK_UNAUTHORIZED', this.#unauthorized(task));
      else this.#run([task], task.executor, false);
    }
  }

  #launchGroup({ id, launch_group }: OfferOperation): void {
    if (!launch_group) return;
    const executor = this.#adjustExecutor(launch_group.executor);
    const tasks = (launch_group.task_group.tasks ?? []).map((task) => this.#adjust(task));
    const error = id
      ? 'The `id` field cannot be set on LAUNCH_GROUP operations'
      : groupError(tasks, executor, this.#around());
    if (error !== undefined) return tasks.forEach((task) => this.#refuse(task, 'REASON_TASK_GROUP_INVALID', error));
    const forbidden = tasks.find((task) => !this.#mayRun({ ...task, executor }));
    if (forbidden)
      return tasks.forEach((task) =>
        this.#refuse(task, 'REASON_TASK_GROUP_UNAUTHORIZED', this.#unauthorized({ ...forbidden, executor })),
      );
    this.#run(
      tasks.map((task) => ({ ...task, executor })),
      executor,
      true,
    );
  }

  #adjust(task: TaskInfo): TaskInfo {
    const executor = task.executor && {
      ...this.#adjustExecutor(task.executor),
      framework_id: task.executor.framework_id ?? { value: this.#framework.id },
    };
    return { ...task, resources: adjusted(task.resources, this.#role), ...(executor ? { executor } : {}) };
  }

  #adjustExecutor(executor: ExecutorInfo): ExecutorInfo {
    return executor.resources ? { ...executor, resources: adjusted(executor.resources, this.#role) } : executor;
  }

  #around(): Surroundings {
    const framework = this.#framework;
    const agentId = this.#agent.id;
    return {
      frameworkId: framework.id,
      agentId,
      available: this.left,
      hasTask: (id) => framework.tasks.has(id) || framework.unreachable.has(id),
      executor: (id) => framework.executors.get(executorKey(agentId, id))?.info,
    };
  }

  #mayRun(task: TaskInfo): boolean {
    return this.#master.authorization.mayRun(this.#framework.info.principal, this.#userOf(task));
  }

  #userOf({ command, executor }: TaskInfo): string {
    return command?.user ?? executor?.command?.user ?? this.#framework.info.user;
  }

  /** In Mesos' words. */
  #unauthorized(task: TaskInfo): string {
    const { id, info } = this.#framework;
    const user = this.#userOf(task);
    return `Principal '${info.principal ?? ''}' no authorized to launch task ${task.task_id.value} of framework ${id} under user '${user}'`;
  }

  #refuse(task: TaskInfo, reason: Reason, message: string): void {
    tell(this.#framework, {
      taskId: task.task_id.value,
      agentId: task.agent_id.value,
      state: 'TASK_ERROR',
      reason,
      message,
    });
  }

  #run(tasks: TaskInfo[], executor: ExecutorInfo | undefined, isGroup: boolean): void {
    const framework = this.#framework;
    const agent = this.#agent;
    if (executor && !framework.executors.has(executorKey(agent.id, executor.executor_id.value))) {
      addExecutor(framework, agent, executor);
      this.left = subtract(this.left, executor.resources ?? []);
    }
    for (const task of tasks) {
      addTask(this.#master, framework, agent, taskOf(task, framework.id, executor?.executor_id.value));
      this.left = subtract(this.left, task.resources ?? []);
    }
    const work: Work = { framework: framework.info, executor, tasks, isGroup };
    if (agent.connected && !agent.partitioned) agent.link.run(work);
  }
}
