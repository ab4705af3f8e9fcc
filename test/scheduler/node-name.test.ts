import { expect, test } from '@jest/globals';
import { nodeName } from '../../scheduler/plugins/node-name.ts';
import { makeNode, makePod, refusals } from './builders.ts';

test.each<[string | undefined, (string | undefined)[]]>([
  [undefined, [undefined, undefined]],
  ['a', [undefined, "node(s) didn't match the requested node name"]],
  ['c', Array(2).fill("node(s) didn't match the requested node name")],
])('a pod that names the node %s', (name, expected) => {
  const pod = makePod('p', name ? { nodeName: name } : {});
  expect(refusals(nodeName, pod, [makeNode('a'), makeNode('b')])).toEqual(expected);
});
