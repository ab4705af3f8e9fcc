import { expect, test } from '@jest/globals';
import type { PodSpec } from '../../api/kinds/pod.ts';
import { factsOf } from '../../framework/agents.ts';
import type { State } from '../../framework/state.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, scalar, subscribed } from './builders.ts';

// https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/

const dongle = 'example.com/dongle';
const node = 'host-a1';

const wanting = (name: string, amount: number, more: Partial<PodSpec> = {}) =>
  makePod(name, {
    ...more,
    containers: [{ name: 'c', image: 'i', resources: { requests: { [dongle]: String(amount), cpu: '100m' } } }],
  });

/** An agent that offers something, with what somebody wrote into its Node. */
function advertising(capacity: Record<string, string>, total = [scalar('cpus', 4), scalar('mem', 4096)]): State {
  const state = subscribed();
  const offer = makeOffer('a1');
  state.offered([offer], 0);
  const agent = state.learnAgent({ ...factsOf(offer), total });
  agent.node = { metadata: { name: node }, status: { capacity } };
  return state;
}
const free = (state: State) => state.nodesFor(wanting('any', 1))[0]!.free[dongle];

test('pods take what a Node advertises, of the Node and not of an offer, until nothing is left', () => {
  const state = advertising({ [dongle]: '3' });
  const [two, other, one] = [wanting('two', 2), wanting('other', 2), wanting('one', 1)];
  expect(state.nodesFor(two)[0]).toMatchObject({ allocatable: { [dongle]: 3 }, unoffered: { [dongle]: 3 } });
  expect(state.reserve(two, node)).toBeDefined();
  expect(free(state)).toBe(1);
  expect(state.reserve(other, node)).toBeUndefined();
  expect(state.reserve(one, node)).toBeDefined();
  expect(free(state)).toBe(0);
  const [call] = callsOf(state.recorded(state.takeLaunches(0)[0]!, 0));
  if (call?.type !== 'ACCEPT') throw new Error('expected an ACCEPT');
  const tasks = call.accept.operations![0]!.launch!.task_infos!;
  expect(tasks.map(({ resources }) => resources!.map(({ name }) => name).sort())).toEqual([
    ['cpus', 'mem'],
    ['cpus', 'mem'],
  ]);
});

test('a pod that goes leaves it to the next one at once', () => {
  const state = advertising({ [dongle]: '1' });
  const pod = wanting('first', 1);
  expect(state.reserve(pod, node)).toBeDefined();
  expect(free(state)).toBe(0);
  state.agent('a1')!.removePod(pod.metadata.uid!);
  expect(free(state)).toBe(1);
});

test('a pod that is bound there already has its own share, and one bound by hand must find enough', () => {
  const state = advertising({ [dongle]: '1' });
  const [bound, late] = [wanting('bound', 1, { nodeName: node }), wanting('late', 1)];
  const agent = state.agent('a1')!;
  agent.addPod(bound);
  state.addHomeless(bound, 0);
  expect(state.tasks.ofPod(bound.metadata.uid!)?.stage).toBe('reserved');
  expect(state.rejectionOf(late, agent)).toMatchObject({ reason: `OutOf${dongle}` });
});

test('what Mesos has itself is of its offers only, and so is everything while nobody knows what it has', () => {
  const ofMesos = advertising({ [dongle]: '3' }, [scalar(dongle, 3)]);
  expect(free(ofMesos)).toBeUndefined();
  expect(ofMesos.nodesFor(wanting('p', 1))[0]!.allocatable[dongle]).toBe(3);
  const unknown = subscribed();
  unknown.offered([makeOffer('a1')], 0);
  unknown.agent('a1')!.node = { metadata: { name: node }, status: { capacity: { [dongle]: '3' } } };
  expect(free(unknown)).toBeUndefined();
});

test('resources of Kubernetes itself are not advertised, whatever a Node says', () => {
  const state = advertising({ cpu: '100', 'kubernetes.io/thing': '4' });
  expect(state.agent('a1')!.advertised.isEmpty).toBe(true);
});
