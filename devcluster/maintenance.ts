/**
 * Maintenance: a schedule of machines that will be away. Offers of their agents say so, frameworks that hold something there
 * are asked for it back (inverse offers), and a machine that is taken down loses its agents.
 */
import type { ClusterStatus, InverseOfferStatus, Schedule } from '../mesos/master.ts';
import type { Filters } from '../mesos/offers.ts';
import type { MachineID, Unavailability } from '../mesos/types.ts';
import { HttpAnswer } from './http.ts';
import { removeForMaintenance } from './membership.ts';
import { agentUrl, refuseMilliseconds, rescindAll } from './offers.ts';
import type { Agent, Framework, Machine, Master } from './state.ts';
import { nowNanoseconds } from './status.ts';

const keyOf = ({ hostname = '', ip = '' }: MachineID): string => JSON.stringify({ hostname, ip });

export const machineOf = (agent: Pick<Agent, 'info' | 'pid'>): string =>
  keyOf({ hostname: agent.info.hostname, ip: agent.pid.replace(/^.*@/, '').replace(/:\d+$/, '') });

export const unavailabilityOf = (master: Master, agent: Agent): Unavailability | undefined =>
  master.registry.machines.get(machineOf(agent))?.unavailability;

export const isDown = (master: Master, agent: Pick<Agent, 'info' | 'pid'>): boolean =>
  master.registry.machines.get(machineOf(agent))?.isDown ?? false;

export function maintenanceStatus({ registry }: Master): ClusterStatus {
  const machines = [...registry.machines.values()];
  const draining = machines.filter((machine) => !machine.isDown);
  const down = machines.filter((machine) => machine.isDown);
  return {
    ...(draining.length > 0
      ? {
          draining_machines: draining.map(({ id, statuses }) => ({
            id,
            ...(statuses.size > 0 ? { statuses: [...statuses.values()] } : {}),
          })),
        }
      : {}),
    ...(down.length > 0 ? { down_machines: down.map(({ id }) => id) } : {}),
  };
}

/** All or nothing; throws an HttpAnswer in Mesos' words. What is offered is taken back, to be offered as it is now. */
export function updateSchedule(master: Master, { windows = [] }: Schedule): void {
  const machines = new Map<string, Machine>();
  for (const { machine_ids = [], unavailability } of windows) {
    if (machine_ids.length === 0) refuse('List of machines in the maintenance window is empty');
    for (const id of machine_ids) {
      if (!id.hostname && !id.ip) refuse("Both 'hostname' and 'ip' for a machine are empty");
      const key = keyOf(id);
      if (machines.has(key)) refuse(`Machine '${JSON.stringify(id)}' appears more than once in the schedule`);
      const before = master.registry.machines.get(key);
      machines.set(key, { id, unavailability, isDown: before?.isDown ?? false, statuses: new Map() });
    }
  }
  for (const [key, { id, isDown: isAway }] of master.registry.machines)
    if (isAway && !machines.has(key))
      refuse(`Machine '${JSON.stringify(id)}' is deactivated and cannot be removed from the schedule`);
  master.registry.machines = machines;
  master.registry.schedule = windows.length > 0 ? { windows } : {};
  for (const agent of master.agents.values()) {
    rescindAll(master, { agent });
    rescindInverse(master, { agent });
  }
  master.allocateSoon();
}

function refuse(text: string): never {
  throw new HttpAnswer(400, text);
}

/** The machines are down: their agents are removed and end. */
export function startMaintenance(master: Master, ids: readonly MachineID[]): void {
  if (ids.length === 0) refuse('List of machines is empty');
  const machines = ids.map((id) => {
    const machine = master.registry.machines.get(keyOf(id));
    if (!machine) refuse(`Machine '${JSON.stringify(id)}' is not part of a maintenance schedule`);
    if (machine.isDown) refuse(`Machine '${JSON.stringify(id)}' is not in DRAINING mode and cannot be brought down`);
    return machine;
  });
  for (const machine of machines) machine.isDown = true;
  for (const agent of [...master.agents.values()]) {
    if (!isDown(master, agent)) continue;
    rescindInverse(master, { agent });
    removeForMaintenance(master, agent);
  }
}

/** The machines are up again, and no part of the schedule any more. */
export function stopMaintenance(master: Master, ids: readonly MachineID[]): void {
  if (ids.length === 0) refuse('List of machines is empty');
  const { registry } = master;
  for (const id of ids)
    if (!registry.machines.get(keyOf(id))?.isDown)
      refuse(`Machine '${JSON.stringify(id)}' is not in DOWN mode and cannot be brought up`);
  const up = new Set(ids.map(keyOf));
  for (const key of up) registry.machines.delete(key);
  const windows = (registry.schedule.windows ?? [])
    .map((window) => ({ ...window, machine_ids: (window.machine_ids ?? []).filter((id) => !up.has(keyOf(id))) }))
    .filter((window) => window.machine_ids.length > 0);
  registry.schedule = windows.length > 0 ? { windows } : {};
}

/** Asks frameworks for what they hold on machines that will be away: each once, until it has answered and its filter is over. */
export function makeInverseOffers(master: Master): void {
  if (master.registry.machines.size === 0) return;
  for (const framework of master.frameworks.values()) {
    if (!framework.stream) continue;
    const asked = [...master.agents.values()].filter((agent) => isDue(master, framework, agent));
    if (asked.length === 0) continue;
    const inverse_offers = asked.map((agent) => {
      const id = `${master.info.id}-O${master.numbers.offer++}`;
      master.inverseOffers.set(id, { framework, agent });
      const unavailability = unavailabilityOf(master, agent)!;
      const [framework_id, agent_id] = [{ value: framework.id }, { value: agent.id }];
      return { id: { value: id }, url: agentUrl(agent), framework_id, agent_id, unavailability };
    });
    framework.stream.send({ type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers } });
  }
}

function isDue(master: Master, framework: Framework, agent: Agent): boolean {
  if (!agent.connected || !unavailabilityOf(master, agent)) return false;
  if ((framework.inverseFilters.get(agent.id) ?? 0) > Date.now()) return false;
  for (const asked of master.inverseOffers.values())
    if (asked.framework === framework && asked.agent === agent) return false;
  return holdsOn(master, framework, agent);
}

function holdsOn(master: Master, framework: Framework, agent: Agent): boolean {
  const isThere = (agentId: string) => agentId === agent.id;
  return (
    [...framework.tasks.values()].some(({ task, freed }) => !freed && isThere(task.agent_id.value)) ||
    [...framework.executors.values()].some((executor) => isThere(executor.agent)) ||
    [...agent.offers].some((id) => master.offers.get(id)!.framework === framework)
  );
}

/** What a framework said about inverse offers; those it does not have mean nothing. */
export function answerInverseOffers(
  master: Master,
  framework: Framework,
  ids: readonly { value: string }[],
  status: InverseOfferStatus['status'],
  filters: Filters | undefined,
): void {
  for (const { value } of ids) {
    const asked = master.inverseOffers.get(value);
    if (asked?.framework !== framework) continue;
    master.inverseOffers.delete(value);
    const framework_id = { value: framework.id };
    const timestamp = { nanoseconds: nowNanoseconds() };
    const machine = master.registry.machines.get(machineOf(asked.agent));
    machine?.statuses.set(framework.id, { status, framework_id, timestamp });
    framework.inverseFilters.set(asked.agent.id, Date.now() + refuseMilliseconds(master, filters));
  }
}

function rescindInverse(master: Master, of: { agent: Agent }): void {
  for (const [id, { framework, agent }] of master.inverseOffers) {
    if (agent !== of.agent) continue;
    master.inverseOffers.delete(id);
    const inverse_offer_id = { value: id };
    framework.stream?.send({ type: 'RESCIND_INVERSE_OFFER', rescind_inverse_offer: { inverse_offer_id } });
  }
  for (const framework of master.frameworks.values()) framework.inverseFilters.delete(of.agent.id);
}
