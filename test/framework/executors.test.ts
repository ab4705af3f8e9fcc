import { describe, expect, test } from '@jest/globals';
import { infoIn, question } from '../../mesos/executor-info.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, register, stateOptions, subscribed } from './builders.ts';

const launched = (state: ReturnType<typeof subscribed>, name: string) => {
  state.offered([makeOffer('a1', { executor: name !== 'first' })], 0);
  register(state);
  state.reserve(makePod(name), 'host-a1');
  const [call] = state.takeLaunches(0).flatMap((launch) => callsOf(state.recorded(launch, 0)));
  return call?.type === 'ACCEPT' ? call.accept.operations?.[0]?.launch?.task_infos?.[0]?.executor : undefined;
};

describe('an executor of which no master tells', () => {
  const before = launched(subscribed(), 'first')!;
  /** Of a newer km, that would start it otherwise. */
  const newer = () => subscribed({ executor: { ...stateOptions.executor, command: 'km-2 executor' } });
  const asked = (effects: ReturnType<ReturnType<typeof newer>['tick']>) =>
    callsOf(effects).flatMap((call) => (call.type === 'MESSAGE' ? [call.message] : []));

  test('is asked how it was launched, and gets no task before it has said so: then as it was', () => {
    const state = newer();
    expect(asked(state.offered([makeOffer('a1', { executor: true })], 0))).toEqual([
      { agent_id: { value: 'a1' }, executor_id: { value: 'km-test' }, data: question },
    ]);
    register(state);
    expect(state.reserve(makePod('early'), 'host-a1')).toBeUndefined();
    expect(state.nodes[0]!.unavailable).toBeDefined();
    state.executors.runs('a1', before, state.frameworkId);
    expect(launched(state, 'second')).toEqual(before);
    expect(asked(state.tick(60_000))).toEqual([]);
  });

  test('is asked again each second, and taken for one of ours when it never answers, as those of an older km', () => {
    const state = newer();
    state.want([makePod('waits')], 0);
    state.offered([makeOffer('a1', { executor: true })], 0);
    register(state);
    const times = Array.from({ length: 50 }, (_, i) => (i + 1) * 250);
    expect(times.filter((now) => asked(state.tick(now)).length > 0)).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((second) => second * 1000),
    );
    expect(launched(state, 'second')?.command?.value).toBe('km-2 executor');
  });

  test('need not be asked where it is gone', () => {
    const state = newer();
    state.offered([makeOffer('a1', { executor: true })], 0);
    state.executors.lost('a1');
    expect(asked(state.tick(5000))).toEqual([]);
    expect(launched(state, 'first')?.command?.value).toBe('km-2 executor');
  });

  test('says of what is no ExecutorInfo that it is none', () => {
    expect(() => infoIn(Buffer.from('hello'))).toThrow();
  });
});
