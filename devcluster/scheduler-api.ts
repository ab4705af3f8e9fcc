/** POST /api/v1/scheduler: the checks in Mesos' order, then the call. */
import { randomUUID } from 'node:crypto';
import { schedulerCall, schedulerEvent } from '../mesos/codec.ts';
import type { Call, OfferConstraints } from '../mesos/scheduler.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import { accept } from './accept.ts';
import { principalError, type Principal } from './authentication.ts';
import { settleDrains } from './drain.ts';
import { removeFramework, subscribe, subscribeError } from './frameworks.ts';
import { answer, HttpAnswer, negotiate, readCall, RecordStream, type Request } from './http.ts';
import { addFilter, dropFilters, removeOffer, rescind } from './offers.ts';
import { answerInverseOffers } from './maintenance.ts';
import { acknowledgeOperation } from './operate.ts';
import { tellOperators } from './operator-events.ts';
import { answerOne, reconcile, reconcileOperations } from './reconcile.ts';
import { announced } from './snapshot.ts';
import { reach, type Framework, type Master } from './state.ts';
import { acknowledge } from './tasks.ts';
import { callError, capabilitiesOf, frameworkError, infoError, rolesOf, wishesError } from './validate-call.ts';

export function handleScheduler(master: Master, request: Request, who: Principal | undefined): void {
  const { call } = readCall(request, schedulerCall);
  const error =
    callError(call) ??
    (call.type === 'SUBSCRIBE' ? principalError(who, call.subscribe.framework_info.principal) : undefined);
  if (error !== undefined) throw new HttpAnswer(400, `Failed to validate scheduler::Call: ${error}`);
  if (call.type === 'SUBSCRIBE') return handleSubscribe(master, request, call);
  const framework = master.frameworks.get(call.framework_id!.value);
  if (!framework) throw new HttpAnswer(400, 'Framework cannot be found');
  const foreign = principalError(who, framework.info.principal);
  if (foreign !== undefined) throw new HttpAnswer(400, foreign);
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
  settleDrains(master);
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
    subscribe(master, call.subscribe, stream, streamId);
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
    case 'ACKNOWLEDGE_OPERATION_STATUS':
      acknowledgeOperation(master, framework, call.acknowledge_operation_status);
      break;
    case 'ACCEPT_INVERSE_OFFERS': {
      const { inverse_offer_ids = [], filters } = call.accept_inverse_offers;
      answerInverseOffers(master, framework, inverse_offer_ids, 'ACCEPT', filters);
      break;
    }
    case 'DECLINE_INVERSE_OFFERS': {
      const { inverse_offer_ids = [], filters } = call.decline_inverse_offers;
      answerInverseOffers(master, framework, inverse_offer_ids, 'DECLINE', filters);
      break;
    }
    // A hint that the hierarchical allocator ignores.
    case 'REQUEST':
      break;
    case 'RECONCILE_OPERATIONS':
      reconcileOperations(master, framework, call.reconcile_operations.operations ?? []);
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
  const error = updateError(framework.info, info, suppressed_roles, offer_constraints);
  if (error !== undefined) throw new HttpAnswer(400, error);
  framework.info = info;
  framework.capabilities = capabilitiesOf(info);
  framework.roles = rolesOf(info);
  framework.suppressed = new Set(suppressed_roles);
  framework.constraints = offer_constraints;
  for (const offer of [...master.offers.values()])
    if (offer.framework === framework && !framework.roles.includes(offer.role)) rescind(master, offer.id);
  for (const agent of master.agents.values()) agent.link.frameworkChanged(info);
  tellOperators(master, { type: 'FRAMEWORK_UPDATED', framework_updated: { framework: announced(framework) } });
  master.allocateSoon();
}

/** What forbids the change of a framework, in Mesos' words. */
function updateError(
  old: FrameworkInfo,
  info: FrameworkInfo,
  suppressed: readonly string[],
  constraints: OfferConstraints | undefined,
): string | undefined {
  const invalid = infoError(info);
  if (invalid !== undefined) return `Supplied FrameworkInfo is not valid: ${invalid}`;
  const wishes = wishesError(info, suppressed, constraints);
  if (wishes !== undefined) return `'UpdateFramework' call is not valid: ${wishes}`;
  const said = (what: string) => `FrameworkInfo update is not valid: ${what}`;
  const changed = (field: string, from: unknown, to: unknown) =>
    said(
      `Updating 'FrameworkInfo.${field}' is unsupported; attempted to update from '${String(from)}' to '${String(to)}'`,
    );
  if (info.principal !== old.principal) return said("Changing framework's principal is not allowed.");
  if (info.user !== old.user) return changed('user', old.user, info.user);
  const [before, after] = [old.checkpoint ?? false, info.checkpoint ?? false];
  return before === after ? undefined : changed('checkpoint', before, after);
}
