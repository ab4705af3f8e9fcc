/** What an operator does with resources of an agent: reserve, create volumes, and back. */
import type { Call } from '../mesos/master.ts';
import type { OfferOperation } from '../mesos/offers.ts';
import type { AgentID, Resource } from '../mesos/types.ts';
import { HttpAnswer } from './http.ts';
import { addFilter, freeOf, rescind } from './offers.ts';
import { commit } from './operate.ts';
import { applyOperation, consumedBy, mapResources } from './operations.ts';
import { add, contains, refined, subtract, unallocate } from './resources.ts';
import type { Agent, Master } from './state.ts';
import { operationError } from './validate-operation.ts';

/** The operation that a call asks for; undefined for other calls. */
export function operationOf(call: Call): { agentId: AgentID | undefined; operation: OfferOperation } | undefined {
  switch (call.type) {
    case 'RESERVE_RESOURCES': {
      const { agent_id: agentId, ...reserve } = call.reserve_resources;
      return { agentId, operation: { type: 'RESERVE', reserve } };
    }
    case 'UNRESERVE_RESOURCES': {
      const { agent_id: agentId, ...unreserve } = call.unreserve_resources;
      return { agentId, operation: { type: 'UNRESERVE', unreserve } };
    }
    case 'CREATE_VOLUMES': {
      const { agent_id: agentId, ...create } = call.create_volumes;
      return { agentId, operation: { type: 'CREATE', create } };
    }
    case 'DESTROY_VOLUMES': {
      const { agent_id: agentId, ...destroy } = call.destroy_volumes;
      return { agentId, operation: { type: 'DESTROY', destroy } };
    }
    case 'GROW_VOLUME': {
      const { agent_id: agentId, ...grow_volume } = call.grow_volume;
      return { agentId, operation: { type: 'GROW_VOLUME', grow_volume } };
    }
    case 'SHRINK_VOLUME': {
      const { agent_id: agentId, ...shrink_volume } = call.shrink_volume;
      return { agentId, operation: { type: 'SHRINK_VOLUME', shrink_volume } };
    }
    default:
      return undefined;
  }
}

/** Throws an HttpAnswer in Mesos' words when it cannot be. */
export function operateAsOperator(master: Master, agentId: AgentID | undefined, given: OfferOperation): void {
  const agent = master.agents.get(agentId?.value ?? '');
  if (!agent) throw new HttpAnswer(400, 'No agent found with specified ID');
  const operation = mapResources(given, refined);
  const { total, used } = agent;
  const invalid = operationError(operation, { total, used, roles: undefined });
  if (invalid !== undefined) {
    const where = `agent ${agent.id} at ${agent.pid} (${agent.info.hostname})`;
    throw new HttpAnswer(400, `Invalid ${operation.type} operation on ${where}: ${invalid}`);
  }
  takeBack(master, agent, operation);
  const applied = applyOperation(freeOf(master, agent), operation);
  if ('error' in applied) throw new HttpAnswer(409, applied.error);
  commit(master, agent, operation);
}

/** Rescinds as many offers as the operation needs. Who had them waits a while, so that nobody is quicker than it. */
function takeBack(master: Master, agent: Agent, operation: OfferOperation): void {
  let recovered: Resource[] = [];
  let required = consumedBy(operation);
  for (const id of [...agent.offers]) {
    const offer = master.offers.get(id)!;
    const there = unallocate(offer.resources);
    const still = subtract(required, there);
    if (contains(still, required)) continue;
    recovered = add(recovered, there);
    required = still;
    rescind(master, id);
    addFilter(master, offer, offer.resources, {});
    if ('resources' in applyOperation(recovered, operation)) return;
  }
}
