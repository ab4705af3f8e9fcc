import { describe, expect, test } from '@jest/globals';
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { type NodeAffinityArgs, nodeAffinity } from '../../scheduler/plugins/node-affinity.ts';
import { makeNode, makePod, refusals, scores } from './builders.ts';

type Operator = NodeSelectorRequirement['operator'];

const nodes = [
  makeNode('a', { labels: { zone: 'x', gen: '3' } }),
  makeNode('b', { labels: { zone: 'y', gen: '12' } }),
  makeNode('c', { labels: { gen: 'old' } }),
];
const expression = (key: string, operator: Operator, ...values: string[]): NodeSelectorTerm => ({
  matchExpressions: [{ key, operator, ...(values.length > 0 ? { values } : {}) }],
});
const required = (...nodeSelectorTerms: NodeSelectorTerm[]) => ({
  requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
});
const preferred = (...wishes: [weight: number, preference: NodeSelectorTerm][]) => ({
  preferredDuringSchedulingIgnoredDuringExecution: wishes.map(([weight, preference]) => ({ weight, preference })),
});
const podWith = (affinity: NonNullable<PodSpec['affinity']>['nodeAffinity'], more: Partial<PodSpec> = {}): Pod =>
  makePod('p', { ...(affinity ? { affinity: { nodeAffinity: affinity } } : {}), ...more });
const fitting = (pod: Pod, args: NodeAffinityArgs = {}): string =>
  refusals(nodeAffinity(args), pod, nodes)
    .map((reason, i) => (reason === undefined ? nodes[i]!.name : ''))
    .join('');

describe('of the nodes a (zone x, gen 3), b (zone y, gen 12) and c (gen old)', () => {
  test.each<[key: string, Operator, values: string[], expected: string]>([
    ['zone', 'In', ['x'], 'a'],
    ['zone', 'In', ['x', 'y'], 'ab'],
    ['zone', 'NotIn', ['x'], 'bc'],
    ['zone', 'NotIn', ['x', 'y'], 'c'],
    ['zone', 'Exists', [], 'ab'],
    ['zone', 'DoesNotExist', [], 'c'],
    // As numbers: as text 12 would come before 3, and what is no number is neither more nor less.
    ['gen', 'Gt', ['3'], 'b'],
    ['gen', 'Gt', ['2'], 'ab'],
    ['gen', 'Lt', ['12'], 'a'],
    ['gen', 'Lt', ['13'], 'ab'],
    ['gen', 'Gt', ['many'], ''],
    ['zone', 'Lt', ['1'], ''],
    ['none', 'Gt', ['0'], ''],
  ])('%s %s %j suits "%s"', (key, operator, values, expected) => {
    expect(fitting(podWith(required(expression(key, operator, ...values))))).toBe(expected);
  });

  const field = (operator: Operator, ...values: string[]): NodeSelectorTerm => ({
    matchFields: [{ key: 'metadata.name', operator, values }],
  });
  test.each<[string, Pod, string]>([
    ['nothing demanded suits all', podWith(undefined), 'abc'],
    ['a nodeSelector suits', podWith(undefined, { nodeSelector: { zone: 'y' } }), 'b'],
    [
      'all labels of a nodeSelector must be there, with their values',
      podWith(undefined, { nodeSelector: { zone: 'y', gen: '3' } }),
      '',
    ],
    ['a name suits', podWith(required(field('In', 'c'))), 'c'],
    ['any but a name suits', podWith(required(field('NotIn', 'c'))), 'ab'],
    ['terms are alternatives', podWith(required(expression('zone', 'In', 'x'), expression('gen', 'In', 'old'))), 'ac'],
    [
      'expressions of a term all hold',
      podWith(
        required({
          matchExpressions: [
            { key: 'zone', operator: 'Exists' },
            { key: 'gen', operator: 'Gt', values: ['5'] },
          ],
        }),
      ),
      'b',
    ],
    [
      'a name and expressions both hold',
      podWith(required({ ...field('In', 'a'), ...expression('zone', 'In', 'y') })),
      '',
    ],
    ['an empty term suits none', podWith(required({})), ''],
    [
      'nodeSelector and affinity both hold',
      podWith(required(expression('zone', 'Exists')), { nodeSelector: { gen: '3' } }),
      'a',
    ],
  ])('%s', (_words, pod, expected) => {
    expect(fitting(pod)).toBe(expected);
  });

  test('what the operator adds is demanded of every pod, in words of its own', () => {
    const addedAffinity = required(expression('zone', 'Exists'));
    expect(fitting(podWith(undefined), { addedAffinity })).toBe('ab');
    const reasons = refusals(
      nodeAffinity({ addedAffinity }),
      podWith(undefined, { nodeSelector: { gen: '3' } }),
      nodes,
    );
    expect(reasons).toEqual([
      undefined,
      "node(s) didn't match Pod's node affinity/selector",
      "node(s) didn't match scheduler-enforced node affinity",
    ]);
  });
});

describe('preferences', () => {
  const zoneX = expression('zone', 'In', 'x');
  const modern = expression('gen', 'Gt', '1');
  test.each<[string, Pod, NodeAffinityArgs, number[] | undefined]>([
    ['none', podWith(undefined), {}, undefined],
    ['that no node meets', podWith(preferred([5, expression('zone', 'In', 'z')])), {}, undefined],
    ['that say nothing', podWith(preferred([5, {}])), {}, undefined],
    ['of one kind', podWith(preferred([5, zoneX])), {}, [100, 0, 0]],
    ['add up, and count against the most', podWith(preferred([30, zoneX], [10, modern])), {}, [100, 25, 0]],
    [
      'of the operator count too',
      podWith(preferred([10, zoneX])),
      { addedAffinity: preferred([10, modern]) },
      [100, 50, 0],
    ],
    ['of the operator alone', podWith(undefined), { addedAffinity: preferred([1, modern]) }, [100, 100, 0]],
  ])('%s', (_words, pod, args, expected) => {
    expect(scores(nodeAffinity(args), pod, nodes)).toEqual(expected);
  });
});
