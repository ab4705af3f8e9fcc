import { expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import { defaultProfile, decide, explain, type NodeView, seeded } from '../../scheduler/index.ts';
import { Nominations } from '../../scheduler/nominations.ts';
import { preempt } from '../../scheduler/preemption.ts';
import { makeNode, makePod } from './builders.ts';

const needsOf = (pod: Pod) => [{ resource: 'cpu', amount: Number(pod.metadata.annotations?.['cores']) * 1000 }];
const podOf = (name: string, cores: number, priority = 0, spec: Partial<Pod['spec']> = {}) =>
  makePod(name, { priority, ...spec }, { annotations: { cores: String(cores) }, labels: { app: name } });

/** Where the pod goes while these wait for room on the node `a`. */
function place(pod: Pod, nodes: NodeView[], nominees: Pod[]): string {
  const nominations = new Nominations(needsOf);
  for (const one of nominees) nominations.set(one, 'a');
  const ask = { pod, needs: needsOf(pod), nodes, world: { namespaceLabels: () => ({}) } };
  const decision = decide(ask, nominations.heeded(defaultProfile), seeded(1));
  return 'node' in decision ? decision.node.name : explain(decision.refusals, nodes.length);
}

const urgent = podOf('urgent', 3, 100);
const taken = { free: { cpu: 3000, memory: 8 * 1024 ** 3 } };
const port = (hostPort: number): Partial<Pod['spec']> => ({
  containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80, hostPort }] }],
});
const near = (app: string, how: 'podAffinity' | 'podAntiAffinity'): Partial<Pod['spec']> => ({
  affinity: {
    [how]: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { app } }, topologyKey: 'kubernetes.io/hostname' },
      ],
    },
  },
});

test.each<[string, Pod, Pod[], string]>([
  ['a lesser one elsewhere, though there is room yet', podOf('p', 1), [urgent], 'b'],
  ['one as important elsewhere, too', podOf('p', 1, 100), [urgent], 'b'],
  ['a more important one there', podOf('p', 3, 101), [urgent], 'a'],
  ['a lesser one there, where both fit', podOf('p', 1), [podOf('urgent', 2, 100)], 'a'],
  ['the one for whom room is made there', urgent, [urgent], 'a'],
  ['two who wait count together', podOf('p', 1), [podOf('x', 2, 100), podOf('y', 1, 100)], 'b'],
  ['nobody where its host port is', podOf('p', 0, 0, port(80)), [podOf('urgent', 0, 100, port(80))], 'b'],
  ['nobody near whom it wants to be apart from', podOf('p', 0, 0, near('urgent', 'podAntiAffinity')), [urgent], 'b'],
])('room that is made: %s', (_words, pod, nominees, expected) => {
  // The other is the worse choice.
  const nodes = [makeNode('a', taken), makeNode('b', { free: { cpu: 1000, memory: 1024 ** 3 } })];
  expect(place(pod, nodes, nominees)).toBe(expected);
});

test('nobody relies on a pod that may never come', () => {
  expect(place(podOf('p', 0, 0, near('urgent', 'podAffinity')), [makeNode('a', taken)], [urgent])).toBe(
    "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
  );
});

test('pods that end make room for one more only beside who waits for it already', () => {
  const small = podOf('small', 1);
  const nodes = [makeNode('a', { pods: [small], free: { cpu: 3000, memory: 8 * 1024 ** 3 } })];
  const nominations = new Nominations(needsOf);
  const ask = (pod: Pod) => ({ pod, needs: needsOf(pod), nodes, world: { namespaceLabels: () => ({}) } });
  const next = podOf('next', 4, 50);
  expect(preempt(ask(next), nominations.heeded(defaultProfile), needsOf)).toMatchObject({ node: 'a' });
  nominations.set(urgent, 'a');
  expect(preempt(ask(next), nominations.heeded(defaultProfile), needsOf)).toMatch(/^0\/1 nodes are available/);
});

test('what the status of a waiting pod says counts where it says something new', () => {
  const nominations = new Nominations(needsOf);
  const saying = (nominatedNodeName?: string) => ({
    ...urgent,
    status: nominatedNodeName ? { nominatedNodeName } : {},
  });
  const after = (pod: Pod) => {
    nominations.see(pod);
    return nominations.nodeOf(pod);
  };
  nominations.set(urgent, 'a');
  // Written, not read yet.
  expect(after(saying())).toBe('a');
  expect(after(saying('a'))).toBe('a');
  nominations.set(urgent, undefined);
  expect(after(saying('a'))).toBeUndefined();
  expect(after(saying())).toBeUndefined();
  expect(after(saying('b'))).toBe('b');
  expect(after(saying())).toBeUndefined();
  expect(after(saying('a'))).toBe('a');
  expect(nominations.on('a')).toEqual([saying('a')]);
  expect([nominations.forget(urgent), nominations.forget(urgent)]).toEqual([true, false]);
});
