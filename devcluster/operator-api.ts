/** POST /api/v1 of the master: questions, the event stream, and the few orders that a devcluster takes. */
import { masterCall, masterEvent, masterResponse } from '../mesos/codec.ts';
import type { Call, Event, Response, ResponseGetState } from '../mesos/master.ts';
import { nameOf, type Principal } from './authentication.ts';
import { answer, answerMessage, HttpAnswer, negotiate, readCall, RecordStream, type Request } from './http.ts';
import { tearDown } from './frameworks.ts';
import { maintenanceStatus, startMaintenance, stopMaintenance, updateSchedule } from './maintenance.ts';
import { endDrain, startDrain } from './drain.ts';
import { deactivate, markGone } from './membership.ts';
import { flags, metrics } from './facts.ts';
import { operateAsOperator, operationOf } from './operator-resources.ts';
import { changeQuota, quotaStatus } from './quota.ts';
import { rolesOf } from './role-views.ts';
import { some } from './some.ts';
import { describeAgent, describeFramework, version } from './snapshot.ts';
import type { Master } from './state.ts';
import { isTerminal } from './status.ts';
import { updateWeights, weightsOf } from './weights.ts';

/** `--max_operator_event_stream_subscribers` */
const maxSubscribers = 1000;

export function handleOperator(master: Master, request: Request, who: Principal | undefined): void {
  const { call } = readCall(request, masterCall);
  if (!('type' in call)) throw new HttpAnswer(400, "Failed to validate master::Call: Expecting 'type' to be present");
  const contentType = negotiate(request.headers.accept);
  checkBody(call);
  if (call.type === 'SUBSCRIBE') {
    const stream = new RecordStream(request.response, masterEvent, contentType, {});
    return subscribe(master, stream, nameOf(who));
  }
  const given = ask(master, call, nameOf(who)) ?? order(master, call, nameOf(who));
  if (typeof given === 'number') answer(request.response, given);
  else answerMessage(request.response, masterResponse, given, contentType);
}

const bodies: Partial<Record<Call['type'], string>> = {
  TEARDOWN: 'teardown',
  MARK_AGENT_GONE: 'mark_agent_gone',
  UPDATE_WEIGHTS: 'update_weights',
  LIST_FILES: 'list_files',
  READ_FILE: 'read_file',
  UPDATE_MAINTENANCE_SCHEDULE: 'update_maintenance_schedule',
  START_MAINTENANCE: 'start_maintenance',
  STOP_MAINTENANCE: 'stop_maintenance',
  DEACTIVATE_AGENT: 'deactivate_agent',
  REACTIVATE_AGENT: 'reactivate_agent',
  DRAIN_AGENT: 'drain_agent',
  UPDATE_QUOTA: 'update_quota',
  SET_QUOTA: 'set_quota',
  REMOVE_QUOTA: 'remove_quota',
  RESERVE_RESOURCES: 'reserve_resources',
  UNRESERVE_RESOURCES: 'unreserve_resources',
  CREATE_VOLUMES: 'create_volumes',
  DESTROY_VOLUMES: 'destroy_volumes',
  GROW_VOLUME: 'grow_volume',
  SHRINK_VOLUME: 'shrink_volume',
};

function checkBody(call: Call): void {
  const body = bodies[call.type];
  if (body !== undefined && !(body in call))
    throw new HttpAnswer(400, `Failed to validate master::Call: Expecting '${body}' to be present`);
}

function subscribe(master: Master, stream: RecordStream<Event>, principal: string | undefined): void {
  const interval = master.timings.heartbeatInterval;
  stream.send({
    type: 'SUBSCRIBED',
    subscribed: { get_state: stateOf(master, principal), heartbeat_interval_seconds: interval / 1000 },
  });
  stream.send({ type: 'HEARTBEAT' });
  const timer = setInterval(() => stream.send({ type: 'HEARTBEAT' }), interval);
  master.operators.add(stream);
  stream.onClose(() => {
    clearInterval(timer);
    master.operators.delete(stream);
  });
  const oldest = master.operators.values().next().value;
  if (master.operators.size > maxSubscribers) oldest?.end();
}

/** The answers to questions; undefined for what is no question. */
function ask(master: Master, call: Call, principal: string | undefined): Response | undefined {
  const { type } = call;
  switch (type) {
    case 'GET_HEALTH':
      return { type, get_health: { healthy: true } };
    case 'GET_VERSION':
      return { type, get_version: { version_info: { version } } };
    case 'GET_FLAGS':
      return { type, get_flags: { flags: flags(master) } };
    case 'GET_METRICS':
      return { type, get_metrics: { metrics: metrics(master) } };
    case 'GET_LOGGING_LEVEL':
      return { type, get_logging_level: { level: 0 } };
    case 'GET_MASTER':
      return {
        type,
        get_master: {
          master_info: master.info,
          start_time: master.startedAt / 1000,
          elected_time: master.electedAt / 1000,
        },
      };
    case 'GET_STATE':
      return { type, get_state: stateOf(master, principal) };
    case 'GET_AGENTS':
      return { type, get_agents: agentsOf(master) };
    case 'GET_FRAMEWORKS':
      return { type, get_frameworks: frameworksOf(master) };
    case 'GET_TASKS':
      return { type, get_tasks: tasksOf(master) };
    case 'GET_EXECUTORS':
      return { type, get_executors: executorsOf(master, principal) };
    case 'GET_ROLES':
      return { type, get_roles: { roles: rolesOf(master) } };
    // Without any there is no list at all.
    case 'GET_WEIGHTS':
      return master.registry.weights.size === 0 ? { type } : { type, get_weights: { weight_infos: weightsOf(master) } };
    case 'GET_QUOTA':
      return { type, get_quota: { status: quotaStatus(master) } };
    case 'GET_MAINTENANCE_STATUS':
      return { type, get_maintenance_status: { status: maintenanceStatus(master) } };
    case 'GET_MAINTENANCE_SCHEDULE':
      return { type, get_maintenance_schedule: { schedule: master.registry.schedule } };
    case 'GET_OPERATIONS':
      return { type, get_operations: some('operations', [...master.operations.values()]) };
    default:
      return undefined;
  }
}

/** Orders; gives the status. */
function order(master: Master, call: Call, principal: string | undefined): number {
  if (call.type === 'TEARDOWN') {
    const framework = master.frameworks.get(call.teardown.framework_id.value);
    if (!framework) throw new HttpAnswer(400, 'No framework found with specified ID');
    tearDown(master, framework, principal);
    return 200;
  }
  if (call.type === 'MARK_AGENT_GONE') {
    const id = call.mark_agent_gone.agent_id.value;
    if (!markGone(master, id)) throw new HttpAnswer(404, `Agent '${id}' not found`);
    return 200;
  }
  if (call.type === 'UPDATE_WEIGHTS') {
    updateWeights(master, call.update_weights.weight_infos ?? []);
    return 200;
  }
  if (changeQuota(master, call) || maintain(master, call)) return 200;
  const asked = operationOf(call);
  if (asked) {
    operateAsOperator(master, asked.agentId, asked.operation);
    return 202;
  }
  // A master of the devcluster keeps no files.
  if (call.type === 'LIST_FILES' || call.type === 'READ_FILE')
    throw new HttpAnswer(404, '', { 'content-type': 'text/plain; charset=utf-8' });
  const type: string = call.type;
  if (type === 'UNKNOWN') throw new HttpAnswer(501, '501 Not Implemented.');
  throw new HttpAnswer(501, `The devcluster does not emulate ${call.type}`);
}

/** Does what a call about maintenance or deactivation says; false for other calls. */
function maintain(master: Master, call: Call): boolean {
  if (call.type === 'UPDATE_MAINTENANCE_SCHEDULE') updateSchedule(master, call.update_maintenance_schedule.schedule);
  else if (call.type === 'START_MAINTENANCE') startMaintenance(master, call.start_maintenance.machines ?? []);
  else if (call.type === 'STOP_MAINTENANCE') stopMaintenance(master, call.stop_maintenance.machines ?? []);
  else if (call.type === 'DEACTIVATE_AGENT') deactivate(master, call.deactivate_agent.agent_id.value);
  else if (call.type === 'REACTIVATE_AGENT') endDrain(master, call.reactivate_agent.agent_id.value);
  else if (call.type === 'DRAIN_AGENT') startDrain(master, call.drain_agent);
  else return false;
  return true;
}

function stateOf(master: Master, principal: string | undefined): ResponseGetState {
  return {
    get_tasks: tasksOf(master),
    get_executors: executorsOf(master, principal),
    get_frameworks: frameworksOf(master),
    get_agents: agentsOf(master),
  };
}

const agentsOf = (master: Master) => ({
  ...some(
    'agents',
    [...master.agents.values()].map((agent) => describeAgent(master, agent)),
  ),
  ...some('recovered_agents', [...master.recovered.values()]),
});

const frameworksOf = (master: Master) => ({
  ...some(
    'frameworks',
    [...master.frameworks.values()].map((framework) => describeFramework(master, framework)),
  ),
  ...some(
    'completed_frameworks',
    [...master.completed.values()].map((framework) => describeFramework(master, framework)),
  ),
});

const executorsOf = (master: Master, principal: string | undefined) =>
  some(
    'executors',
    [...master.frameworks.values()].flatMap((framework) =>
      [...framework.executors.values()]
        .filter(({ info }) =>
          master.authorization.mayViewExecutor(principal, info.command?.user ?? framework.info.user),
        )
        .map(({ agent, info }) => ({ executor_info: info, agent_id: { value: agent } })),
    ),
  );

function tasksOf(master: Master) {
  const all = [...master.frameworks.values(), ...master.completed.values()];
  const tasks = all.flatMap((framework) => [...framework.tasks.values()].map((record) => record.task));
  return {
    ...some(
      'tasks',
      tasks.filter((task) => !isTerminal(task.state)),
    ),
    ...some(
      'completed_tasks',
      all.flatMap((framework) => framework.completed).concat(tasks.filter((task) => isTerminal(task.state))),
    ),
    ...some(
      'unreachable_tasks',
      all.flatMap((framework) => [...framework.unreachable.values()]),
    ),
  };
}
