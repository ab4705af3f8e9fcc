import { expect, test } from '@jest/globals';
import type { Toleration } from '../../api/kinds/pod.ts';
import { nodeUnschedulable } from '../../scheduler/plugins/node-unschedulable.ts';
import { makeNode, makePod, refusals } from './builders.ts';

const key = 'node.kubernetes.io/unschedulable';

test.each<[string, Toleration[], boolean]>([
  ['nothing', [], false],
  ['being there', [{ key, operator: 'Exists', effect: 'NoSchedule' }], true],
  ['everything', [{ operator: 'Exists' }], true],
  ['another effect', [{ key, operator: 'Exists', effect: 'NoExecute' }], false],
  ['another taint', [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists' }], false],
])('a cordoned node and a pod that tolerates %s', (_words, tolerations, isTaken) => {
  const nodes = [makeNode('a', { spec: { unschedulable: true } }), makeNode('b')];
  expect(refusals(nodeUnschedulable, makePod('p', { tolerations }), nodes)).toEqual([
    isTaken ? undefined : 'node(s) were unschedulable',
    undefined,
  ]);
});
