import { describe, expect, test } from '@jest/globals';
import { manifestAnnotations } from '../../api/kinds/names.ts';
import { mustLeave, windowFor, windowOf } from '../../framework/maintenance.ts';
import type { State } from '../../framework/state.ts';
import type { Unavailability } from '../../mesos/types.ts';
import { makePod } from '../scheduler/builders.ts';
import { callTypes, callsOf, makeOffer, register, statusOf, subscribed } from './builders.ts';

const hour = 3_600_000;
const at = (start: number, duration?: number): Unavailability => ({
  start: { nanoseconds: BigInt(start) * 1_000_000n },
  ...(duration === undefined ? {} : { duration: { nanoseconds: BigInt(duration) * 1_000_000n } }),
});
const down = 'node(s) will be down for maintenance';

const running = (agent: string) => makeOffer(agent, { executor: true });

describe('an agent that Mesos drains', () => {
  const draining = 'node(s) had a Mesos agent that is being drained';
  const drained = (state: State, taskId: string, value: 'TASK_DROPPED' | 'TASK_KILLED') =>
    state.updated(statusOf(taskId, 'a1', value, { reason: 'REASON_AGENT_DRAINING' }), 1);

  test('takes no pods until it is offered again without our executor, which ends when the pods have', () => {
    const state = subscribed();
    state.offered([makeOffer('a1'), makeOffer('a2')], 0);
    register(state);
    state.reserve(makePod('p'), 'host-a1');
    const [launch] = state.takeLaunches(0);
    state.recorded(launch!, 0);
    expect(state.machines.drains('a1', 1)).toEqual(['host-a1']);
    expect(state.machines.drains('a1', 2)).toEqual([]);
    expect(callTypes(drained(state, launch!.tasks[0]!.id, 'TASK_DROPPED'))).toEqual(['ACKNOWLEDGE']);
    expect(state.nodes.map(({ unavailable }) => unavailable)).toEqual([draining, undefined]);
    expect(state.agent('a1')).toMatchObject({ closing: true, closedFrom: 1 });
    // Reactivated, but the agent itself has not finished.
    state.offered([running('a1')], 3);
    expect(state.nodes[0]!.unavailable).toBe(draining);
    expect(callsOf(state.vacated('host-a1'))).toMatchObject([
      { type: 'SHUTDOWN', shutdown: { agent_id: { value: 'a1' }, executor_id: { value: 'km-test' } } },
    ]);
    state.executors.lost('a1');
    expect(callsOf(state.vacated('host-a1'))).toEqual([]);
    state.offered([makeOffer('a1')], 4);
    expect(state.nodes[0]!.unavailable).toBeUndefined();
    expect(state.agent('a1')).toMatchObject({ closing: false, closedFrom: undefined });
  });

  test('takes pods again though nobody waits and it is offered to nobody, once the master drains it no more and our executor has ended', () => {
    const state = subscribed();
    state.offered([running('a1')], 0);
    register(state);
    state.executors.runs('a1', { executor_id: { value: 'km-test' } }, 'f-0001');
    state.machines.drains('a1', 1);
    expect(state.machines.drained(['a1', 'unknown'])).toEqual([]);
    state.executors.lost('a1');
    expect(state.machines.drained([])).toEqual([]);
    expect(state.agent('a1')).toMatchObject({ closing: true });
    expect(state.machines.drained(['a1'])).toEqual(['host-a1']);
    expect(state.agent('a1')).toMatchObject({ closing: false });
    expect(state.machines.drained(['a1'])).toEqual([]);
  });

  test('is not asked to end its executor for maintenance alone', () => {
    const state = subscribed();
    state.offered([{ ...makeOffer('a1'), unavailability: at(1000) }], 0);
    register(state);
    state.agent('a1')!.executor = { executor_id: { value: 'km-test' } };
    expect(callsOf(state.vacated('host-a1'))).toEqual([]);
  });
});

describe('an agent whose machine will be away', () => {
  test('takes no pods from an hour before until it is back', () => {
    const state = subscribed();
    state.offered([{ ...makeOffer('a1'), unavailability: at(10 * hour, hour) }], 0);
    register(state);
    const reason = (now: number) => {
      state.machines.look(now);
      return state.nodes[0]!.unavailable;
    };
    expect([0, 9 * hour - 1, 9 * hour, 10 * hour, 11 * hour].map(reason)).toEqual([
      undefined,
      undefined,
      down,
      down,
      undefined,
    ]);
  });

  test('does as soon as an offer or the schedule says that it stays', () => {
    const state = subscribed();
    const soon = at(1000);
    state.offered([{ ...makeOffer('a1'), unavailability: soon }], 0);
    register(state);
    expect(state.nodes[0]!.unavailable).toBe(down);
    expect(state.machines.scheduled({}, 1)).toEqual(['host-a1']);
    expect(state.nodes[0]!.unavailable).toBeUndefined();
    const windows = [{ machine_ids: [{ hostname: 'host-a1', ip: 'host-a1' }], unavailability: soon }];
    expect(state.machines.scheduled({ windows }, 2)).toEqual(['host-a1']);
    expect(state.machines.scheduled({ windows }, 3)).toEqual([]);
    expect(state.nodes[0]!.unavailable).toBe(down);
    state.offered([makeOffer('a1')], 4);
    expect(state.reserve(makePod('p'), 'host-a1')).toBeDefined();
  });

  test('is given to Mesos once it is empty, each inverse offer once', () => {
    const state = subscribed();
    state.offered([makeOffer('a1')], 0);
    register(state);
    const inverse = (id: string) => ({
      ...{ id: { value: id }, framework_id: { value: 'f' }, agent_id: { value: 'a1' }, unavailability: at(1000) },
    });
    expect(state.machines.inverseOffered([inverse('i1'), inverse('i2')], 0)).toEqual(['host-a1', 'host-a1']);
    expect(state.nodes[0]!.unavailable).toBe(down);
    state.machines.inverseRescinded('i1');
    const [call, ...others] = callsOf(state.vacated('host-a1'));
    expect(others).toEqual([]);
    expect(call).toMatchObject({
      type: 'ACCEPT_INVERSE_OFFERS',
      accept_inverse_offers: { inverse_offer_ids: [{ value: 'i2' }] },
    });
    expect(state.vacated('host-a1')).toEqual([]);
    state.machines.inverseOffered([inverse('i3')], 1);
    state.disconnected(2);
    expect(state.vacated('host-a1')).toEqual([]);
  });
});

describe('a schedule', () => {
  const facts = {
    id: 'a',
    hostname: 'h',
    ip: '10.0.0.1',
    port: 5051,
    attributes: [],
    domain: undefined,
    total: undefined,
  };

  test.each([
    [{ hostname: 'h', ip: '10.0.0.1' }, true],
    [{ hostname: 'h' }, true],
    [{ ip: '10.0.0.1' }, true],
    [{ hostname: 'h', ip: '10.0.0.2' }, false],
    [{ hostname: 'g' }, false],
  ])('names machines by host name, address or both: %j', (id, isIts) => {
    const windows = [{ machine_ids: [{ hostname: 'other' }, id], unavailability: at(5, 6) }];
    expect(windowFor({ windows }, facts)).toEqual(isIts ? { start: 5, end: 11 } : undefined);
  });

  test('without a duration is for ever', () => {
    expect(windowOf(at(5))).toEqual({ start: 5, end: Infinity });
  });
});

test('a node is empty when only pods are left that would come back, or that its kubelet keeps', () => {
  const owned = (kind: string) => ({
    ownerReferences: [{ apiVersion: 'v1', kind, name: 'x', uid: 'u', controller: true }],
  });
  const mirror = { annotations: { [manifestAnnotations.mirror]: 'hash' } };
  const done = { ...makePod('done'), status: { phase: 'Succeeded' as const } };
  expect(mustLeave(makePod('plain', {}, owned('ReplicaSet')))).toBe(true);
  const staying = [
    makePod('daemon', {}, owned('DaemonSet')),
    makePod('static', {}, { ...owned('Node'), ...mirror }),
    done,
  ];
  expect(staying.map(mustLeave)).toEqual([false, false, false]);
});
