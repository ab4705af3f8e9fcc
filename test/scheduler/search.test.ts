import { expect, test } from '@jest/globals';
import { type NodeView, decide } from '../../scheduler/index.ts';
import { type Search, enoughOf } from '../../scheduler/decide.ts';
import { equal } from '../../scheduler/plugins/equal.ts';
import { makeNode, makePod, small } from './builders.ts';

test.each<[nodes: number, percentage: number, expected: number]>([
  // Below a hundred all are looked at.
  [50, 0, 50],
  [100, 10, 100],
  [300, 10, 100],
  // 50 percent, and one less for each 125 nodes.
  [500, 0, 230],
  [1000, 0, 420],
  [2500, 0, 750],
  // Never under 5.
  [10_000, 0, 500],
  [5000, 0, 500],
  [1000, 30, 300],
  [1000, 100, 1000],
  [1000, 1, 100],
])('of %i nodes at %i percent %i that fit are enough', (nodes, percentage, expected) => {
  expect(enoughOf(nodes, percentage)).toBe(expected);
});

test('a search goes on where the one before ended, until all had their turn', () => {
  const nodes = Array.from({ length: 250 }, (_, i) => makeNode(`n${i}`));
  const search: Search = { percentageOfNodesToScore: 40, next: 0 };
  const asked: string[][] = [];
  const plugin = {
    name: 'Asked',
    filter: () => (node: NodeView) => {
      asked.at(-1)!.push(node.name);
      // Odd ones do not fit.
      return Number(node.name.slice(1)) % 2 === 1 ? 'node(s) were odd' : undefined;
    },
  };
  for (let i = 0; i < 3; i++) {
    asked.push([]);
    decide({ pod: makePod('p'), needs: small, nodes }, [{ plugin, weight: 0 }], () => 0, search);
  }
  expect(asked.map((names) => [names[0], names.length])).toEqual([
    ['n0', 199],
    ['n199', 200],
    ['n149', 200],
  ]);
});

test('where not enough fit all nodes are asked, and every refusal counts', () => {
  const nodes = Array.from({ length: 250 }, (_, i) => makeNode(`n${i}`));
  const plugin = { name: 'No', filter: () => () => 'no' };
  const search: Search = { percentageOfNodesToScore: 40, next: 17 };
  const decision = decide({ pod: makePod('p'), needs: small, nodes }, [{ plugin, weight: 0 }], () => 0, search);
  expect(decision).toEqual({ refusals: new Map([['no', 250]]) });
});

test('weights count: what one policy prefers another may outweigh', () => {
  const nodes = [makeNode('a'), makeNode('b')];
  const likes = (name: string) => ({
    name: `Likes ${name}`,
    score: () => (node: NodeView) => (node.name === name ? 10 : 0),
  });
  const chosen = (a: number, b: number) => {
    const profile = [
      { plugin: likes('a'), weight: a },
      { plugin: likes('b'), weight: b },
      { plugin: equal, weight: 100 },
    ];
    const decision = decide({ pod: makePod('p'), needs: small, nodes }, profile, () => 0);
    return 'node' in decision ? [decision.node.name, decision.score] : [];
  };
  expect(chosen(2, 1)).toEqual(['a', 120]);
  expect(chosen(1, 2)).toEqual(['b', 120]);
  expect(chosen(0, 1)).toEqual(['b', 110]);
});
