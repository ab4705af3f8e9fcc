import { describe, expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import type { World } from '../../scheduler/plugin.ts';
import { serviceAffinity } from '../../scheduler/plugins/service-affinity.ts';
import { makeNode, makePod, refusals, scores } from './builders.ts';

const world: World = { namespaceLabels: () => ({}), serviceSelectors: () => [{ app: 'web' }] };
const web = { labels: { app: 'web' } };
const times = (count: number, metadata: Partial<Pod['metadata']> = web) =>
  Array.from({ length: count }, () => makePod('r', {}, metadata));
const inRack = (name: string, rack: string, pods: Pod[] = [], more: Record<string, string> = {}) =>
  makeNode(name, { labels: { rack, ...more }, pods });

describe('pods of one service stay together', () => {
  const nodes = [inRack('a', '1'), inRack('b', '2', times(1)), inRack('c', '2'), makeNode('d')];
  const plugin = serviceAffinity({ affinityLabels: ['rack'] });
  test.each<[string, Pod, string]>([
    ['one of no service', makePod('p'), 'abcd'],
    ['the first of another namespace', makePod('p', {}, { ...web, namespace: 'shop' }), 'abcd'],
    ['the next', makePod('p', {}, web), 'bc'],
    ['one that says itself where', makePod('p', { nodeSelector: { rack: '1' } }, web), 'a'],
  ])('%s', (_words, pod, expected) => {
    const reasons = refusals(plugin, pod, nodes, { world });
    expect(nodes.flatMap(({ name }, i) => (reasons[i] === undefined ? [name] : [])).join('')).toBe(expected);
    expect(new Set(reasons.filter(Boolean))).toEqual(
      new Set(expected === 'abcd' ? [] : ["node(s) didn't match service affinity"]),
    );
  });

  test('by all the labels that are named', () => {
    const rows = [
      inRack('a', '1', times(1), { row: 'x' }),
      inRack('b', '1', [], { row: 'y' }),
      inRack('c', '1', [], { row: 'x' }),
    ];
    const both = serviceAffinity({ affinityLabels: ['rack', 'row'] });
    expect(refusals(both, makePod('p', {}, web), rows, { world }).map((reason) => reason === undefined)).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe('pods of one service go apart', () => {
  const pod = makePod('p', {}, web);
  const plugin = serviceAffinity({ antiAffinityLabelsPreference: ['rack'] });
  test('the fewer of them nodes with the same label have', () => {
    const nodes = [
      inRack('a', '1', times(3)),
      inRack('b', '1'),
      inRack('c', '2', times(1)),
      inRack('d', '3'),
      makeNode('e'),
    ];
    expect(scores(plugin, pod, nodes, { world })).toEqual([25, 25, 75, 100, 0]);
    expect(scores(plugin, makePod('other'), nodes, { world })).toBeUndefined();
  });

  test('anywhere with a label, as long as there is none that stays', () => {
    const going = times(1, { ...web, deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(scores(plugin, pod, [inRack('a', '1', going), makeNode('b')], { world })).toEqual([100, 0]);
  });

  test('by several labels each for its part', () => {
    const nodes = [
      inRack('a', '1', times(1), { row: 'x' }),
      inRack('b', '2', [], { row: 'x' }),
      inRack('c', '2', [], { row: 'y' }),
    ];
    const both = serviceAffinity({ antiAffinityLabelsPreference: ['rack', 'row'] });
    expect(scores(both, pod, nodes, { world })).toEqual([0, 50, 100]);
  });
});
