/** What the operator API shows of agents and frameworks. */
import type { ResponseGetAgentsAgent, ResponseGetFrameworksFramework } from '../mesos/master.ts';
import type { Resource } from '../mesos/types.ts';
import { allocatedOf } from './offers.ts';
import { add, inOldForm } from './resources.ts';
import type { Agent, Framework, Master } from './state.ts';
import { timeInfo } from './status.ts';

export const version = '1.12.0';

const agentCapabilities = (
  [
    'MULTI_ROLE',
    'HIERARCHICAL_ROLE',
    'RESERVATION_REFINEMENT',
    'RESOURCE_PROVIDER',
    'RESIZE_VOLUME',
    'AGENT_OPERATION_FEEDBACK',
    'AGENT_DRAINING',
    'TASK_RESOURCE_LIMITS',
  ] as const
).map((type) => ({ type }));

/** An empty list is left out, as everywhere on the wire. */
export const list = <K extends string>(key: K, resources: readonly Resource[]): { [P in K]?: Resource[] } =>
  (resources.length > 0 ? { [key]: resources } : {}) as { [P in K]?: Resource[] };

/** Both forms at once, where the old one can say it. */
const both = (resource: Resource): Resource =>
  (resource.reservations?.length ?? 0) > 1 ? resource : { ...resource, ...inOldForm(resource) };

export function describeAgent(master: Master, agent: Agent): ResponseGetAgentsAgent {
  const offered = [...agent.offers].map((id) => master.offers.get(id)!.resources).reduce(add, []);
  const drain = master.registry.drains.get(agent.id);
  return {
    agent_info: agent.info,
    active: agent.connected && !master.registry.deactivated.has(agent.id),
    deactivated: master.registry.deactivated.has(agent.id),
    version,
    pid: agent.pid,
    registered_time: timeInfo(agent.registeredAt),
    ...(agent.reregisteredAt > 0 ? { reregistered_time: timeInfo(agent.reregisteredAt) } : {}),
    ...list('total_resources', agent.total.map(both)),
    ...list('allocated_resources', agent.used.map(both)),
    ...list('offered_resources', offered.map(both)),
    capabilities: agentCapabilities,
    // In whole seconds.
    ...(drain
      ? { drain_info: drain.info, estimated_drain_start_time: timeInfo(Math.floor(drain.since / 1000) * 1000) }
      : {}),
  };
}

export function describeFramework(master: Master, framework: Framework): ResponseGetFrameworksFramework {
  const offers = [...master.offers.values()].filter((offer) => offer.framework === framework);
  const offered = offers.map((offer) => offer.resources).reduce(add, []);
  return {
    ...announced(framework),
    ...list('offered_resources', offered.map(both)),
    ...list('allocated_resources', add([], allocatedOf(master, framework)).map(both)),
  };
}

/** What events tell of it: not what it has. */
export function announced(framework: Framework): ResponseGetFrameworksFramework {
  return {
    framework_info: framework.info,
    ...(framework.constraints ? { offer_constraints: framework.constraints } : {}),
    active: framework.stream !== undefined,
    connected: framework.stream !== undefined,
    recovered: framework.recovered,
    registered_time: timeInfo(framework.registeredAt),
    reregistered_time: timeInfo(framework.reregisteredAt),
    unregistered_time: timeInfo(framework.unregisteredAt),
  };
}
