import { expect, test } from '@jest/globals';
import { type NodeLabelArgs, nodeLabel } from '../../scheduler/plugins/node-label.ts';
import { makeNode, makePod, refusals, scores } from './builders.ts';

const nodes = [
  makeNode('a', { labels: { ssd: '', old: '1' } }),
  makeNode('b', { labels: { ssd: '1' } }),
  makeNode('c'),
];

test.each<[string, NodeLabelArgs, string]>([
  ['nothing', {}, 'abc'],
  ['one there, whatever its value', { presentLabels: ['ssd'] }, 'ab'],
  ['one not there', { absentLabels: ['old'] }, 'bc'],
  ['both', { presentLabels: ['ssd'], absentLabels: ['old'] }, 'b'],
  ['two there', { presentLabels: ['ssd', 'old'] }, 'a'],
  ['one there and not there', { presentLabels: ['ssd'], absentLabels: ['ssd'] }, ''],
])('of the labels of nodes the operator demands %s', (_words, args, expected) => {
  const reasons = refusals(nodeLabel(args), makePod('p'), nodes);
  expect(nodes.flatMap(({ name }, i) => (reasons[i] === undefined ? [name] : [])).join('')).toBe(expected);
  for (const reason of reasons.filter(Boolean)) expect(reason).toBe("node(s) didn't have the requested labels");
});

test.each<[string, NodeLabelArgs, number[] | undefined]>([
  ['nothing', { presentLabels: ['ssd'] }, undefined],
  ['one there', { presentLabelsPreference: ['ssd'] }, [100, 100, 0]],
  ['one not there', { absentLabelsPreference: ['old'] }, [0, 100, 100]],
  ['both, each for its part', { presentLabelsPreference: ['ssd'], absentLabelsPreference: ['old'] }, [50, 100, 50]],
])('of the labels of nodes the operator prefers %s', (_words, args, expected) => {
  expect(scores(nodeLabel(args), makePod('p'), nodes)).toEqual(expected);
});
