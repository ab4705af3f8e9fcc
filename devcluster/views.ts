/** The v0 JSON views of the master: what mesos-dns, pages and exporters read. */
import { messageType } from '../mesos/codec.ts';
import type { Schedule } from '../mesos/master.ts';
import type { MasterInfo, Resource } from '../mesos/types.ts';
import type { Task } from '../mesos/tasks.ts';
import { nameOf, type Principal } from './authentication.ts';
import { answer, answerJson, answerMessage, HttpAnswer, type Request } from './http.ts';
import { flags, metrics } from './facts.ts';
import { tearDown } from './frameworks.ts';
import { allocatedOf } from './offers.ts';
import { maintenanceStatus } from './maintenance.ts';
import { add, scalarOf } from './resources.ts';
import { quotaStatus } from './quota.ts';
import { rolesOf } from './role-views.ts';
import { version } from './snapshot.ts';
import type { Agent, Framework, Master } from './state.ts';
import { weightsOf } from './weights.ts';

const schedule = messageType<Schedule>('mesos.v1.maintenance.Schedule');
const clusterStatus = messageType<ReturnType<typeof maintenanceStatus>>('mesos.v1.maintenance.ClusterStatus');

/** Answered by every master, whoever leads. */
export const openViews = ['/health', '/version', '/flags', '/metrics'];

export function handleView(
  path: string,
  request: Request,
  info: MasterInfo,
  master: Master | undefined,
  who: Principal | undefined,
): void {
  const { response } = request;
  if (path.startsWith('/health')) return answer(response, 200);
  if (path.startsWith('/version')) return answerJson(response, { version });
  if (path.startsWith('/flags')) return answerJson(response, { flags: master ? pairs(flags(master)) : {} });
  if (path.startsWith('/metrics'))
    return answerJson(response, master ? pairs(metrics(master)) : { 'master/elected': 0 });
  if (!master) throw new HttpAnswer(503, 'No leader elected');
  if (path.startsWith('/state-summary')) return answerJson(response, summary(master, info));
  if (path.startsWith('/state')) return answerJson(response, state(master, info));
  if (path.startsWith('/slaves')) return answerJson(response, slaves(master));
  if (path.startsWith('/frameworks')) return answerJson(response, frameworks(master));
  if (path.startsWith('/tasks')) return answerJson(response, { tasks: tasks(master) });
  if (path.startsWith('/quota')) return answerJson(response, quotaStatus(master));
  if (path.startsWith('/weights')) return answerJson(response, weightsOf(master));
  if (path.startsWith('/maintenance/schedule'))
    return answerMessage(response, schedule, master.registry.schedule, 'application/json');
  if (path.startsWith('/maintenance/status'))
    return answerMessage(response, clusterStatus, maintenanceStatus(master), 'application/json');
  if (path.startsWith('/roles')) return answerJson(response, { roles: roles(master) });
  if (path.startsWith('/teardown')) return teardown(master, request, who);
  throw new HttpAnswer(404, '404 Not Found.');
}

const pairs = <T>(list: readonly { name: string; value: T }[]): Record<string, T> =>
  Object.fromEntries(list.map(({ name, value }) => [name, value]));

function teardown(master: Master, request: Request, who: Principal | undefined): void {
  if (request.method !== 'POST')
    throw new HttpAnswer(
      405,
      `405 Method Not Allowed. Expecting one of { 'POST' }, but received '${request.method}'.`,
      {
        allow: 'POST',
      },
    );
  const id = new URLSearchParams(request.body.toString()).get('frameworkId');
  if (id === null) throw new HttpAnswer(400, "Missing 'frameworkId' query parameter");
  const framework = master.frameworks.get(id);
  if (!framework) throw new HttpAnswer(400, 'No framework found with specified ID');
  tearDown(master, framework, nameOf(who));
  answer(request.response, 200);
}

/** `{"cpus":4,"mem":4096,"disk":0,"gpus":0,"ports":"[31000-31999]"}` */
export function flat(resources: readonly Resource[]): Record<string, number | string> {
  const out: Record<string, number | string> = { disk: 0, mem: 0, gpus: 0, cpus: 0 };
  for (const { name, type, ranges, set } of add([], resources)) {
    if (type === 'SCALAR') out[name] = scalarOf(resources, name);
    else if (type === 'RANGES') out[name] = `[${(ranges?.range ?? []).map((r) => `${r.begin}-${r.end}`).join(', ')}]`;
    else out[name] = `{${(set?.item ?? []).join(', ')}}`;
  }
  return out;
}

function slave(agent: Agent) {
  const attributes = (agent.info.attributes ?? []).map(
    ({ name, text, scalar, ranges }) =>
      [name, text?.value ?? scalar?.value ?? flat([{ name, type: 'RANGES', ranges: ranges ?? {} }])[name]] as const,
  );
  return {
    id: agent.id,
    hostname: agent.info.hostname,
    port: agent.info.port ?? 5051,
    pid: agent.pid,
    attributes: Object.fromEntries(attributes),
    resources: flat(agent.total),
    used_resources: flat(agent.used),
    active: agent.connected,
    version,
    registered_time: agent.registeredAt / 1000,
    ...(agent.info.domain ? { domain: agent.info.domain } : {}),
  };
}

const slaves = (master: Master) => ({
  slaves: [...master.agents.values()].map(slave),
  recovered_slaves: [...master.recovered].map(([id, { hostname }]) => ({ id, hostname })),
});

/** Labels are a list here, messages are as the v1 API writes them; what a task does not have is left out. */
export function task(one: Task) {
  const { task_id, name, framework_id, executor_id, agent_id, state, resources, statuses } = one;
  return {
    id: task_id.value,
    name,
    framework_id: framework_id.value,
    executor_id: executor_id?.value ?? '',
    slave_id: agent_id.value,
    state,
    resources: flat(resources ?? []),
    role: resources?.[0]?.allocation_info?.role ?? '*',
    statuses: (statuses ?? []).map((status) => ({
      state: status.state,
      timestamp: status.timestamp,
      labels: status.labels?.labels,
      container_status: status.container_status,
      healthy: status.healthy,
    })),
    labels: one.labels?.labels,
    discovery: one.discovery,
    container: one.container,
  };
}

const tasks = (master: Master) =>
  [...master.frameworks.values()].flatMap((framework) =>
    [...framework.tasks.values()].map((record) => task(record.task)),
  );

function framework(master: Master, one: Framework) {
  const { info } = one;
  const offers = [...master.offers.values()].filter((offer) => offer.framework === one);
  const used = allocatedOf(master, one);
  return {
    id: one.id,
    name: info.name,
    user: info.user,
    hostname: info.hostname ?? '',
    webui_url: info.webui_url ?? '',
    failover_timeout: info.failover_timeout ?? 0,
    checkpoint: info.checkpoint ?? false,
    ...(one.capabilities.has('MULTI_ROLE') ? { roles: one.roles } : { role: one.roles[0] }),
    capabilities: [...one.capabilities],
    active: one.stream !== undefined,
    connected: one.stream !== undefined,
    recovered: one.recovered,
    registered_time: one.registeredAt / 1000,
    unregistered_time: one.unregisteredAt / 1000,
    resources: flat(used),
    used_resources: flat([...one.tasks.values()].flatMap((record) => record.task.resources ?? [])),
    offered_resources: flat(offers.flatMap((offer) => offer.resources)),
    tasks: [...one.tasks.values()].map((record) => task(record.task)),
    unreachable_tasks: [...one.unreachable.values()].map(task),
    completed_tasks: one.completed.map(task),
    offers: offers.map(({ id, agent, resources }) => ({ id, slave_id: agent.id, resources: flat(resources) })),
    executors: [...one.executors.values()].map(({ agent, info: executor }) => ({
      executor_id: executor.executor_id.value,
      slave_id: agent,
      resources: flat(executor.resources ?? []),
    })),
  };
}

const frameworks = (master: Master) => ({
  frameworks: [...master.frameworks.values()].map((one) => framework(master, one)),
  completed_frameworks: [...master.completed.values()].map((one) => framework(master, one)),
  unregistered_frameworks: [],
});

const roles = (master: Master) =>
  rolesOf(master).map(({ name, weight, frameworks: members = [], resources = [] }) => ({
    name,
    weight,
    frameworks: members.map(({ value }) => value),
    resources: flat(resources),
  }));

function head(master: Master, info: MasterInfo) {
  return { hostname: info.hostname, cluster: 'devcluster', ...slaves(master), version };
}

function summary(master: Master, info: MasterInfo) {
  const short = [...master.frameworks.values()].map((one) => {
    const {
      tasks: _tasks,
      completed_tasks: _completed,
      offers: _offers,
      executors: _executors,
      ...rest
    } = framework(master, one);
    return rest;
  });
  return { ...head(master, info), frameworks: short };
}

function state(master: Master, info: MasterInfo) {
  const agents = [...master.agents.values()];
  return {
    ...head(master, info),
    start_time: master.startedAt / 1000,
    elected_time: master.electedAt / 1000,
    id: info.id,
    pid: info.pid,
    leader: info.pid,
    leader_info: { id: info.id, pid: info.pid, port: info.port, hostname: info.hostname },
    activated_slaves: agents.filter((agent) => agent.connected).length,
    deactivated_slaves: agents.filter((agent) => !agent.connected).length,
    unreachable_slaves: master.registry.unreachable.size,
    flags: pairs(flags(master)),
    ...frameworks(master),
    orphan_tasks: [],
  };
}
