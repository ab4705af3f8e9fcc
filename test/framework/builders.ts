import { needsOf } from '../../framework/index.ts';
import type { Effect } from '../../framework/effects.ts';
import { State, type StateOptions } from '../../framework/state.ts';
import type { Call } from '../../mesos/scheduler.ts';
import type { TaskState, TaskStatus } from '../../mesos/tasks.ts';
import type { Offer } from '../../mesos/offers.ts';
import type { Resource } from '../../mesos/types.ts';
import { newUuid } from '../../mesos/uuid.ts';
import { silent } from '../../lib/log.ts';

export const role = '*';
const allocation_info = { role };

export const scalar = (name: string, value: number): Resource => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  allocation_info,
});
export const ports = (first: number, last: number): Resource => ({
  name: 'ports',
  type: 'RANGES',
  ranges: { range: [{ begin: BigInt(first), end: BigInt(last) }] },
  allocation_info,
});

let serial = 0;

export function makeOffer(
  agent: string,
  { cpus = 4, mem = 4096, executor = false }: { cpus?: number; mem?: number; executor?: boolean } = {},
): Offer {
  serial += 1;
  return {
    id: { value: `offer-${serial}` },
    framework_id: { value: 'f' },
    agent_id: { value: agent },
    hostname: `host-${agent}`,
    allocation_info,
    resources: [scalar('cpus', cpus), scalar('mem', mem), ports(31000, 31100)],
    ...(executor ? { executor_ids: [{ value: 'km-test' }] } : {}),
  };
}

export const stateOptions: StateOptions = {
  roles: [role],
  roleOf: () => role,
  linger: 250,
  reviveInterval: 1000,
  random: () => 0,
  refuseWaiting: 5,
  refuseIdle: 120,
  launchTimeout: 60_000,
  needs: needsOf({ cpu: 250, memory: 64 * 1024 * 1024 }, 'fixed'),
  volumes: { wantedBy: () => [], has: () => false },
  cluster: 'c',
  info: { user: 'root', name: 'test', roles: [role] },
  mayNarrow: () => true,
  isRevocable: false,
  nodeOf: () => undefined,
  maxPods: 110,
  maintenanceLead: 3_600_000,
  executor: {
    name: 'test',
    command: 'km executor',
    uris: [],
    cpus: 100,
    mem: 128_000,
    environment: {},
    introduction: { server: 'https://api:6443', ca: 'the CA', token: 'the token' },
    user: undefined,
  },
};

/** A state that is subscribed; nodes of agents are registered as soon as they are known. */
export function subscribed(options: Partial<StateOptions> = {}): State {
  const state = new State({ ...stateOptions, ...options }, silent);
  state.subscribed('f-0001', 0, '1.12.0');
  return state;
}

export function register(state: State): void {
  for (const agent of state.nodes) agent.node = { metadata: { name: agent.name } };
}

export const callsOf = (effects: readonly Effect[]): Call[] =>
  effects.flatMap((effect) => (effect.do === 'call' ? [effect.call] : []));
export const callTypes = (effects: readonly Effect[]): string[] => callsOf(effects).map(({ type }) => type);

export const statusOf = (
  taskId: string,
  agentId: string,
  state: TaskState,
  extra: Partial<TaskStatus> = {},
): TaskStatus => ({
  task_id: { value: taskId },
  agent_id: { value: agentId },
  state,
  uuid: newUuid(),
  ...extra,
});
