import { expect, test } from '@jest/globals';
import type { Taint } from '../../api/kinds/node.ts';
import type { Toleration } from '../../api/kinds/pod.ts';
import { taintToleration } from '../../scheduler/plugins/taint-toleration.ts';
import { makeNode, makePod, refusals, scores } from './builders.ts';

type Effect = Taint['effect'];
const effects: Effect[] = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
const taint = (effect: Effect, value = 'db', key = 'dedicated'): Taint => ({ key, value, effect });
const tainted = (...taints: Taint[]) => makeNode('a', { spec: { taints } });
const podOf = (...tolerations: Toleration[]) => makePod('p', { tolerations });

/** For which effects of the taint dedicated=db the pod may come. */
const allowed = (...tolerations: Toleration[]): Effect[] =>
  effects.filter(
    (effect) => refusals(taintToleration, podOf(...tolerations), [tainted(taint(effect))])[0] === undefined,
  );

test.each<[string, Toleration[], Effect[]]>([
  ['nothing', [], ['PreferNoSchedule']],
  ['the key with its value', [{ key: 'dedicated', operator: 'Equal', value: 'db' }], effects],
  ['the same without saying Equal', [{ key: 'dedicated', value: 'db' }], effects],
  ['the key with another value', [{ key: 'dedicated', operator: 'Equal', value: 'web' }], ['PreferNoSchedule']],
  ['the key without a value', [{ key: 'dedicated', operator: 'Equal' }], ['PreferNoSchedule']],
  ['the key with any value', [{ key: 'dedicated', operator: 'Exists' }], effects],
  ['another key', [{ key: 'other', operator: 'Exists' }], ['PreferNoSchedule']],
  ['everything', [{ operator: 'Exists' }], effects],
  ['no key, yet a value', [{ operator: 'Equal', value: 'db' }], ['PreferNoSchedule']],
  ['one effect', [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }], ['NoSchedule', 'PreferNoSchedule']],
  [
    'one effect, by value',
    [{ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoExecute' }],
    ['PreferNoSchedule', 'NoExecute'],
  ],
  ['one effect of all keys', [{ operator: 'Exists', effect: 'NoExecute' }], ['PreferNoSchedule', 'NoExecute']],
  [
    'one effect each',
    [
      { key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' },
      { key: 'dedicated', operator: 'Exists', effect: 'NoExecute' },
    ],
    effects,
  ],
])('a pod that tolerates %s', (_words, tolerations, expected) => {
  expect(allowed(...tolerations)).toEqual(expected);
});

test('every taint must be tolerated; the first that is not is named', () => {
  const node = tainted(taint('NoSchedule'), taint('NoExecute', 'yes', 'old'));
  expect(refusals(taintToleration, podOf({ key: 'dedicated', operator: 'Exists' }), [node])).toEqual([
    'node(s) had untolerated taint {old: yes}',
  ]);
  expect(refusals(taintToleration, podOf(), [node])).toEqual(['node(s) had untolerated taint {dedicated: db}']);
  expect(refusals(taintToleration, podOf({ operator: 'Exists' }), [node])).toEqual([undefined]);
});

test('the fewer soft taints that are not tolerated the better', () => {
  const soft = (...keys: string[]) => tainted(...keys.map((key) => taint('PreferNoSchedule', '', key)));
  const nodes = [soft(), soft('x'), soft('x', 'y'), tainted(taint('NoSchedule'))].map((node, i) => ({
    ...node,
    name: `n${i}`,
  }));
  expect(scores(taintToleration, podOf(), nodes)).toEqual([100, 50, 0, 100]);
  expect(scores(taintToleration, podOf({ key: 'x', operator: 'Exists' }), nodes)).toEqual([100, 100, 0, 100]);
  expect(scores(taintToleration, podOf({ operator: 'Exists', effect: 'PreferNoSchedule' }), nodes)).toBeUndefined();
});
