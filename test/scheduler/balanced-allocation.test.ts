import { expect, test } from '@jest/globals';
import { balancedAllocation } from '../../scheduler/plugins/balanced-allocation.ts';
import { makeNode, makePod, scores } from './builders.ts';

const foo = 'example.com/foo';

/** On a node of 1000 of each, with what is in use before. */
test.each<[string, string[], Record<string, number>, Record<string, number>, number]>([
  ['nothing is used', [], {}, {}, 100],
  ['both to the same share', [], { cpu: 200, memory: 100 }, { cpu: 100, memory: 200 }, 100],
  ['only one', [], {}, { cpu: 1000 }, 50],
  ['one more than the other', [], { cpu: 500 }, { cpu: 100, memory: 200 }, 80],
  ['no more than all of it', [], { cpu: 1500 }, { memory: 1000 }, 100],
  ['three, one of them apart', ['cpu', 'memory', foo], {}, { cpu: 300, memory: 300, [foo]: 900 }, 72],
  ['a device that the pod does not ask for', ['cpu', foo], { [foo]: 1000 }, { cpu: 100 }, 100],
  ['three, of which the pod asks for two', ['cpu', 'memory', foo], { [foo]: 1000 }, { cpu: 100, memory: 300 }, 90],
  ['one that the node does not have', ['cpu', 'example.com/none'], {}, { cpu: 700, 'example.com/none': 1 }, 100],
])('%s', (_words, names, used, asked, expected) => {
  const plugin = balancedAllocation(names.length > 0 ? { resources: names.map((name) => ({ name })) } : {});
  const resources = ['cpu', 'memory', foo];
  const node = makeNode('a', {
    allocatable: Object.fromEntries(resources.map((name) => [name, 1000])),
    free: Object.fromEntries(resources.map((name) => [name, 1000 - (used[name] ?? 0)])),
  });
  const needs = Object.entries(asked).map(([resource, amount]) => ({ resource, amount }));
  expect(scores(plugin, makePod('p'), [node], { needs })).toEqual([expected]);
});
