/** Frameworks come, fail over, break off, time out and are torn down. */
import type { CallSubscribe, Event } from '../mesos/scheduler.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import { HttpAnswer, type RecordStream } from './http.ts';
import { forgetOperations } from './operate.ts';
import { dropInverseOffers, rescindAll, removeOffer } from './offers.ts';
import { announced } from './snapshot.ts';
import type { Framework, Master } from './state.ts';
import { isTerminal, masterStatus, moveTask } from './status.ts';
import { forgetTask, release } from './tasks.ts';
import { tellOperators } from './operator-events.ts';
import { capabilitiesOf, rolesOf } from './validate-call.ts';

/** `--max_completed_frameworks` */
const maxCompleted = 50;

function newFramework(id: string, info: FrameworkInfo, recovered: boolean): Framework {
  const now = recovered ? 0 : Date.now();
  return {
    id,
    info,
    capabilities: capabilitiesOf(info),
    roles: rolesOf(info),
    suppressed: new Set(),
    constraints: undefined,
    stream: undefined,
    streamId: '',
    recovered,
    tasks: new Map(),
    unreachable: new Map(),
    completed: [],
    executors: new Map(),
    filters: new Map(),
    inverseFilters: new Map(),
    served: new Map(),
    registeredAt: now,
    reregisteredAt: now,
    unregisteredAt: 0,
    heartbeat: undefined,
    removal: undefined,
  };
}

/** What forbids this subscription, or undefined. */
export function subscribeError(master: Master, info: FrameworkInfo): string | undefined {
  const foreign = rolesOf(info).filter((role) => role !== '*' && master.roles?.includes(role) === false);
  if (foreign.length > 0) return `Roles { ${foreign.join(', ')} } are not present in the master's --roles`;
  const id = info.id?.value;
  if (!master.authorization.mayRegister(info.principal, rolesOf(info)))
    return `Not authorized to register framework ${id ?? ''} with roles { ${rolesOf(info).join(', ')} }`;
  if (id === undefined) return undefined;
  if (master.completed.has(id)) return 'Framework has been removed';
  const known = master.frameworks.get(id);
  if (known && known.info.principal !== info.principal) return "Changing framework's principal is not allowed.";
  return undefined;
}

/** A stream was opened for a valid SUBSCRIBE: the framework is registered, comes back, or takes over from its elder. */
export function subscribe(
  master: Master,
  { framework_info: given, suppressed_roles = [], offer_constraints }: CallSubscribe,
  stream: RecordStream<Event>,
  streamId: string,
): Framework {
  const id = given.id?.value ?? `${master.info.id}-${String(master.numbers.framework++).padStart(4, '0')}`;
  const info = { ...given, id: { value: id } };
  // An id that it did not give out itself counts as one from a master before it.
  const known = master.frameworks.get(id) ?? (given.id ? recoverFramework(master, info) : undefined);
  const framework = known ?? newFramework(id, info, false);
  if (known) failOver(master, known, info);
  framework.suppressed = new Set(suppressed_roles);
  framework.constraints = offer_constraints;
  framework.stream = stream;
  framework.streamId = streamId;
  framework.recovered = false;
  master.frameworks.set(id, framework);
  stream.send({
    type: 'SUBSCRIBED',
    subscribed: {
      framework_id: { value: id },
      heartbeat_interval_seconds: master.timings.heartbeatInterval / 1000,
      master_info: master.info,
    },
  });
  stream.send({ type: 'HEARTBEAT' });
  framework.heartbeat = setInterval(() => stream.send({ type: 'HEARTBEAT' }), master.timings.heartbeatInterval);
  stream.onClose(() => broken(master, framework, stream));
  const shown = { framework: announced(framework) };
  if (known) tellOperators(master, { type: 'FRAMEWORK_UPDATED', framework_updated: shown });
  else tellOperators(master, { type: 'FRAMEWORK_ADDED', framework_added: shown });
  for (const agent of master.agents.values()) if (known && agent.connected) agent.link.frameworkChanged(framework.info);
  master.log.info({ framework: id, name: given.name }, 'A framework subscribed');
  master.allocateSoon();
  return framework;
}

/** Registered with a master before this one: it is there, and has not come back yet. */
export function recoverFramework(master: Master, info: FrameworkInfo): Framework {
  const framework = newFramework(info.id!.value, info, true);
  master.frameworks.set(framework.id, framework);
  tellOperators(master, {
    type: 'FRAMEWORK_ADDED',
    framework_added: { framework: announced(framework) },
  });
  return framework;
}

/** The new stream wins, always. User and checkpoint stay as they were. */
function failOver(master: Master, framework: Framework, info: FrameworkInfo): void {
  const { user, checkpoint } = framework.info;
  framework.info = { ...info, user, ...(checkpoint === undefined ? {} : { checkpoint }) };
  framework.capabilities = capabilitiesOf(info);
  framework.roles = rolesOf(info);
  framework.reregisteredAt = Date.now();
  framework.registeredAt ||= framework.reregisteredAt;
  clearTimeout(framework.removal);
  clearInterval(framework.heartbeat);
  framework.filters.clear();
  framework.inverseFilters.clear();
  dropInverseOffers(master, { framework });
  for (const offer of [...master.offers.values()]) if (offer.framework === framework) removeOffer(master, offer);
  const { stream } = framework;
  framework.stream = undefined;
  stream?.send({ type: 'ERROR', error: { message: 'Framework failed over' } });
  stream?.end();
}

/** Its stream is gone; for failover_timeout its tasks wait for it. */
function broken(master: Master, framework: Framework, stream: RecordStream<Event>): void {
  if (framework.stream !== stream) return;
  framework.stream = undefined;
  clearInterval(framework.heartbeat);
  for (const offer of [...master.offers.values()]) if (offer.framework === framework) removeOffer(master, offer);
  const seconds = Math.max(0, framework.info.failover_timeout ?? 0);
  master.log.info({ framework: framework.id, seconds }, 'A framework disconnected');
  const longest = 2 ** 31 - 1;
  framework.removal = setTimeout(() => removeFramework(master, framework), Math.min(seconds * 1000, longest));
  framework.removal.unref();
}

/** As an operator wants it. Throws HttpAnswer where he may not. */
export function tearDown(master: Master, framework: Framework, principal: string | undefined): void {
  if (!master.authorization.mayTearDown(principal, framework.info.principal))
    throw new HttpAnswer(403, '403 Forbidden.');
  removeFramework(master, framework);
}

/** Its tasks are killed, its executors end, its id never comes back. */
export function removeFramework(master: Master, framework: Framework): void {
  clearTimeout(framework.removal);
  clearInterval(framework.heartbeat);
  rescindAllSilently(master, framework);
  for (const record of [...framework.tasks.values()]) {
    const { task } = record;
    if (!isTerminal(task.state)) {
      const message = `Framework ${framework.id} removed`;
      const told = { taskId: task.task_id.value, agentId: task.agent_id.value, message };
      moveTask(
        master,
        task,
        masterStatus({
          ...told,
          state: 'TASK_KILLED',
          reason: 'REASON_FRAMEWORK_REMOVED',
        }),
      );
    }
    forgetTask(master, framework, record);
  }
  for (const agent of master.agents.values())
    if (agent.connected && !agent.partitioned) agent.link.shutdownFramework(framework.id);
  for (const { agent: agentId, info } of framework.executors.values()) {
    const agent = master.agents.get(agentId);
    if (agent) release(agent, info.resources ?? []);
  }
  framework.executors.clear();
  forgetOperations(master, { frameworkId: framework.id });
  dropInverseOffers(master, { framework });
  framework.unregisteredAt = Date.now();
  const { stream } = framework;
  framework.stream = undefined;
  stream?.end();
  master.frameworks.delete(framework.id);
  master.completed.set(framework.id, framework);
  if (master.completed.size > maxCompleted) master.completed.delete(master.completed.keys().next().value!);
  tellOperators(master, { type: 'FRAMEWORK_REMOVED', framework_removed: { framework_info: framework.info } });
  master.log.info({ framework: framework.id }, 'A framework was removed');
}

function rescindAllSilently(master: Master, framework: Framework): void {
  const { stream } = framework;
  framework.stream = undefined;
  rescindAll(master, { framework });
  framework.stream = stream;
}
