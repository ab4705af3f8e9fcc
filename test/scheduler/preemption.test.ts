import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { manifestAnnotations } from '../../api/kinds/names.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { defaultProfile, type NodeView } from '../../scheduler/index.ts';
import type { Budget } from '../../scheduler/plugin.ts';
import { preempt } from '../../scheduler/preemption.ts';
import { makeNode, makePod } from './builders.ts';

const cores = (pod: Pod): number => Number(pod.metadata.annotations?.['cores'] ?? 1) * 1000;
const needsOf = (pod: Pod) => [{ resource: 'cpu', amount: cores(pod) }];
const running = (name: string, priority: number, size = 1, more: Partial<Pod['metadata']> = {}, startTime?: string) => {
  const pod = makePod(name, { priority }, { annotations: { cores: String(size) }, ...more });
  if (startTime) pod.status = { startTime };
  return pod;
};
/** A node of 4 cores. */
const nodeWith = (name: string, pods: Pod[], more = {}) => {
  const used = pods.reduce((sum, pod) => sum + cores(pod), 0);
  return makeNode(name, { pods, free: { cpu: 4000 - used, memory: 8 * 1024 ** 3 }, ...more });
};
const asks = (size: number, spec: Partial<Pod['spec']> = {}) =>
  makePod('urgent', { priority: 100, ...spec }, { annotations: { cores: String(size) } });

const nameOf = ({ metadata }: Pod) => metadata.name;

function outcome(pod: Pod, nodes: NodeView[], budgets: Budget[] = []): string {
  const world = { namespaceLabels: () => ({}), budgets: () => budgets };
  const found = preempt({ pod, needs: needsOf(pod), nodes, world }, defaultProfile, needsOf);
  if (typeof found === 'string') return found;
  return `${found.node}: ${found.victims.map(nameOf).join()}`;
}

describe('to make room for an urgent pod there go', () => {
  test.each<[string, Pod, NodeView[], string]>([
    ['as few as need be', asks(2), [nodeWith('a', [running('x', 1, 2), running('y', 2, 2)])], 'a: x'],
    ['the less important', asks(1), [nodeWith('a', [running('x', 9, 2), running('y', 1, 2)])], 'a: y'],
    [
      'those of the node where the most important is the least',
      asks(4),
      [nodeWith('a', [running('x', 5, 4)]), nodeWith('b', [running('y', 3, 2), running('z', 3, 2)])],
      'b: y,z',
    ],
    [
      'fewer rather than more of the same importance',
      asks(4),
      [nodeWith('a', [running('x', 3, 2), running('y', 3, 2)]), nodeWith('b', [running('z', 3, 4)])],
      'b: z',
    ],
    [
      'the younger ones',
      asks(4),
      [
        nodeWith('a', [running('x', 3, 4, {}, '2026-01-01T00:00:00Z')]),
        nodeWith('b', [running('y', 3, 4, {}, '2026-01-02T00:00:00Z')]),
      ],
      'b: y',
    ],
    [
      'nobody as important as it is',
      asks(4),
      [nodeWith('a', [running('x', 100, 4)])],
      '0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    ],
    [
      'nobody where that would not help',
      asks(4),
      [nodeWith('a', [running('x', 1, 4)], { spec: { unschedulable: true } }), nodeWith('b', [running('y', 200, 1)])],
      '0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.',
    ],
    [
      'nobody for a pod that must not',
      asks(4, { preemptionPolicy: 'Never' }),
      [nodeWith('a', [running('x', 1, 4)])],
      'not eligible due to preemptionPolicy=Never.',
    ],
    [
      'those of a node of which nothing is offered at the moment',
      asks(4),
      [nodeWith('a', [running('x', 1, 4)], { unavailable: 'no offer yet', free: {} })],
      'a: x',
    ],
  ])('%s', (_words, pod, nodes, expected) => {
    expect(outcome(pod, nodes)).toBe(expected);
  });

  test('those whose disruption budget allows it', () => {
    const labels = { app: 'db' };
    const nodes = [nodeWith('a', [running('x', 1, 4, { labels })]), nodeWith('b', [running('y', 5, 4)])];
    const budget = (allowed: number, disrupted: string[] = []): Budget => ({
      namespace: 'default',
      selector: { matchLabels: labels },
      allowed,
      disrupted: new Set(disrupted),
    });
    expect(outcome(asks(4), nodes, [budget(0)])).toBe('b: y');
    expect(outcome(asks(4), nodes, [budget(1)])).toBe('a: x');
    expect(outcome(asks(4), nodes, [budget(0, ['x'])])).toBe('a: x');
    expect(outcome(asks(4), nodes.slice(0, 1), [budget(0)])).toBe('a: x');
  });

  test('who keeps it away by anti-affinity', () => {
    const labels = { app: 'web' };
    const antiAffinity = {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { labelSelector: { matchLabels: labels }, topologyKey: 'kubernetes.io/hostname' },
          ],
        },
      },
    };
    expect(outcome(asks(1, antiAffinity), [nodeWith('a', [running('x', 1, 1, { labels }), running('y', 1)])])).toBe(
      'a: x',
    );
  });
});

describe('the victims are what trying every set of pods on every node finds best', () => {
  interface Wish {
    priority: number;
    size: number;
    isGuarded: boolean;
    day: number;
  }
  const wish = fc.record({
    priority: fc.nat(4),
    size: fc.integer({ min: 1, max: 2 }),
    isGuarded: fc.boolean(),
    day: fc.integer({ min: 1, max: 3 }),
  });
  const guarded = { app: 'db' };
  const nodesOf = (wishes: readonly (readonly Wish[])[]) =>
    wishes.map((list, n) => {
      const pods = list.map(({ priority, size, isGuarded, day }, i) =>
        running(`p${n}-${i}`, priority, size, isGuarded ? { labels: guarded } : {}, `2026-01-0${day}T00:00:00Z`),
      );
      return nodeWith(`n${n}`, pods);
    });
  const dayOf = ({ status }: Pod) => Number(status!.startTime!.slice(8, 10));
  const important = (a: Pod, b: Pod) => b.spec.priority! - a.spec.priority! || dayOf(a) - dayOf(b);
  const sets = (pods: readonly Pod[]): Pod[][] =>
    pods.reduce<Pod[][]>((all, one) => [...all, ...all.map((set) => [...set, one])], [[]]);
  /** The first that is not beaten in the first number in which they differ; less is better. */
  const best = <T>(all: readonly T[], numbersOf: (one: T) => readonly number[]): T | undefined =>
    all.reduce<T | undefined>((winner, one) => {
      if (winner === undefined) return one;
      const [a, b] = [numbersOf(one), numbersOf(winner)];
      const i = a.findIndex((number, at) => number !== b[at]);
      return i >= 0 && a[i]! < b[i]! ? one : winner;
    }, undefined);

  /** On one node: who may stay is asked in order of importance, those first whose budget is used up. */
  function victimsOn(node: NodeView, size: number, priority: number, allowed: number) {
    const lower = [...node.pods.values()].filter(({ spec }) => spec.priority! < priority).sort(important);
    const violating = lower.filter(({ metadata }) => metadata.labels).slice(allowed);
    const order = [...violating, ...lower.filter((pod) => !violating.includes(pod))];
    const possible = sets(lower).filter(
      (set) => node.free['cpu']! + set.reduce((sum, pod) => sum + cores(pod), 0) >= size * 1000,
    );
    const victims =
      lower.length === 0 ? undefined : best(possible, (set) => order.map((pod) => Number(set.includes(pod))));
    return victims && { node: node.name, victims, violations: victims.filter((pod) => violating.includes(pod)).length };
  }

  test('fewest budgets broken, least important most important one, least sum, fewest, youngest', () => {
    const wishes = fc.array(fc.array(wish, { maxLength: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(wishes, fc.integer({ min: 1, max: 5 }), fc.nat(2), (lists, size, allowed) => {
        const nodes = nodesOf(lists);
        const candidates = nodes.flatMap((node) => victimsOn(node, size, 3, allowed) ?? []);
        const expected = best(candidates, ({ violations, victims }) => {
          const priorities = victims.map(({ spec }) => spec.priority!);
          const highest = Math.max(-1, ...priorities);
          // Each victim counts, also one of priority 0.
          const sum = priorities.reduce((all, one) => all + one + 2 ** 31, 0);
          const oldest = Math.min(...victims.filter(({ spec }) => spec.priority === highest).map(dayOf));
          return [violations, highest, sum, victims.length, -oldest];
        });
        const budget = {
          namespace: 'default',
          selector: { matchLabels: guarded },
          allowed,
          disrupted: new Set<string>(),
        };
        const named = expected && `${expected.node}: ${expected.victims.map(nameOf).sort().join()}`;
        // Of pods alike in all that counts none comes first.
        const found = outcome(asks(size, { priority: 3 }), nodes, [budget]).replace(/(?<=^n\d: ).*/, (names) =>
          names.split(',').sort().join(),
        );
        if (named === undefined) expect(found).toMatch(/^0\/\d nodes are available/);
        else expect(found).toBe(named);
      }),
      { numRuns: 500 },
    );
  });
});

test('the best of as many nodes as are looked for', () => {
  const nodes = [1, 2, 3, 4].map((n) => nodeWith(`n${n}`, [running('x', 5 - n, 4)]));
  const pod = asks(4);
  const found = (args: object) => preempt({ pod, needs: needsOf(pod), nodes }, defaultProfile, needsOf, args);
  expect(found({})).toMatchObject({ node: 'n4' });
  expect(found({ minCandidateNodesAbsolute: 2 })).toMatchObject({ node: 'n2' });
  expect(found({ minCandidateNodesAbsolute: 1, minCandidateNodesPercentage: 75 })).toMatchObject({ node: 'n3' });
  expect(found({ minCandidateNodesAbsolute: 0, minCandidateNodesPercentage: 0 })).toMatchObject({ node: 'n1' });
});

test('a port that a pod has been given is one for whoever wants one of any number', () => {
  const taken = { 'k8s.mesosphere.io/port_TCP_80': '31000' };
  const given = makePod('given', {
    priority: 1,
    containers: [{ name: 'main', image: 'x', ports: [{ containerPort: 80 }] }],
  });
  given.metadata.annotations = taken;
  const pod = makePod('urgent', { priority: 100 });
  const needs = [{ resource: 'ports', amount: 1 }];
  const nodes = [
    nodeWith('a', [running('x', 1, 1)], { free: { cpu: 4000, ports: 0 } }),
    nodeWith('b', [given], { free: { cpu: 4000, ports: 0 } }),
  ];
  expect(preempt({ pod, needs, nodes, world: { namespaceLabels: () => ({}) } }, defaultProfile, needsOf)).toEqual({
    node: 'b',
    victims: [given],
    violations: 0,
  });
});

test('nobody goes whom his kubelet would keep', () => {
  const mirror = running('static', 1, 4, { annotations: { cores: '4', [manifestAnnotations.mirror]: 'hash' } });
  expect(outcome(asks(2), [nodeWith('a', [mirror])])).toMatch(/^0\/1 nodes are available/);
});
