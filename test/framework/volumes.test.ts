import { describe, expect, test } from '@jest/globals';
import type { Effect } from '../../framework/effects.ts';
import { State } from '../../framework/state.ts';
import { type VolumeWant, claimLabel, clusterLabel, makerOf, persistenceId } from '../../framework/volumes.ts';
import { silent } from '../../lib/log.ts';
import type { Offer, OfferOperation } from '../../mesos/offers.ts';
import type { Resource } from '../../mesos/types.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, register, stateOptions, statusOf } from './builders.ts';

const role = 'stateful';
const allocation_info = { role };
const labels = [
  { key: clusterLabel, value: 'c' },
  { key: claimLabel, value: 'default/data' },
];
const pod = makePod('p', { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] });

/** A claim of 64 MB in a world where it is bound to the volume `handle`, or to none. */
function world({ handle, principal }: { handle?: string; principal?: string } = {}) {
  const bound = { handle };
  const wantedBy = (_pod: unknown, taskId: string): VolumeWant[] => [
    {
      id: bound.handle ?? persistenceId('c', 'claim-uid', taskId),
      claimUid: 'claim-uid',
      size: 64_000,
      isMade: bound.handle !== undefined,
      labels,
      principal,
    },
  ];
  const volumes = { wantedBy, has: (id: string) => id === bound.handle };
  const state = new State({ ...stateOptions, roles: [role], roleOf: () => role, volumes, cluster: 'c' }, silent);
  state.subscribed('f-0001', 0);
  return { state, bound };
}

const disk = (value: number, more: Partial<Resource> = {}): Resource => ({
  name: 'disk',
  type: 'SCALAR',
  scalar: { value },
  allocation_info,
  ...more,
});
const reservations = [{ type: 'DYNAMIC' as const, role, labels: { labels } }];
const volume = (id: string): Resource =>
  disk(64, { reservations, disk: { persistence: { id }, volume: { container_path: id, mode: 'RW' } } });

const offerOf = (agent: string, ...more: Resource[]): Offer => {
  const offer = makeOffer(agent);
  return {
    ...offer,
    allocation_info,
    resources: [...offer.resources!.map((one) => ({ ...one, allocation_info })), ...more],
  };
};

function operationsOf(effects: readonly Effect[]): OfferOperation[] {
  return callsOf(effects).flatMap((call) => (call.type === 'ACCEPT' ? (call.accept.operations ?? []) : []));
}

function launch(state: State): OfferOperation[] {
  expect(state.reserve(pod, 'host-a1')).toBeDefined();
  return state.takeLaunches(0).flatMap((one) => operationsOf(state.recorded(one, 0)));
}

describe('a claim that has no volume', () => {
  test('gets one with the launch: RESERVE, CREATE, LAUNCH, marked as the claim’s', () => {
    const { state } = world({ principal: 'km' });
    state.offered([offerOf('a1', disk(1000))], 0);
    register(state);
    const [reserve, create, tasks] = launch(state);
    const id = persistenceId('c', 'claim-uid', `pod.${pod.metadata.uid}.0`);
    const reserved = disk(64, { reservations: [{ ...reservations[0]!, principal: 'km' }] });
    const persistence = { id, principal: 'km' };
    const made = { ...reserved, disk: { persistence, volume: { container_path: id, mode: 'RW' } } };
    expect(reserve).toEqual({ type: 'RESERVE', reserve: { resources: [reserved] } });
    expect(create).toEqual({ type: 'CREATE', create: { volumes: [made] } });
    expect(tasks!.launch!.task_infos![0]!.resources).toContainEqual(made);
    expect(makerOf('c', id)).toBe(`pod.${pod.metadata.uid}.0`);
  });

  test('wants no word of Mesos on operations, neither making nor letting go: its task tells what became of them', async () => {
    const { state } = world();
    state.offered([offerOf('a1', disk(1000))], 0);
    register(state);
    const seat = state.reserve(pod, 'host-a1');
    const made = state.takeLaunches(0).flatMap((one) => operationsOf(state.recorded(one, 0)));
    const refused = statusOf(`pod.${pod.metadata.uid}.0`, 'a1', 'TASK_ERROR', { message: 'uses more than offered' });
    state.updated(refused, 1);
    await expect(seat?.launched).rejects.toThrow('uses more than offered');
    const [volumes] = made.flatMap(({ create }) => (create ? [create.volumes] : []));
    const released = operationsOf(state.offered([offerOf('a1', ...volumes!)], 2));
    const types = [...made, ...released].map(({ type }) => type);
    expect(types).toEqual(['RESERVE', 'CREATE', 'LAUNCH', 'DESTROY', 'UNRESERVE']);
    // Only of those with ids it sends statuses, again and again until they are acknowledged.
    for (const operation of [...made, ...released]) expect(operation).not.toHaveProperty('id');
  });

  test('takes disk that is reserved for the role before other disk, and need not reserve it', () => {
    const { state } = world();
    const forRole = { reservations: [{ type: 'STATIC' as const, role }] };
    state.offered([offerOf('a1', disk(1000), disk(100, forRole))], 0);
    register(state);
    expect(launch(state).map(({ type }) => type)).toEqual(['CREATE', 'LAUNCH']);
  });

  test('needs disk in one piece, and of a role', () => {
    const { state } = world();
    expect(state.seats.needs(pod)).toContainEqual({ resource: 'ephemeral-storage', amount: 64 * 1024 * 1024 });
    state.offered([offerOf('a1', disk(63))], 0);
    register(state);
    expect(state.reserve(pod, 'host-a1')).toBeUndefined();
    const free = state.nodes[0]!.free;
    expect(free['ephemeral-storage']).toBe(63 * 1024 * 1024);
    const everyone = new State({ ...stateOptions, volumes: volumesOf() }, silent);
    expect(everyone.seats.needs(pod).map(({ resource }) => resource)).toContain(
      'disk that can be reserved: the Mesos role * cannot have volumes',
    );
  });

  test('is not given a second one while the first is made', () => {
    const { state } = world();
    state.offered([offerOf('a1', disk(1000)), offerOf('a2', disk(1000))], 0);
    register(state);
    launch(state);
    const other = { ...pod, metadata: { ...pod.metadata, name: 'q', uid: 'q' } };
    expect(state.seats.needs(other).at(-1)!.resource).toMatch(/^volume c\.claim-uid/);
    expect(state.reserve(other, 'host-a2')).toBeUndefined();
  });

  test('gets the disk back when the offer is rescinded before it was sent', () => {
    const { state } = world();
    const [first, second] = [offerOf('a1', disk(100)), offerOf('a1', disk(100))];
    state.offered([first, second], 0);
    register(state);
    state.reserve(pod, 'host-a1');
    state.rescinded(first.id.value, 1);
    const [left] = state.takeLaunches(1);
    expect(operationsOf(state.recorded(left!, 1)).map(({ type }) => type)).toEqual(['RESERVE', 'CREATE', 'LAUNCH']);
  });
});

const volumesOf = () => ({
  has: () => false,
  wantedBy: () => [{ id: 'x', claimUid: 'claim-uid', size: 64_000, isMade: false, labels, principal: undefined }],
});

describe('a claim that has its volume', () => {
  const handle = persistenceId('c', 'claim-uid', 'pod.earlier.0');

  test('waits until that is offered, and launches with it as it is', () => {
    const { state } = world({ handle });
    state.offered([offerOf('a1', disk(1000))], 0);
    register(state);
    expect(state.seats.needs(pod)).toContainEqual({
      resource: `volume ${handle}`,
      amount: 1,
      isOnlyOffered: true,
    });
    expect(state.reserve(pod, 'host-a1')).toBeUndefined();
    state.offered([offerOf('a1', volume(handle))], 1);
    expect(state.nodes[0]!.free[`volume ${handle}`]).toBe(1);
    const [tasks, ...others] = launch(state);
    expect(others).toEqual([]);
    expect(tasks!.launch!.task_infos![0]!.resources).toContainEqual(volume(handle));
  });

  test('keeps it from the disk that pods use for themselves', () => {
    const { state } = world({ handle });
    state.offered([offerOf('a1', volume(handle), disk(10))], 0);
    register(state);
    expect(state.nodes[0]!.free['ephemeral-storage']).toBe(10 * 1024 * 1024);
  });
});

describe('what nobody owns', () => {
  const id = persistenceId('c', 'claim-uid', 'pod.earlier.0');

  test('is destroyed and given back as soon as it is offered', () => {
    const { state } = world();
    const bare = disk(8, { reservations });
    const effects = state.offered([offerOf('a1', volume(id), bare, disk(10))], 0);
    expect(operationsOf(effects)).toEqual([
      { type: 'DESTROY', destroy: { volumes: [volume(id)] } },
      { type: 'UNRESERVE', unreserve: { resources: [disk(64, { reservations })] } },
      { type: 'UNRESERVE', unreserve: { resources: [bare] } },
    ]);
    expect(state.nodes[0]!.offers.size).toBe(0);
  });

  test('is asked for when only the audit sees it, until it has been offered', () => {
    const { state } = world();
    state.want([], 0);
    state.tick(1000);
    // What a master lists of an agent names the role twice.
    const asked = state.audit([{ id: 'a1', total: [{ ...volume(id), role }] }], 5000);
    expect(callsOf(asked).map(({ type }) => type)).toEqual(['REVIVE']);
    state.offered([offerOf('a1', volume(id))], 5001);
    expect(callsOf(state.tick(5010)).map(({ type }) => type)).toEqual([]);
    expect(callsOf(state.tick(6000)).map(({ type }) => type)).toEqual(['SUPPRESS']);
  });

  test('is not what belongs to a volume, to a launch under way, or to another cluster', () => {
    const { state, bound } = world();
    const strange = volume(persistenceId('other', 'claim-uid', 'pod.earlier.0'));
    strange.reservations = [{ type: 'DYNAMIC', role, labels: { labels: [{ key: clusterLabel, value: 'other' }] } }];
    const foreign = volume('cassandra-1');
    foreign.reservations = [{ type: 'DYNAMIC', role }];
    expect(operationsOf(state.offered([offerOf('a1', strange, foreign)], 0))).toEqual([]);
    bound.handle = id;
    expect(operationsOf(state.offered([offerOf('a1', volume(id))], 0))).toEqual([]);
    bound.handle = undefined;
    state.offered([offerOf('a1', disk(1000))], 0);
    register(state);
    const [reserve, create] = launch(state);
    expect([reserve!.type, create!.type]).toEqual(['RESERVE', 'CREATE']);
    const mine = create!.create!.volumes![0]!;
    expect(operationsOf(state.offered([offerOf('a1', mine)], 1))).toEqual([]);
    // The launch fails: what it made on the way is released.
    state.updated(statusOf(`pod.${pod.metadata.uid}.0`, 'a1', 'TASK_DROPPED'), 2);
    expect(operationsOf(state.offered([offerOf('a1', mine)], 3)).map(({ type }) => type)).toEqual([
      'DESTROY',
      'UNRESERVE',
    ]);
  });
});

test('a launch from before a restart makes volumes for its own pod, not for another one of that name', () => {
  const { state } = world();
  const { uid = '' } = pod.metadata;
  const known = {
    key: 'default/p',
    node: 'host-a1',
    agentId: 'a1',
    stage: 'launching' as const,
    rebound: false,
    anyPorts: [],
  };
  const others = { ...known, id: 'pod.other.0', uid: 'other', record: 'launch-1', pod: undefined };
  expect(state.seats.recovered([others], () => pod)).toEqual([]);
  expect(state.tasks.get('pod.other.0')).toMatchObject({ pod: undefined, want: { volumes: [] } });
  const own = { ...known, id: `pod.${uid}.0`, uid, record: 'launch-2', pod: undefined };
  expect(state.seats.recovered([own], () => pod)).toEqual([]);
  const made = persistenceId('c', 'claim-uid', own.id);
  expect(state.tasks.get(own.id)).toMatchObject({ pod, want: { volumes: [{ id: made }] } });
});
