import { describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import type { Node } from '../../api/kinds/node.ts';
import { keyOf } from '../../api/meta.ts';
import type { State } from '../../framework/state.ts';
import { isLater } from '../../framework/tasks.ts';
import { NotLaunched } from '../../scheduler/index.ts';
import { makePod } from '../scheduler/builders.ts';
import { callTypes, callsOf, makeOffer, register, statusOf, subscribed } from './builders.ts';

const one = <T>(items: readonly T[]): T => {
  expect(items).toHaveLength(1);
  return items[0]!;
};

/** A pod reserved on an agent's offer and sent; answers its task id. */
function launched(state: State, pod = makePod('p'), agent = 'a1', now = 0) {
  state.want([pod], now);
  state.offered([makeOffer(agent)], now);
  register(state);
  const seat = state.reserve(pod, `host-${agent}`)!;
  const launch = one(state.takeLaunches(now));
  const [call] = callsOf(state.recorded(launch, now));
  return { pod, seat, launch, call, task: launch.tasks[0]!, taskId: launch.tasks[0]!.id };
}

describe('seats', () => {
  test('bring an executor of their own framework, when the one before was torn down', () => {
    const state = subscribed();
    launched(state);
    const before = state.agent('a1')!.executor!;
    state.frameworkId = '';
    state.offered([makeOffer('a1')], 5);
    expect(state.reserve(makePod('early'), 'host-a1')).toBeUndefined();
    state.subscribed('f-0002', 10);
    state.executors.runs('a1', before, state.frameworkId);
    const next = launched(state, makePod('q'), 'a1', 20);
    if (next.call?.type !== 'ACCEPT') throw new Error('expected an ACCEPT');
    const [info] = next.call.accept.operations![0]!.launch!.task_infos!;
    expect([before, info!.executor!].map(({ framework_id }) => framework_id?.value)).toEqual(['f-0001', 'f-0002']);
  });

  test('of one agent leave in one ACCEPT that names all its offers', () => {
    const state = subscribed();
    const pods = [makePod('a'), makePod('b'), makePod('c')];
    state.want(pods, 0);
    state.offered([makeOffer('a1', { cpus: 0.5 }), makeOffer('a1', { cpus: 0.5 })], 0);
    register(state);
    for (const pod of pods) expect(state.reserve(pod, 'host-a1')).toBeDefined();
    expect(state.reserve(makePod('d'), 'host-a1')).toBeUndefined();
    const launch = one(state.takeLaunches(0));
    const [call] = callsOf(state.recorded(launch, 0));
    if (call?.type !== 'ACCEPT') throw new Error('expected an ACCEPT');
    expect(call.accept.offer_ids).toHaveLength(2);
    const tasks = call.accept.operations![0]!.launch!.task_infos!;
    expect(tasks.map(({ name }) => name)).toEqual(['a.default.pod', 'b.default.pod', 'c.default.pod']);
    expect(new Set(tasks.map(({ executor }) => executor)).size).toBe(1);
  });

  test('of many agents leave with one record, which goes with the last of them; of 200 tasks with two', () => {
    const state = subscribed();
    const agents = ['a1', 'a2', 'a3'];
    state.offered(
      agents.map((agent) => makeOffer(agent, { cpus: 100, mem: 100_000 })),
      0,
    );
    register(state);
    const reserve = (agent: string, count: number) => {
      for (let i = 0; i < count; i++) state.reserve(makePod(`${agent}-${i}`), `host-${agent}`);
    };
    for (const agent of agents) reserve(agent, 1);
    const launches = state.takeLaunches(0);
    expect(new Set(launches.map(({ record }) => record)).size).toBe(1);
    const settled = launches.flatMap((launch) => {
      state.recorded(launch, 0);
      return [state.bound(launch.tasks[0]!, 1)];
    });
    expect(settled).toEqual([[], [], [{ do: 'erase', record: launches[0]!.record }]]);

    state.offered(
      agents.map((agent) => makeOffer(agent, { cpus: 100, mem: 100_000 })),
      2,
    );
    reserve('a1', 150);
    reserve('a2', 51);
    reserve('a3', 149);
    const [first, second, third] = state.takeLaunches(3).map(({ record }) => record);
    expect(first).not.toBe(second);
    expect(second).toBe(third);
  });

  test('pay for the executor once, and not at all where it runs', () => {
    const state = subscribed();
    state.offered([makeOffer('a1', { cpus: 0.6, mem: 1024 })], 0);
    register(state);
    expect(state.nodes[0]!.free.cpu).toBe(500);
    expect(state.reserve(makePod('a'), 'host-a1')).toBeDefined();
    expect(state.nodes[0]!.free.cpu).toBe(250);
    expect(state.reserve(makePod('b'), 'host-a1')).toBeDefined();
    expect(state.nodes[0]!.free.cpu).toBe(0);
  });

  test('that are released leave everything as it was, the executor too', async () => {
    const state = subscribed();
    state.offered([makeOffer('a1', { cpus: 0.6, mem: 1024 })], 0);
    register(state);
    const before = { ...state.nodes[0]!.free };
    const [a, b] = [makePod('a'), makePod('b')];
    const seats = [a, b].map((pod) => state.reserve(pod, 'host-a1')!);
    for (const pod of [a, b]) expect(state.release(pod.metadata.uid, 1)).toEqual([]);
    expect(state.nodes[0]!.free).toEqual(before);
    expect(state.takeLaunches(1)).toEqual([]);
    for (const { launched } of seats) await expect(launched).rejects.toThrow(NotLaunched);
    expect(state.reserve(a, 'host-a1')).toBeDefined();
    expect(state.nodes[0]!.free.cpu).toBe(250);
  });

  test('are given back when their offer is rescinded, and kept when the rest can carry them', async () => {
    const state = subscribed();
    const [first, second] = [makeOffer('a1', { cpus: 1 }), makeOffer('a1', { cpus: 1 })];
    state.offered([first, second], 0);
    register(state);
    const seats = Array.from({ length: 5 }, (_, i) => state.reserve(makePod(`p${i}`), 'host-a1')!);
    state.rescinded(first.id.value, 1);
    const results = await Promise.allSettled(
      seats.map((seat) => Promise.race([seat.launched, Promise.resolve('kept')])),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    const lost = results.find((r) => r.status === 'rejected');
    expect(lost?.reason).toBeInstanceOf(NotLaunched);
    expect(one(state.takeLaunches(1)).tasks).toHaveLength(3);
  });

  test('are given back when the stream breaks before they were sent', async () => {
    const state = subscribed();
    state.offered([makeOffer('a1')], 0);
    register(state);
    const seat = state.reserve(makePod('p'), 'host-a1')!;
    state.disconnected(0);
    await expect(seat.launched).rejects.toThrow('connection');
    expect(state.takeLaunches(0)).toEqual([]);
  });

  test('whose pod was deleted while its record was written do not leave', () => {
    const state = subscribed();
    const pod = makePod('p');
    state.offered([makeOffer('a1')], 0);
    register(state);
    state.reserve(pod, 'host-a1');
    const launch = one(state.takeLaunches(0));
    state.podGone(pod.metadata.uid, 0);
    expect(callTypes(state.recorded(launch, 0))).toEqual(['DECLINE']);
  });

  test('that cannot be recorded are not launched', async () => {
    const state = subscribed();
    const pod = makePod('p');
    state.offered([makeOffer('a1')], 0);
    register(state);
    const seat = state.reserve(pod, 'host-a1')!;
    const launch = one(state.takeLaunches(0));
    expect(callTypes(state.notRecorded(launch, 'no apiserver', 0))).toEqual(['DECLINE']);
    await expect(seat.launched).rejects.toThrow('no apiserver');
  });
});

describe('a task', () => {
  test('is bound when it starts, acknowledged after that, and its record erased', async () => {
    const state = subscribed();
    const { seat, taskId, task, launch } = launched(state);
    const effect = one(state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 1));
    expect(effect).toMatchObject({ do: 'bind', ack: { type: 'ACKNOWLEDGE' } });
    expect(state.updated(statusOf(taskId, 'a1', 'TASK_RUNNING'), 2)).toMatchObject([
      { do: 'call', call: { type: 'ACKNOWLEDGE' } },
    ]);
    expect(state.bound(task, 3)).toEqual([{ do: 'erase', record: launch.record }]);
    await expect(seat.launched).resolves.toBeUndefined();
  });

  test('whose update comes twice is bound once and acknowledged once; what comes later was not acknowledged', () => {
    const state = subscribed();
    const { taskId, task } = launched(state);
    const starting = statusOf(taskId, 'a1', 'TASK_STARTING');
    expect(state.updated(starting, 1)).toHaveLength(1);
    expect(state.updated(starting, 2)).toEqual([]);
    state.bound(task, 3);
    const failed = statusOf(taskId, 'a1', 'TASK_FAILED');
    const [ended] = state.updated(failed, 10);
    expect(ended).toMatchObject({ do: 'ended' });
    // However late: it is not written down yet.
    expect(state.updated(failed, 10_010)).toEqual([]);
    state.acknowledged(ended?.do === 'ended' ? ended.ack : undefined);
    expect(callTypes(state.updated(failed, 10_011))).toEqual(['ACKNOWLEDGE']);
    state.subscribed('f-0001', 10_012);
    expect(callTypes(state.updated(failed, 10_013))).toContain('ACKNOWLEDGE');
  });

  test.each(['TASK_DROPPED', 'TASK_ERROR', 'TASK_LOST', 'TASK_GONE', 'TASK_FAILED', 'TASK_UNKNOWN'] as const)(
    'that is answered %s before it started gives its seat back',
    async (answer) => {
      const state = subscribed();
      const { seat, taskId, launch } = launched(state);
      const effects = state.updated(statusOf(taskId, 'a1', answer, { message: 'because' }), 1);
      expect(effects).toContainEqual({ do: 'erase', record: launch.record });
      await expect(seat.launched).rejects.toThrow(/because/);
      expect(state.tasks.size).toBe(0);
    },
  );

  test('never gets an id twice', () => {
    const state = subscribed();
    const pod = makePod('p');
    const ids = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const { taskId } = launched(state, pod, 'a1', i);
      ids.add(taskId);
      state.updated(statusOf(taskId, 'a1', 'TASK_DROPPED'), i);
    }
    expect(ids.size).toBe(3);
  });

  test('that carries no pod of ours is killed, and acknowledged', () => {
    const state = subscribed();
    expect(callTypes(state.updated(statusOf('pod.x.0', 'a1', 'TASK_RUNNING'), 0))).toEqual(['KILL', 'ACKNOWLEDGE']);
    expect(callTypes(state.updated(statusOf('pod.x.0', 'a1', 'TASK_KILLED'), 0))).toEqual(['ACKNOWLEDGE']);
  });

  test('of a deleted pod is killed once Mesos has it', () => {
    const state = subscribed();
    const { pod, taskId } = launched(state);
    expect(callTypes(state.podGone(pod.metadata.uid, 1))).toEqual(['KILL']);
    expect(callTypes(state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 2))).toEqual(['KILL', 'ACKNOWLEDGE']);
  });

  test('of a deleted pod is killed again for as long as Mesos shows it, and asked about when it shows nothing', () => {
    const state = subscribed();
    const { pod, taskId, task } = launched(state);
    state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 1);
    state.bound(task, 2);
    expect(callTypes(state.podGone(pod.metadata.uid, 3))).toEqual(['KILL']);
    const askedFor = (now: number) =>
      callsOf(state.tick(now)).flatMap((call) => (call.type === 'RECONCILE' ? (call.reconcile.tasks ?? []) : []));
    expect(askedFor(50_000)).toEqual([]);
    expect(askedFor(61_000)).toEqual([{ task_id: { value: taskId }, agent_id: { value: 'a1' } }]);
    const answer = (value: 'TASK_STAGING' | 'TASK_RUNNING' | 'TASK_UNREACHABLE') =>
      callTypes(state.updated(statusOf(taskId, 'a1', value), 61_001));
    expect(answer('TASK_STAGING')).toEqual(['KILL', 'ACKNOWLEDGE']);
    expect(answer('TASK_RUNNING')).toEqual(['KILL', 'ACKNOWLEDGE']);
    expect(answer('TASK_UNREACHABLE')).toEqual(['ACKNOWLEDGE']);
  });

  test('of a bound pod that was deleted ends without a look for the pod', () => {
    const state = subscribed();
    const { pod, taskId, task } = launched(state);
    state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 1);
    state.bound(task, 2);
    state.podGone(pod.metadata.uid, 3);
    expect(state.updated(statusOf(taskId, 'a1', 'TASK_KILLED'), 4)).toMatchObject([
      { do: 'call', call: { type: 'ACKNOWLEDGE' } },
    ]);
    expect(state.tasks.size).toBe(0);
  });

  test('that cannot have its volumes is killed, and its pod placed anew once it is over', async () => {
    const state = subscribed();
    const { pod, seat, task, taskId } = launched(state);
    const [bind] = state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 5);
    expect(bind?.do).toBe('bind');
    expect(callTypes(state.bindFailed(task, 'persistentvolume "v" is not to be had any more'))).toEqual(['KILL']);
    await expect(seat.launched).rejects.toThrow('is not to be had any more');
    state.offered([makeOffer('a1', { executor: true })], 10);
    expect(state.reserve(pod, 'host-a1')).toBeUndefined();
    const over = state.updated(statusOf(taskId, 'a1', 'TASK_KILLED'), 20);
    expect(over.filter((effect) => effect.do === 'ended')).toEqual([]);
    expect(callTypes(over)).toEqual(['ACKNOWLEDGE']);
    expect(state.reserve(pod, 'host-a1')).toBeDefined();
  });

  test('that was not bound when its agent was lost leaves its pod to other agents, and is killed if it comes back', async () => {
    const state = subscribed();
    const { seat, taskId, launch, pod } = launched(state);
    const effects = state.updated(statusOf(taskId, 'a1', 'TASK_UNREACHABLE'), 1);
    expect(effects).toContainEqual({ do: 'erase', record: launch.record });
    await expect(seat.launched).rejects.toThrow(NotLaunched);
    expect(launched(state, pod, 'a2', 2).taskId).not.toBe(taskId);
    expect(callTypes(state.updated(statusOf(taskId, 'a1', 'TASK_RUNNING'), 3))).toEqual(['KILL', 'ACKNOWLEDGE']);
  });

  test.each(['TASK_FAILED', 'TASK_GONE', 'TASK_LOST'] as const)(
    'that is %s under a bound pod is the shell’s to look at',
    (end) => {
      const state = subscribed();
      const { taskId, task } = launched(state);
      state.updated(statusOf(taskId, 'a1', 'TASK_STARTING'), 1);
      state.bound(task, 1);
      expect(state.updated(statusOf(taskId, 'a1', end), 2)).toMatchObject([{ do: 'ended', task: { id: taskId } }]);
    },
  );
});

describe('a bound pod without a task', () => {
  const boundPod = () => makePod('p', { nodeName: 'host-a1' });

  test('gets a new one on its node, and only there', () => {
    const state = subscribed();
    const pod = boundPod();
    const mirror = { ...pod, metadata: { ...pod.metadata, annotations: { 'kubernetes.io/config.mirror': 'hash' } } };
    expect(callTypes(state.addHomeless(mirror, 0))).toEqual([]);
    expect(callTypes(state.addHomeless(pod, 0))).toEqual(['REVIVE']);
    state.offered([makeOffer('a2'), makeOffer('a1')], 1);
    const launch = one(state.takeLaunches(1));
    expect(launch.agent.name).toBe('host-a1');
    expect(launch.tasks[0]).toMatchObject({ rebound: true, uid: pod.metadata.uid });
  });

  test('is tried less and less often when its tasks keep ending', () => {
    const state = subscribed();
    const pod = boundPod();
    state.addHomeless(pod, 0);
    const tries: number[] = [];
    for (let now = 0; now < 60_000; now += 100) {
      state.offered([makeOffer('a1')], now);
      for (const launch of state.takeLaunches(now)) {
        tries.push(now);
        state.recorded(launch, now);
        state.updated(
          statusOf(launch.tasks[0]!.id, 'a1', 'TASK_FAILED', { reason: 'REASON_EXECUTOR_TERMINATED' }),
          now,
        );
      }
      state.tick(now);
    }
    expect(tries.length).toBeGreaterThan(3);
    expect(tries.length).toBeLessThan(9);
  });

  test('wants nothing more when it has ended or is gone', () => {
    for (const end of ['podEnded', 'podGone'] as const) {
      const state = subscribed();
      const pod = boundPod();
      state.addHomeless(pod, 0);
      state[end](pod.metadata.uid, 0);
      state.offered([makeOffer('a1')], 1);
      expect(state.takeLaunches(1)).toEqual([]);
    }
  });
});

describe('considerate of neighbours:', () => {
  test('with nothing waiting, offers go back and are suppressed', () => {
    const state = subscribed();
    state.offered([makeOffer('a1')], 0);
    expect(callTypes(state.tick(0))).toEqual([]);
    expect(callTypes(state.tick(300))).toEqual(['DECLINE', 'SUPPRESS']);
    expect(callTypes(state.tick(600))).toEqual([]);
  });

  test('a new pod revives; one that fits nowhere does not keep reviving', () => {
    const state = subscribed();
    state.tick(0);
    state.tick(300);
    const pod = makePod('p');
    expect(callTypes(state.want([pod], 1000))).toEqual(['REVIVE']);
    state.offered([makeOffer('a1')], 1005);
    register(state);
    expect(callTypes(state.want([pod], 1010))).toEqual([]);
    const [decline] = callsOf(state.tick(1300));
    expect(decline).toMatchObject({ type: 'DECLINE', decline: { filters: { refuse_seconds: 5 } } });
    for (let now = 1300; now < 60_000; now += 250) expect(callTypes(state.tick(now))).not.toContain('REVIVE');
  });

  test('offers of an agent that is about to be a node are kept until pods were tried there, for two seconds at most', () => {
    const spec = { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' as const }] };
    const is = (ready: 'True' | 'False') => ({ status: { conditions: [{ type: 'Ready', status: ready }] } });
    const declined = (node?: Omit<Node, 'metadata'>) => {
      const state = subscribed();
      state.offered([makeOffer('a1')], 0);
      if (node) state.nodes[0]!.agent.node = { metadata: { name: 'host-a1' }, ...node };
      state.want([makePod('p')], 0);
      return [300, 1_900, 2_000].filter((now) => callTypes(state.tick(now)).includes('DECLINE'));
    };
    expect(declined()).toEqual([2_000]);
    expect(declined({ spec, ...is('True') })).toEqual([2_000]);
    expect(declined({ spec, ...is('False') })).toEqual([300]);
    expect(declined(is('True'))).toEqual([300]);
  });

  test('offers are kept while one waiting pod after the other is placed, for two seconds at most', () => {
    const declined = (uses: readonly number[]) => {
      const state = subscribed();
      state.offered([makeOffer('a1'), makeOffer('a2')], 0);
      register(state);
      state.want([makePod('waits')], 0);
      return [250, 500, 1_750, 2_000].find((now) => {
        if (uses.includes(now)) state.reserve(makePod(`p${now}`), 'host-a1');
        return callTypes(state.tick(now)).includes('DECLINE');
      });
    };
    expect(declined([])).toBe(250);
    expect(declined([250])).toBe(500);
    expect(declined([250, 500, 1_750, 2_000])).toBe(2_000);
  });

  test('pods that come while a REVIVE has no answer make no further one', () => {
    const state = subscribed();
    state.tick(0);
    state.tick(300);
    const pods = [makePod('p'), makePod('q'), makePod('r')];
    expect(callTypes(state.want(pods.slice(0, 1), 1000))).toEqual(['REVIVE']);
    expect(callTypes(state.want(pods.slice(0, 2), 1010))).toEqual([]);
    state.offered([makeOffer('a1')], 1020);
    expect(callTypes(state.want(pods.slice(0, 2), 1021))).toEqual([]);
    expect(callTypes(state.want(pods, 1022))).toEqual(['REVIVE']);
  });

  test('what the last ACCEPT left over is asked for while pods wait, as long as something was taken', () => {
    const state = subscribed();
    const [small, great] = [makePod('small'), makePod('great')];
    state.want([small, great], 0);
    state.offered([makeOffer('a1'), makeOffer('a2')], 0);
    state.reserve(small, 'host-a1');
    state.reserve(great, 'host-a2');
    const [first, second] = state.takeLaunches(10);
    state.want([makePod('next')], 11);
    expect(callTypes(state.recorded(first!, 12))).toEqual(['ACCEPT']);
    expect(callTypes(state.recorded(second!, 13))).toEqual(['ACCEPT', 'REVIVE']);
    for (let now = 250; now < 5000; now += 250) expect(callTypes(state.tick(now))).not.toContain('REVIVE');
  });

  test('many new pods one after the other do not make many REVIVEs', () => {
    const state = subscribed();
    state.tick(0);
    state.tick(300);
    let revives = 0;
    for (let now = 1000; now < 6000; now += 10)
      revives += callTypes(state.want([makePod(`p${now}`)], now)).filter((t) => t === 'REVIVE').length;
    expect(revives).toBeGreaterThanOrEqual(5);
    expect(revives).toBeLessThanOrEqual(9);
  });
});

describe('reconciliation', () => {
  const named = (id: string, agent: string) => ({ task_id: { value: id }, agent_id: { value: agent } });

  test('asks for all tasks that were sent, again for the silent ones, then for unknown ones', () => {
    const state = subscribed();
    const { taskId } = launched(state);
    const other = launched(state, makePod('q'), 'a2');
    const [explicit] = callsOf(state.subscribed('f-0001', 1000));
    expect(explicit).toMatchObject({
      type: 'RECONCILE',
      // One of an unreachable agent is unknown to who does not name the agent.
      reconcile: { tasks: [named(taskId, 'a1'), named(other.taskId, 'a2')] },
    });
    state.updated(statusOf(taskId, 'a1', 'TASK_RUNNING'), 1100);
    const again = callsOf(state.tick(10_000)).filter(({ type }) => type === 'RECONCILE');
    expect(again).toMatchObject([{ reconcile: { tasks: [{ task_id: { value: other.taskId } }] } }]);
    state.updated(statusOf(other.taskId, 'a2', 'TASK_RUNNING'), 10_100);
    expect(callsOf(state.tick(300_000)).filter(({ type }) => type === 'RECONCILE')).toEqual([
      expect.objectContaining({ reconcile: {} }),
    ]);
  });

  test('of very many tasks asks batch by batch, going on with those whose answers do not come', () => {
    const state = subscribed();
    const ids = Array.from({ length: 2500 }, (_, i) => `pod.u${i}.0`);
    for (const [i, id] of ids.entries())
      state.seats.adopt({
        ...{ id, agentId: 'a1', uid: `u${i}`, key: `default/p${i}`, node: 'host-a1', stage: 'bound' },
        ...{ record: undefined, pod: undefined, rebound: true, anyPorts: [] },
      });
    const askedBy = (effects: Parameters<typeof callsOf>[0]) =>
      callsOf(effects).flatMap((call) => (call.type === 'RECONCILE' ? [call.reconcile.tasks?.length] : []));
    expect(askedBy(state.subscribed('f-0001', 0))).toEqual([1000]);
    const more = ids.slice(0, 600).flatMap((id) => askedBy(state.updated(statusOf(id, 'a1', 'TASK_RUNNING'), 1)));
    expect(more).toEqual([1000]);
    expect(askedBy(state.tick(2000))).toEqual([500]);
    for (const id of ids.slice(0, 2499)) state.updated(statusOf(id, 'a1', 'TASK_RUNNING'), 2001);
    expect(askedBy(state.tick(10_000))).toEqual([1]);
  });

  test('a launch without an answer is asked about, not given back', async () => {
    const state = subscribed();
    const { taskId, seat } = launched(state);
    const calls = callsOf(state.tick(70_000)).filter(({ type }) => type === 'RECONCILE');
    expect(calls).toContainEqual(expect.objectContaining({ reconcile: { tasks: [named(taskId, 'a1')] } }));
    // Its agent has it, its executor said nothing yet.
    const { uuid: _none, ...staging } = statusOf(taskId, 'a1', 'TASK_STAGING');
    expect(callTypes(state.updated(staging, 70_001))).toEqual([]);
    expect(await Promise.race([seat.launched, Promise.resolve('still waiting')])).toBe('still waiting');
  });
});

test('of the launches recorded before a restart, those whose pods are bound already are over, and with the last of a record the record is', () => {
  const state = subscribed();
  const carried = (name: string, taskId: string) =>
    makePod(name, { nodeName: 'host-a1' }, { annotations: { [annotations.taskId]: taskId } });
  const pods = [carried('bound', 'pod.bound.0'), carried('later', 'pod.later.1'), makePod('open')];
  const known = (name: string, record: string) => ({
    ...{
      id: `pod.${name}.0`,
      agentId: 'a1',
      key: `default/${name}`,
      node: 'host-a1',
      stage: 'launching' as const,
      record,
    },
    ...{ uid: pods.find(({ metadata }) => metadata.name === name)!.metadata.uid!, pod: undefined, rebound: false },
    anyPorts: [],
  });
  const all = [known('bound', 'l1'), known('later', 'l1'), known('bound', 'l2'), known('open', 'l2')];
  const effects = state.seats.recovered(all, (key) => pods.find((pod) => keyOf(pod) === key));
  expect(effects).toEqual([{ do: 'erase', record: 'l1' }]);
  expect([...state.tasks.all()].map(({ id }) => id)).toEqual(['pod.open.0']);
});

test('a launch from before a restart counts on its node before its pod is bound', () => {
  const state = subscribed();
  const pod = makePod('under-way');
  const { uid } = pod.metadata;
  const known = { id: `pod.${uid}.0`, uid: uid!, key: keyOf(pod), agentId: 'a1', node: 'host-a1', record: 'l1' };
  const more = { stage: 'launching' as const, pod: undefined, rebound: false, anyPorts: [] };
  state.seats.recovered([{ ...known, ...more }], () => pod);
  state.offered([makeOffer('a1')], 0);
  expect([...state.nodes[0]!.pods.keys()]).toEqual([uid]);
  state.updated(statusOf(known.id, 'a1', 'TASK_DROPPED'), 1);
  expect([...state.nodes[0]!.pods.keys()]).toEqual([]);
});

test('a task id tells which of two attempts at a pod is the later one', () => {
  expect(isLater('pod.u.2', 'pod.u.1')).toBe(true);
  expect(isLater('pod.u.10', 'pod.u.9')).toBe(true);
  expect(isLater('pod.u.1', 'pod.u.1')).toBe(false);
  expect(isLater(undefined, 'pod.u.0')).toBe(false);
});
