/** POST /api/v1/scheduler: the checks in Mesos' order, then the call. */
import { randomUUID } from 'node:crypto';
import { schedulerCall, schedulerEvent } from '../mesos/codec.ts';
import type { Call } from '../mesos/scheduler.ts';
import { accept } from './accept.ts';
import { removeFramework, subscribe, subscribeError } from './frameworks.ts';
import { answer, HttpAnswer, negotiate, readCall, RecordStream, type Request } from './http.ts';
import { addFilter, dropFilters, removeOffer, rescind } from './offers.ts';
import { answerOne, reconcile } from './reconcile.ts';
import type { Agent, Framework, Master } from './state.ts';
import { acknowledge } from './tasks.ts';
import { callError, capabilitiesOf, frameworkError, rolesOf } from './validate-call.ts';

export function handleScheduler(master: Master, request: Request): void {
  const { call } = readCall(request, schedulerCall);
  const error = callError(call);
  if (error !== undefined) throw new HttpAnswer(400, `Failed to validate scheduler::Call: ${error}`);
  if (call.type === 'SUBSCRIBE') return handleSubscribe(master, request, call);
  const framework = master.frameworks.get(call.framework_id!.value);
  if (!framework) throw new HttpAnswer(400, 'Framework cannot be found');
  if (!framework.stream) throw new HttpAnswer(403, 'Framework is not subscribed');
  const streamId = request.headers['mesos-stream-id'];
  if (streamId === undefined)
    throw new HttpAnswer(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header");
  if (streamId !== framework.streamId)
    throw new HttpAnswer(
      400,
      `The stream ID '${String(streamId)}' included in this request didn't match the stream ID currently associated with framework ID ${framework.id}`,
    );
  answer(request.response, perform(master, framework, call));
}

function handleSubscribe(master: Master, request: Request, call: Extract<Call, { type: 'SUBSCRIBE' }>): void {
  const contentType = negotiate(request.headers.accept);
  if (request.headers['mesos-stream-id'] !== undefined)
    throw new HttpAnswer(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header");
  const { framework_info, suppressed_roles = [], offer_constraints } = call.subscribe;
  const streamId = randomUUID();
  const stream = new RecordStream(request.response, schedulerEvent, contentType, { 'mesos-stream-id': streamId });
  const error =
    frameworkError(framework_info, suppressed_roles, offer_constraints) ?? subscribeError(master, framework_info);
  if (error === undefined) {
    subscribe(master, framework_info, suppressed_roles, stream, streamId);
    return;
  }
  stream.send({ type: 'ERROR', error: { message: error } });
  stream.end();
}

/** Does it, and gives the status of the answer. */
function perform(master: Master, framework: Framework, call: Call): number {
  switch (call.type) {
    case 'ACCEPT':
      accept(master, framework, call.accept);
      break;
    case 'DECLINE':
      for (const { value } of call.decline.offer_ids ?? []) {
        const offer = master.offers.get(value);
        if (offer?.framework !== framework) continue;
        removeOffer(master, offer);
        addFilter(master, offer, offer.resources, call.decline.filters);
      }
      break;
    case 'REVIVE':
      revive(master, framework, call.revive?.roles ?? []);
      break;
    case 'SUPPRESS':
      for (const role of someRoles(framework, call.suppress?.roles ?? [])) framework.suppressed.add(role);
      break;
    case 'TEARDOWN':
      removeFramework(master, framework);
      break;
    case 'KILL':
      kill(master, framework, call.kill);
      break;
    case 'SHUTDOWN':
      reach(master, call.shutdown.agent_id.value)?.link.shutdownExecutor(framework.id, call.shutdown.executor_id.value);
      break;
    case 'ACKNOWLEDGE': {
      const { agent_id, task_id, uuid } = call.acknowledge;
      acknowledge(master, framework, agent_id.value, task_id.value, uuid);
      break;
    }
    case 'RECONCILE':
      reconcile(master, framework, call.reconcile.tasks ?? []);
      break;
    case 'MESSAGE': {
      const { agent_id, executor_id, data } = call.message;
      reach(master, agent_id.value)?.link.message(framework.id, executor_id.value, data);
      break;
    }
    case 'UPDATE_FRAMEWORK':
      updateFramework(master, framework, call);
      return 200;
    // A hint that the hierarchical allocator ignores; and what belongs to maintenance and operations, not emulated.
    case 'REQUEST':
    case 'ACCEPT_INVERSE_OFFERS':
    case 'DECLINE_INVERSE_OFFERS':
    case 'ACKNOWLEDGE_OPERATION_STATUS':
    case 'RECONCILE_OPERATIONS':
      break;
    default:
      // A real master dies of type UNKNOWN here; nobody should want that of an emulator.
      throw new HttpAnswer(501, `Unimplemented call`);
  }
  return 202;
}

const someRoles = (framework: Framework, roles: readonly string[]): readonly string[] =>
  roles.length === 0 ? framework.roles : roles.filter((role) => framework.roles.includes(role));

function revive(master: Master, framework: Framework, given: readonly string[]): void {
  const roles = someRoles(framework, given);
  for (const role of roles) framework.suppressed.delete(role);
  dropFilters(framework, roles);
  if (roles.length > 0) master.allocateSoon();
}

/** The agent, when a message would get there. */
function reach(master: Master, agentId: string): Agent | undefined {
  const agent = master.agents.get(agentId);
  return agent && agent.connected && !agent.partitioned ? agent : undefined;
}

function kill(
  master: Master,
  framework: Framework,
  { task_id, agent_id, kill_policy }: Extract<Call, { type: 'KILL' }>['kill'],
): void {
  const record = framework.tasks.get(task_id.value);
  if (!record) return answerOne(master, framework, { task_id, ...(agent_id ? { agent_id } : {}) });
  const agent = reach(master, record.task.agent_id.value);
  agent?.link.kill(framework.id, task_id.value, kill_policy);
}

function updateFramework(
  master: Master,
  framework: Framework,
  call: Extract<Call, { type: 'UPDATE_FRAMEWORK' }>,
): void {
  const { framework_info: info, suppressed_roles = [], offer_constraints } = call.update_framework;
  const refuse = (what: string) => {
    throw new HttpAnswer(400, what);
  };
  const error = frameworkError(info, suppressed_roles, offer_constraints);
  if (error !== undefined) refuse(error);
  const { principal, user, checkpoint = false } = framework.info;
  if (info.principal !== principal) refuse("Changing framework's principal is not allowed.");
  if (info.user !== user) refuse("Updating 'FrameworkInfo.user' is unsupported");
  if ((info.checkpoint ?? false) !== checkpoint) refuse("Updating 'FrameworkInfo.checkpoint' is unsupported");
  framework.info = info;
  framework.capabilities = capabilitiesOf(info);
  framework.roles = rolesOf(info);
  framework.suppressed = new Set(suppressed_roles);
  for (const offer of [...master.offers.values()])
    if (offer.framework === framework && !framework.roles.includes(offer.role)) rescind(master, offer.id);
  for (const agent of master.agents.values()) agent.link.frameworkChanged(info);
  master.allocateSoon();
}
