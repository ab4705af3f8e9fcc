/**
 * The master's part of operations on resources: it checks and books them, the agent does them and tells so.
 *
 *   ACCEPT, operator ──▶ checked, booked ──link──▶ agent: checkpoint, disk ──▶ UPDATE_OPERATION_STATUS (with an id only)
 */
import type { CallAcknowledgeOperationStatus } from '../mesos/scheduler.ts';
import type { OfferOperation, OperationStatus } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { newUuid } from '../mesos/uuid.ts';
import { applyOperation, mapResources } from './operations.ts';
import { unallocate } from './resources.ts';
import { reach, type Agent, type Framework, type Master } from './state.ts';
import { operationError } from './validate-operation.ts';

/** Does it with the resources of an ACCEPT, and gives what they are then; an operation that cannot be changes nothing. */
export function operate(
  master: Master,
  framework: Framework,
  agent: Agent,
  operation: OfferOperation,
  resources: readonly Resource[],
): readonly Resource[] {
  const { total, used } = agent;
  const invalid = operationError(operation, { total, used, roles: framework.roles });
  const applied =
    invalid === undefined
      ? applyOperation(resources, operation)
      : { error: `${invalid}; on agent ${agent.id} at ${agent.pid} (${agent.info.hostname})` };
  if ('error' in applied) {
    tellError(framework, operation, applied.error);
    return resources;
  }
  commit(master, agent, operation, framework);
  return applied.resources;
}

export function tellError(framework: Framework, { id }: OfferOperation, message: string): void {
  if (id) tellStatus(framework, { operation_id: id, state: 'OPERATION_ERROR', message });
}

/** Into the books, and on to the agent. What no framework asked for nobody is told of. */
export function commit(master: Master, agent: Agent, given: OfferOperation, framework?: Framework): void {
  const operation = mapResources(given, (resource) => unallocate([resource])[0]!);
  const booked = applyOperation(agent.total, operation);
  if ('resources' in booked) agent.total = booked.resources;
  agent.free = undefined;
  const uuid = newUuid();
  const operationId = operation.id?.value;
  if (framework && operationId !== undefined)
    master.operations.set(`${framework.id}/${operationId}`, {
      framework_id: { value: framework.id },
      agent_id: { value: agent.id },
      info: operation,
      latest_status: { operation_id: { value: operationId }, state: 'OPERATION_PENDING' },
      uuid: { value: uuid },
    });
  reach(master, agent.id)?.link.operate({ frameworkId: framework?.id, operation, uuid });
}

/** An agent tells how an operation ended. */
export function takeStatus(master: Master, frameworkId: string, status: OperationStatus): void {
  const operation = master.operations.get(`${frameworkId}/${status.operation_id!.value}`);
  if (operation) operation.latest_status = status;
  const framework = master.frameworks.get(frameworkId);
  if (framework) tellStatus(framework, status);
}

export function acknowledgeOperation(
  master: Master,
  framework: Framework,
  { agent_id, operation_id, uuid }: CallAcknowledgeOperationStatus,
): void {
  const key = `${framework.id}/${operation_id.value}`;
  const known = master.operations.get(key);
  if (known?.latest_status.uuid && Buffer.compare(known.latest_status.uuid.value, uuid) === 0)
    master.operations.delete(key);
  if (agent_id) reach(master, agent_id.value)?.link.acknowledgeOperation(framework.id, operation_id.value, uuid);
}

/** The agent is back, or another: what it never heard of is dropped. It tells so itself. */
export function settleOperations(master: Master, agent: Agent): void {
  for (const { framework_id, agent_id, latest_status, info } of master.operations.values())
    if (agent_id?.value === agent.id && latest_status.state === 'OPERATION_PENDING')
      agent.link.settleOperation(framework_id!.value, info.id!.value);
}

export function forgetOperations(master: Master, of: { agentId?: string; frameworkId?: string }): void {
  for (const [key, { framework_id, agent_id }] of master.operations)
    if (agent_id?.value === of.agentId || framework_id?.value === of.frameworkId) master.operations.delete(key);
}

function tellStatus(framework: Framework, status: OperationStatus): void {
  framework.stream?.send({ type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } });
}
