/** Outstanding offers: made from allocations, taken back, used up; and the filters of those that said no. */
import type { Filters } from '../mesos/offers.ts';
import type { ExecutorID, Resource } from '../mesos/types.ts';
import { allocateOffers, covers, type AgentView, type FrameworkView } from './allocator.ts';
import { satisfies } from './constraints.ts';
import { Rations } from './rations.ts';
import { unavailabilityOf } from './maintenance.ts';
import { add, refined, scalarOf, subtract, unallocate, withRole } from './resources.ts';
import type { Agent, Framework, Master, Offer } from './state.ts';

const defaultRefuseSeconds = 5;
const maxRefuseSeconds = 31_536_000;

/** One round of the allocator over some agents, and the OFFERS events that come of it. */
export function makeOffers(master: Master, agents: Iterable<Agent>): void {
  const now = Date.now();
  const views: AgentView[] = [];
  for (const agent of agents) {
    if (!agent.connected || master.registry.deactivated.has(agent.id)) continue;
    const free = freeOf(master, agent);
    if (free.length > 0)
      views.push({
        id: agent.id,
        free,
        domain: agent.info.domain,
        hasGpus: master.filterGpus && scalarOf(agent.total, 'gpus') > 0,
      });
  }
  const frameworks = [...master.frameworks.values()].filter(({ stream }) => stream).map((f) => viewOf(master, f, now));
  if (views.length === 0 || frameworks.length === 0) return;
  // No agent is always the first to be shared out.
  const first = master.numbers.round++ % views.length;
  const region = master.info.domain?.fault_domain?.region.name;
  const total = frameworks.length > 1 || frameworks[0]!.roles.length > 1 ? totalOf(master) : [];
  const made = new Map<Framework, Offer[]>();
  for (const { frameworkId, role, agentId, resources } of allocateOffers({
    agents: [...views.slice(first), ...views.slice(0, first)],
    frameworks,
    total,
    weights: master.registry.weights,
    rations: rationsOf(master),
    region,
  })) {
    const framework = master.frameworks.get(frameworkId)!;
    const offer = putOffer(master, framework, master.agents.get(agentId)!, role, resources);
    const offers = made.get(framework);
    if (offers) offers.push(offer);
    else made.set(framework, [offer]);
  }
  for (const [framework, offers] of made) {
    const executors = executorsByAgent(framework);
    const described = offers.map((offer) => describe(master, offer, executors.get(offer.agent.id)));
    framework.stream?.send({ type: 'OFFERS', offers: { offers: described } });
  }
}

function rationsOf(master: Master): Rations | undefined {
  const { quotas } = master.registry;
  if (quotas.size === 0) return undefined;
  const rations = new Rations(quotas);
  for (const agent of master.agents.values()) {
    rations.countAgent(agent.total, agent.connected ? freeOf(master, agent) : []);
    rations.countAllocated(agent.used);
  }
  for (const { resources } of master.offers.values()) rations.countAllocated(resources);
  return rations;
}

const totalOf = (master: Master): Resource[] => {
  let total: Resource[] = [];
  for (const agent of master.agents.values()) total = add(total, agent.total);
  return total;
};

function viewOf(master: Master, framework: Framework, now: number): FrameworkView {
  let allocated: Resource[] | undefined;
  return {
    id: framework.id,
    capabilities: framework.capabilities,
    served: framework.served,
    roles: framework.roles.filter((role) => !framework.suppressed.has(role)),
    get allocated() {
      return (allocated ??= allocatedOf(master, framework));
    },
    admits: (role, agentId) => satisfies(framework.constraints, role, master.agents.get(agentId)!.info),
    refuses: (role, agentId, resources) =>
      (framework.filters.get(`${role}/${agentId}`) ?? []).some(
        (filter) => filter.until > now && covers(filter.resources, resources),
      ),
    leastOf: (role) =>
      framework.info.offer_filters?.[role]?.min_allocatable_resources?.quantities?.map(({ quantities }) =>
        Object.fromEntries(Object.entries(quantities ?? {}).map(([name, { value }]) => [name, value])),
      ) ?? (framework.info.offer_filters?.[role]?.min_allocatable_resources ? [] : undefined),
  };
}

/** What a framework holds: its tasks, its executors, and what it is offered. */
export function allocatedOf(master: Master, framework: Framework): Resource[] {
  const parts: Resource[] = [];
  for (const { task, freed } of framework.tasks.values()) if (!freed) parts.push(...(task.resources ?? []));
  for (const { info } of framework.executors.values()) parts.push(...(info.resources ?? []));
  for (const offer of master.offers.values()) if (offer.framework === framework) parts.push(...offer.resources);
  return parts;
}

/** Neither used nor offered; kept until one of both changes. */
export function freeOf(master: Master, agent: Agent): Resource[] {
  if (!agent.free) {
    const taken = [...agent.used];
    for (const id of agent.offers) taken.push(...master.offers.get(id)!.resources);
    agent.free = subtract(agent.total, unallocate(taken));
  }
  return agent.free;
}

function putOffer(master: Master, framework: Framework, agent: Agent, role: string, resources: Resource[]): Offer {
  framework.served.set(role, (framework.served.get(role) ?? 0) + 1);
  const id = `${master.info.id}-O${master.numbers.offer++}`;
  const { offerTimeout } = master.timings;
  const timer = offerTimeout > 0 ? setTimeout(() => rescind(master, id), offerTimeout) : undefined;
  const offer: Offer = { id, framework, agent, role, resources, timer };
  master.offers.set(id, offer);
  agent.offers.add(id);
  agent.free = undefined;
  return offer;
}

function executorsByAgent(framework: Framework): Map<string, ExecutorID[]> {
  const found = new Map<string, ExecutorID[]>();
  for (const { agent, info } of framework.executors.values()) {
    const there = found.get(agent);
    if (there) there.push(info.executor_id);
    else found.set(agent, [info.executor_id]);
  }
  return found;
}

/** The offer as this framework is able to read it: older ones know no allocation_info and no reservations. */
function describe(
  master: Master,
  { id, framework, agent, role, resources }: Offer,
  executors: ExecutorID[] | undefined,
) {
  const isMultiRole = framework.capabilities.has('MULTI_ROLE');
  const isRefined = framework.capabilities.has('RESERVATION_REFINEMENT');
  const shown = (isMultiRole ? resources : unallocate(resources)).map((r) => (isRefined ? r : withRole(r)));
  const { hostname, attributes, domain } = agent.info;
  const unavailability = unavailabilityOf(master, agent);
  return {
    id: { value: id },
    framework_id: { value: framework.id },
    agent_id: { value: agent.id },
    hostname,
    url: agentUrl(agent),
    resources: shown,
    ...(attributes ? { attributes } : {}),
    ...(domain ? { domain } : {}),
    ...(executors ? { executor_ids: executors } : {}),
    ...(unavailability ? { unavailability } : {}),
    ...(isMultiRole ? { allocation_info: { role } } : {}),
  };
}

export function agentUrl({ info: { hostname, port = 5051 }, pid }: Agent) {
  const ip = pid.replace(/^.*@/, '').replace(/:\d+$/, '');
  return { scheme: 'http', address: { hostname, ip, port }, path: '/slave(1)' };
}

/** Nobody is there any more to answer them. */
export function dropInverseOffers(master: Master, of: { agent?: Agent; framework?: Framework }): void {
  for (const [id, { agent, framework }] of master.inverseOffers)
    if (agent === of.agent || framework === of.framework) master.inverseOffers.delete(id);
}

/** Forgets an offer; what it held is free again, or was put into `used` by the caller. */
export function removeOffer(master: Master, offer: Offer): void {
  clearTimeout(offer.timer);
  master.offers.delete(offer.id);
  offer.agent.offers.delete(offer.id);
  offer.agent.free = undefined;
}

export function rescind(master: Master, id: string): void {
  const offer = master.offers.get(id);
  if (!offer) return;
  removeOffer(master, offer);
  offer.framework.stream?.send({ type: 'RESCIND', rescind: { offer_id: { value: id } } });
}

export function rescindAll(master: Master, of: { agent?: Agent; framework?: Framework }): void {
  for (const offer of [...master.offers.values()])
    if (offer.agent === of.agent || offer.framework === of.framework) rescind(master, offer.id);
}

/** Remembers that a framework does not want these resources for a while. */
export function addFilter(
  master: Master,
  offer: Offer,
  resources: readonly Resource[],
  filters: Filters | undefined,
): void {
  const { framework, role, agent } = offer;
  const wait = refuseMilliseconds(master, filters);
  if (wait === 0 || resources.length === 0) return;
  const until = Date.now() + wait;
  const key = `${role}/${agent.id}`;
  const live = (framework.filters.get(key) ?? []).filter((filter) => filter.until > Date.now());
  framework.filters.set(key, [...live, { resources: unallocate(resources.map(refined)), until }]);
}

/** Shorter than a round of the allocator would be forgotten before it was looked at. */
export function refuseMilliseconds({ timings }: Master, filters: Filters | undefined): number {
  const asked = filters?.refuse_seconds ?? defaultRefuseSeconds;
  const seconds = asked >= 0 ? Math.min(asked, maxRefuseSeconds) : defaultRefuseSeconds;
  return seconds === 0 ? 0 : Math.max(seconds * 1000, timings.allocationInterval);
}

export function dropFilters(framework: Framework, roles: readonly string[]): void {
  for (const key of framework.filters.keys())
    if (roles.some((role) => key.startsWith(`${role}/`))) framework.filters.delete(key);
}

/** An agent that was removed is new when it comes again. */
export function dropAgentFilters(framework: Framework, agentId: string): void {
  for (const key of framework.filters.keys()) if (key.endsWith(`/${agentId}`)) framework.filters.delete(key);
}
