/** Which tasks the master refuses (TASK_ERROR), in its words and in the order of its checks. */
import type { CheckInfo, CommandInfo, ExecutorInfo, HealthCheck, TaskInfo } from '../mesos/tasks.ts';
import type { Resource } from '../mesos/types.ts';
import { incompatible, isCompatible } from './compatible.ts';
import { add, contains, isEmpty, refined, scalarOf } from './resources.ts';
import { printResource, printResources } from './resource-text.ts';
import { idError } from './roles.ts';

/** What a task is judged against. */
export interface Surroundings {
  frameworkId: string;
  agentId: string;
  /** What the offers hold still. */
  available: readonly Resource[];
  hasTask(taskId: string): boolean;
  /** The executor of that id that runs on this agent, or will after this ACCEPT. */
  executor(executorId: string): ExecutorInfo | undefined;
}

export function launchError(task: TaskInfo, around: Surroundings): string | undefined {
  const executor = task.executor;
  const isNew = executor && !around.executor(executor.executor_id.value);
  return (
    taskError(task, around) ??
    (Boolean(task.command) === Boolean(executor)
      ? 'Task should have at least one (but not both) of CommandInfo or ExecutorInfo present'
      : undefined) ??
    (executor ? launchExecutorError(executor, around) : undefined) ??
    mixError(task.resources ?? [], executor?.resources ?? []) ??
    sizeError(add(task.resources ?? [], isNew ? (executor.resources ?? []) : []), around)
  );
}

/** A group stands or falls as a whole. */
export function groupError(
  tasks: readonly TaskInfo[],
  executor: ExecutorInfo,
  around: Surroundings,
): string | undefined {
  const running = around.executor(executor.executor_id.value);
  return (
    groupExecutorError(executor, running, around) ??
    groupTasksError(tasks, executor, around) ??
    sizeError(
      [...tasks.map((task) => task.resources ?? []), running ? [] : (executor.resources ?? [])].reduce(add, []),
      around,
    )
  );
}

function groupTasksError(tasks: readonly TaskInfo[], executor: ExecutorInfo, around: Surroundings): string | undefined {
  if (tasks.length === 0) return 'Task group cannot be empty';
  for (const task of tasks) {
    const id = task.task_id.value;
    const error = taskError(task, around);
    if (error !== undefined) return `Task '${id}' is invalid: ${error}`;
    if (task.executor && !isCompatible(task.executor, executor))
      return `The \`ExecutorInfo\` of task '${id}' is different from executor '${executor.executor_id.value}'`;
  }
  return undefined;
}

/** What holds for a task in a LAUNCH and in a group. */
function taskError(task: TaskInfo, around: Surroundings): string | undefined {
  const id = task.task_id.value;
  return (
    idError(id) ??
    (around.hasTask(id) ? `Task has duplicate ID: ${id}` : undefined) ??
    (task.agent_id.value === around.agentId
      ? undefined
      : `Task uses invalid agent ${task.agent_id.value} while agent ${around.agentId} is expected`) ??
    killError(task) ??
    (isNegative(task.max_completion_time) ? "Task's `max_completion_time` must be non-negative" : undefined) ??
    checkError(task.check) ??
    healthError(task.health_check) ??
    resourcesError('Task', task.resources ?? []) ??
    rolesError(task.resources ?? []) ??
    commandError(task.command) ??
    limitsError(task)
  );
}

const isNegative = (duration: { nanoseconds: bigint } | undefined): boolean => (duration?.nanoseconds ?? 0n) < 0n;

const killError = (task: TaskInfo): string | undefined =>
  isNegative(task.kill_policy?.grace_period) ? "Task's 'kill_policy.grace_period' must be non-negative" : undefined;

const members = { COMMAND: 'command', HTTP: 'http', TCP: 'tcp' } as const;

function checkError(check: CheckInfo | undefined): string | undefined {
  const { type } = check ?? {};
  if (!check) return undefined;
  if (type === undefined) return "Task uses invalid check: CheckInfo must specify 'type'";
  if (type === 'UNKNOWN') return "Task uses invalid check: 'UNKNOWN' is not a valid check type";
  return check[members[type]]
    ? undefined
    : `Task uses invalid check: Expecting '${members[type]}' to be set for ${type} check`;
}

function healthError(check: HealthCheck | undefined): string | undefined {
  if (!check?.type || check.type === 'UNKNOWN') return undefined;
  const member = members[check.type];
  return check[member]
    ? undefined
    : `Task uses invalid health check: Expecting '${member}' to be set for ${check.type} health check`;
}

function commandError(command: CommandInfo | undefined): string | undefined {
  for (const { name, type = 'VALUE', value, secret } of command?.environment?.variables ?? []) {
    const said = `Task's \`CommandInfo\` is invalid: Environment variable '${name}' of type '${type}'`;
    if (type === 'VALUE' && secret) return `${said} must not have a secret set`;
    if (type === 'VALUE' && value === undefined) return `${said} must have a value set`;
    if (type === 'SECRET' && value !== undefined) return `${said} must not have a value set`;
    if (type === 'SECRET' && !secret) return `${said} must have a secret set`;
  }
  return undefined;
}

function limitsError(task: TaskInfo): string | undefined {
  for (const [name, limit] of Object.entries(task.limits ?? {})) {
    if (name !== 'cpus' && name !== 'mem') return "Only cpus and mem may be included in a task's resource limits";
    const request = scalarOf(task.resources ?? [], name);
    const short = name === 'cpus' ? 'cpu' : 'memory';
    if (limit.value < request) return `The ${short} limit must be greater than or equal to the ${short} request`;
  }
  return undefined;
}

function resourcesError(who: string, resources: readonly Resource[]): string | undefined {
  if (resources.length === 0) return `${who} uses no resources`;
  for (const resource of resources) {
    const error = resourceError(resource);
    if (error !== undefined) return `Resource '${printResource(rounded(resource))}' is invalid: ${error}`;
  }
  const gpus = resources.filter((resource) => resource.name === 'gpus');
  if (gpus.some((resource) => !Number.isInteger(resource.scalar?.value)))
    return `${who} uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer`;
  return mixError(resources, [])?.replace('Task and its executor mix', `${who} mixes`);
}

function rolesError(resources: readonly Resource[]): string | undefined {
  const roles = resources.map(({ allocation_info }) => allocation_info?.role ?? '');
  const other = roles.find((role) => role !== roles[0]);
  return other === undefined
    ? undefined
    : `Invalid task resources: The resources have multiple allocation roles ('${other}' and '${roles[0]}') but only one allocation role is allowed`;
}

const rounded = (resource: Resource): Resource =>
  resource.scalar ? { ...resource, scalar: { value: Math.round(resource.scalar.value * 1000) / 1000 } } : resource;

/** What is wrong with one resource, or undefined. */
export function resourceError({ type, scalar, ranges, set }: Resource): string | undefined {
  if (type === 'SCALAR') {
    if (!scalar) return 'Invalid scalar resource';
    return Math.round(scalar.value * 1000) <= 0 ? 'Invalid scalar resource: value <= 0' : undefined;
  }
  if (type === 'RANGES') {
    if (!ranges) return 'Invalid ranges resource';
    return (ranges.range ?? []).some((r) => r.begin > r.end) ? 'Invalid ranges resource: begin > end' : undefined;
  }
  return type === 'SET' && set ? undefined : 'Unsupported resource type';
}

function mixError(task: readonly Resource[], executor: readonly Resource[]): string | undefined {
  const all = [...task, ...executor];
  const mixed = all.find((a) => all.some((b) => a.name === b.name && Boolean(a.revocable) !== Boolean(b.revocable)));
  return mixed
    ? 'Task and its executor mix revocable and non-revocable resources: ' +
        `Cannot use both revocable and non-revocable '${mixed.name}' at the same time`
    : undefined;
}

const sizeError = (wanted: readonly Resource[], around: Surroundings): string | undefined =>
  contains(around.available, wanted)
    ? undefined
    : `Total resources ${printResources(wanted)} required by task and its executor is more than available ${printResources(around.available)}`;

function launchExecutorError(executor: ExecutorInfo, around: Surroundings): string | undefined {
  const { type } = executor;
  return (
    executorError(executor, around) ??
    (type !== undefined && type !== 'CUSTOM' ? "'ExecutorInfo.type' must be 'CUSTOM'" : undefined) ??
    (executor.command ? undefined : "'ExecutorInfo.command' must be set for 'CUSTOM' executor") ??
    compatibilityError(executor, around.executor(executor.executor_id.value))
  );
}

function executorError(executor: ExecutorInfo, around: Surroundings): string | undefined {
  const actual = executor.framework_id?.value ?? around.frameworkId;
  return (
    idError(executor.executor_id.value) ??
    (actual === around.frameworkId
      ? undefined
      : `ExecutorInfo has an invalid FrameworkID (Actual: ${actual} vs Expected: ${around.frameworkId})`) ??
    (isNegative(executor.shutdown_grace_period)
      ? "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
      : undefined) ??
    (executor.resources ? resourcesError('Executor', executor.resources) : undefined)
  );
}

const compatibilityError = (wanted: ExecutorInfo, running: ExecutorInfo | undefined): string | undefined =>
  running && !isCompatible(running, wanted) ? incompatible(running, wanted) : undefined;

function groupExecutorError(
  executor: ExecutorInfo,
  running: ExecutorInfo | undefined,
  around: Surroundings,
): string | undefined {
  const id = executor.executor_id.value;
  if (executor.type === undefined || executor.type === 'UNKNOWN') return "'ExecutorInfo.type' must be set";
  if (!executor.framework_id) return "'ExecutorInfo.framework_id' must be set";
  if (executor.type === 'DEFAULT' && executor.command)
    return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor";
  if (executor.type === 'CUSTOM' && !executor.command)
    return "'ExecutorInfo.command' must be set for 'CUSTOM' executor";
  const [cpus, mem] = [scalarOf(executor.resources ?? [], 'cpus'), scalarOf(executor.resources ?? [], 'mem')];
  return (
    executorError(executor, around) ??
    compatibilityError(executor, running) ??
    (cpus < 0.01
      ? `Executor '${id}' uses less CPUs (${cpus || 'None'}) than the minimum required (0.01)`
      : undefined) ??
    (mem < 32
      ? `Executor '${id}' uses less memory (${mem ? `${mem}MB` : 'None'}) than the minimum required (32MB)`
      : undefined) ??
    (scalarOf(executor.resources ?? [], 'disk') > 0 ? undefined : `Executor '${id}' uses no disk`)
  );
}

/** Resources of nothing are dropped before anything is looked at; those without a role get the one of the offer. */
export function adjusted(resources: readonly Resource[] | undefined, role: string): Resource[] {
  return (resources ?? [])
    .filter((resource) => !(isEmpty(resource) && resource.scalar?.value === 0))
    .map((resource) => inRole(refined(resource), role));
}

export const inRole = (resource: Resource, role: string): Resource =>
  resource.allocation_info ? resource : { ...resource, allocation_info: { role } };
