import { describe, expect, test } from '@jest/globals';
import type { PodSpec } from '../../api/kinds/pod.ts';
import { factsOf } from '../../framework/agents.ts';
import { limitsOf } from '../../framework/launch.ts';
import { wantOf } from '../../framework/resources.ts';
import type { Offer } from '../../mesos/offers.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, register, scalar, stateOptions, subscribed } from './builders.ts';

const containers = (...limits: Record<string, string>[]): Partial<PodSpec> => ({
  containers: limits.map((one, i) => ({ name: `c${i}`, image: 'x', resources: { limits: one } })),
});
const want = wantOf([
  { resource: 'cpu', amount: 250 },
  { resource: 'memory', amount: 64 * 1024 * 1024 },
]);
const limits = (spec: Partial<PodSpec>, of = want) => limitsOf(makePod('p', spec), of);

describe('the limits of a task', () => {
  test('are those of its pod, never less than what it is accounted with', () => {
    const all = containers({ cpu: '1', memory: '128Mi' }, { cpu: '500m', memory: '1Gi' });
    expect(limits(all)).toEqual({ cpus: { value: 1.5 }, mem: { value: 1152 } });
    expect(limits({ ...all, overhead: { cpu: '100m' } }).cpus).toEqual({ value: 1.6 });
    expect(limits(containers({ cpu: '1m', memory: '1Mi' }))).toEqual({ cpus: { value: 0.25 }, mem: { value: 64 } });
    expect(limits({ ...containers({}), resources: { limits: { cpu: '2' } } }).cpus).toEqual({ value: 2 });
  });

  test('are none for a pod of which one container has none: cpus then are not limited at all, memory as before', () => {
    expect(limits(containers({ cpu: '1', memory: '128Mi' }, {}))).toEqual({ cpus: { value: Infinity } });
    expect(limits(containers({}))).toEqual({ cpus: { value: Infinity } });
    expect(limits(containers({ cpu: '1', memory: '1Gi' }), wantOf([]))).toEqual({});
  });

  test.each([true, false, undefined])('are sent where the agent takes them: %s', (takes) => {
    const state = subscribed();
    const offer = makeOffer('a1');
    state.learnAgent({ ...factsOf(offer), limits: takes });
    state.offered([offer], 0);
    register(state);
    state.reserve(makePod('p', containers({ cpu: '1', memory: '1Gi' })), 'host-a1');
    const [call] = state.takeLaunches(0).flatMap((launch) => callsOf(state.recorded(launch, 0)));
    const [operation] = call?.type === 'ACCEPT' ? (call.accept.operations ?? []) : [];
    const expected = takes ? { cpus: { value: 1 }, mem: { value: 1024 } } : undefined;
    expect(operation?.launch?.task_infos?.map((task) => task.limits)).toEqual([expected]);
  });
});

test('an executor is told how to reach the apiserver and which node it is, once: while it lives that stays as it is', () => {
  const state = subscribed();
  const launch = (offer: Offer, pod: string, node: string) => {
    state.offered([offer], 0);
    register(state);
    state.reserve(makePod(pod, containers({})), node);
    const [call] = state.takeLaunches(0).flatMap((one) => callsOf(state.recorded(one, 0)));
    const [operation] = call?.type === 'ACCEPT' ? (call.accept.operations ?? []) : [];
    return operation?.launch?.task_infos?.[0]?.executor;
  };
  const first = launch(makeOffer('a1'), 'p', 'host-a1');
  const told = (info = first) => JSON.parse(Buffer.from(info?.data ?? []).toString()) as object;
  expect(told()).toEqual({ server: 'https://api:6443', ca: 'the CA', token: 'the token', node: 'host-a1' });
  expect(launch(makeOffer('a1', { executor: true }), 'q', 'host-a1')).toEqual(first);
  expect(told(launch(makeOffer('a2'), 'r', 'host-a2'))).toMatchObject({ node: 'host-a2' });
});

describe('the resources of a task', () => {
  test('are in thousandths, rounded up, and without those of which it wants nothing', () => {
    const { scalars } = wantOf([
      { resource: 'cpu', amount: 0.2 },
      { resource: 'memory', amount: 1 },
      { resource: 'ephemeral-storage', amount: 0 },
      { resource: 'example.com/licence', amount: 0 },
    ]);
    expect(Object.fromEntries(scalars)).toEqual({ cpus: 1, mem: 1 });
  });

  test('are the GPUs of Mesos and any other scalar, below our domain where its name has none, on nodes that have them', () => {
    const state = subscribed();
    const special = [scalar('gpus', 2), scalar('example.com/licence', 3), scalar('bandwidth', 1000)];
    const offer = makeOffer('a1');
    state.learnAgent({ ...factsOf(offer), total: [...offer.resources!, ...special] });
    state.offered([{ ...offer, resources: [...offer.resources!, ...special] }], 0);
    register(state);
    const [node] = state.nodes;
    for (const amounts of [node!.free, node!.allocatable])
      expect(amounts).toMatchObject({
        'nvidia.com/gpu': 2,
        'example.com/licence': 3,
        'k8s.mesosphere.io/bandwidth': 1000,
      });
    const requests = { 'nvidia.com/gpu': '2', 'example.com/licence': '1', 'k8s.mesosphere.io/bandwidth': '100' };
    state.reserve(makePod('p', { containers: [{ name: 'c', image: 'x', resources: { requests } }] }), 'host-a1');
    expect(node!.free).toMatchObject({ 'nvidia.com/gpu': 0, 'example.com/licence': 2 });
    const [call] = state.takeLaunches(0).flatMap((launch) => callsOf(state.recorded(launch, 0)));
    const [operation] = call?.type === 'ACCEPT' ? (call.accept.operations ?? []) : [];
    const resources = operation?.launch?.task_infos?.[0]?.resources ?? [];
    expect(resources.map(({ name, scalar: amount }) => [name, amount?.value])).toEqual(
      expect.arrayContaining([
        ['gpus', 2],
        ['example.com/licence', 1],
        ['bandwidth', 100],
      ]),
    );
  });
});

test('a second living agent of one host is a node of its own, told apart by its port', () => {
  const state = subscribed();
  const facts = factsOf(makeOffer('a1'));
  for (const [id, port] of [
    ['first', 5051],
    ['second', 5052],
    ['again', 5051],
  ] as const)
    state.learnAgent({ ...facts, id, port });
  // One that came back under another id has the node that it had.
  expect(state.agents.map(({ name, facts: { id } }) => `${name} ${id}`)).toEqual([
    'host-a1 again',
    'host-a1-5052 second',
  ]);
});

test('agents of one host have the nodes that they had, in whatever order they come back, and nobody takes that of one that is cut off', () => {
  const names = new Map([
    ['first', 'host-a1'],
    ['second', 'host-a1-5052'],
  ]);
  const state = subscribed({ nodeOf: (id) => names.get(id) });
  const facts = factsOf(makeOffer('a1'));
  for (const [id, port] of [
    ['second', 5052],
    ['first', 5051],
  ] as const)
    state.learnAgent({ ...facts, id, port });
  state.agentLost('first', 0);
  state.learnAgent({ ...facts, id: 'third', port: 5053 });
  expect(new Map(state.agents.map(({ name, facts: { id } }) => [id, name]))).toEqual(
    new Map([...names, ['third', 'host-a1-5053']]),
  );
});

describe('the executor of a task', () => {
  test('is the same for every task of an agent, whatever becomes of the options', () => {
    const launchOn = (state: ReturnType<typeof subscribed>, name: string) => {
      state.offered([makeOffer('a1', { executor: name !== 'first' })], 0);
      register(state);
      state.reserve(makePod(name), 'host-a1');
      const [call] = state.takeLaunches(0).flatMap((launch) => callsOf(state.recorded(launch, 0)));
      const [operation] = call?.type === 'ACCEPT' ? (call.accept.operations ?? []) : [];
      return operation?.launch?.task_infos?.[0]?.executor;
    };
    const before = launchOn(subscribed(), 'first');
    expect(before?.command?.value).toBe(stateOptions.executor.command);
    // A newer scheduler would start executors otherwise; on this agent one runs.
    const newer = subscribed({ executor: { ...stateOptions.executor, command: 'km-2 executor', cpus: 300 } });
    newer.learnAgent(factsOf(makeOffer('a1')));
    newer.executors.runs('a1', before!, newer.frameworkId);
    expect(launchOn(newer, 'second')).toEqual(before);
  });
});
