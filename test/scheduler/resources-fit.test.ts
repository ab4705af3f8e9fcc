import { describe, expect, test } from '@jest/globals';
import type { Needs } from '../../scheduler/index.ts';
import { type ResourcesFitArgs, type ScoringStrategy, resourcesFit } from '../../scheduler/plugins/resources-fit.ts';
import { type NodeWish, makeNode, makePod, refusals, scores } from './builders.ts';

const pod = makePod('p');
const gpu = 'nvidia.com/gpu';
const foo = 'example.com/foo';
const needs = (cpu: number, memory: number, more: Record<string, number> = {}): Needs =>
  Object.entries({ cpu, memory, ...more }).map(([resource, amount]) => ({ resource, amount }));
/** A node of 1000 cpu and 1000 memory. */
const nodeOf = (free: Record<string, number>, more: Record<string, number> = {}) =>
  makeNode('a', { free, allocatable: { cpu: 1000, memory: 1000, pods: 110, ...more } });

describe('a node', () => {
  test.each<[string, NodeWish, Needs, ResourcesFitArgs, string | undefined]>([
    ['with just enough', { free: { cpu: 100, memory: 10 } }, needs(100, 10), {}, undefined],
    ['with too little of one', { free: { cpu: 100, memory: 9 } }, needs(100, 10), {}, 'Insufficient memory in offers'],
    ['that never has as much', { cpu: 50, free: { cpu: 50 } }, needs(100, 0), {}, 'Insufficient cpu'],
    ['without such a device', {}, needs(1, 1, { [gpu]: 1 }), {}, `Insufficient ${gpu}`],
    ['for a pod that needs nothing', { free: {} }, [], {}, undefined],
    ['whose device somebody else accounts', {}, needs(1, 1, { [gpu]: 1 }), { ignoredResources: [gpu] }, undefined],
    [
      'whose devices of a vendor somebody else accounts',
      {},
      needs(1, 1, { [gpu]: 1, [foo]: 1 }),
      { ignoredResourceGroups: ['nvidia.com'] },
      `Insufficient ${foo}`,
    ],
    ['as many pods as it may have', { pods: [makePod('x')], allocatable: { pods: 1 } }, [], {}, 'Too many pods'],
    ['one pod less', { pods: [makePod('x')], allocatable: { pods: 2 } }, [], {}, undefined],
    ['that nobody offers', { unavailable: 'no offer yet' }, needs(1, 1), {}, 'no offer yet'],
    ['that cannot be had', { unavailable: 'node(s) were away' }, needs(1, 1), {}, 'node(s) were away'],
  ])('%s', (_words, wish, asked, args, expected) => {
    expect(refusals(resourcesFit(args), pod, [makeNode('a', wish)], { needs: asked })).toEqual([expected]);
  });
});

describe('how good a node is', () => {
  const shape = [
    { utilization: 0, score: 0 },
    { utilization: 100, score: 10 },
  ];
  const ratio = (points: typeof shape, resources: NonNullable<ScoringStrategy['resources']> = []): ScoringStrategy => ({
    type: 'RequestedToCapacityRatio',
    requestedToCapacityRatio: { shape: points },
    resources,
  });
  const devices = { [foo]: 8 };
  test.each<[string, ScoringStrategy | undefined, Record<string, number>, Needs, number]>([
    ['empty, nothing asked', undefined, { cpu: 1000, memory: 1000 }, needs(0, 0), 100],
    ['half of one will be taken', undefined, { cpu: 1000, memory: 1000 }, needs(500, 0), 75],
    ['all will be taken', undefined, { cpu: 500, memory: 500 }, needs(500, 500), 0],
    ['more is taken than there is', undefined, { cpu: -500, memory: 1000 }, needs(0, 0), 50],
    ['least allocated, said aloud', { type: 'LeastAllocated' }, { cpu: 1000, memory: 1000 }, needs(500, 0), 75],
    [
      'by weight',
      { type: 'LeastAllocated', resources: [{ name: 'cpu', weight: 3 }, { name: 'memory' }] },
      { cpu: 1000, memory: 1000 },
      needs(1000, 0),
      25,
    ],
    ['most allocated', { type: 'MostAllocated' }, { cpu: 1000, memory: 1000 }, needs(500, 0), 25],
    [
      'most allocated, by weight',
      {
        type: 'MostAllocated',
        resources: [
          { name: 'cpu', weight: 1 },
          { name: 'memory', weight: 3 },
        ],
      },
      { cpu: 1000, memory: 500 },
      needs(0, 500),
      75,
    ],
    [
      'devices that the pod asks for',
      { resources: [{ name: foo }] },
      { cpu: 0, memory: 0, [foo]: 8 },
      needs(0, 0, { [foo]: 2 }),
      75,
    ],
    [
      'devices that it does not ask for say nothing',
      { resources: [{ name: 'cpu' }, { name: foo, weight: 9 }] },
      { cpu: 500, memory: 0, [foo]: 8 },
      needs(0, 0),
      50,
    ],
    [
      'devices that the node does not have say nothing',
      { resources: [{ name: 'cpu' }, { name: gpu, weight: 9 }] },
      { cpu: 500, memory: 0 },
      needs(0, 0, { [gpu]: 1 }),
      50,
    ],
    ['by a line', ratio(shape), { cpu: 1000, memory: 1000 }, needs(500, 250), 38],
    [
      'by a line that falls',
      ratio(shape.map(({ utilization }) => ({ utilization, score: 10 - utilization / 10 }))),
      { cpu: 1000, memory: 1000 },
      needs(500, 250),
      63,
    ],
    [
      'by lines with a knee',
      ratio([...shape.slice(0, 1), { utilization: 50, score: 8 }, { utilization: 100, score: 10 }]),
      { cpu: 1000, memory: 1000 },
      needs(250, 750),
      65,
    ],
    [
      'level outside of the points',
      ratio([
        { utilization: 40, score: 2 },
        { utilization: 60, score: 6 },
      ]),
      { cpu: 1000, memory: 1000 },
      needs(100, 900),
      40,
    ],
    // The examples of Kubernetes' guide to bin packing, without rounding in between.
    [
      'first example of the guide',
      ratio(shape, [{ name: foo, weight: 5 }, { name: 'memory' }, { name: 'cpu', weight: 3 }]),
      { cpu: 875, memory: 750, [foo]: 4 },
      needs(250, 250, { [foo]: 2 }),
      60,
    ],
    [
      'second example of the guide',
      ratio(shape, [{ name: foo, weight: 5 }, { name: 'memory' }, { name: 'cpu', weight: 3 }]),
      { cpu: 250, memory: 500, [foo]: 6 },
      needs(250, 250, { [foo]: 2 }),
      69,
    ],
  ])('%s', (_words, scoringStrategy, free, asked, expected) => {
    const plugin = resourcesFit(scoringStrategy ? { scoringStrategy } : {});
    expect(scores(plugin, pod, [nodeOf(free, devices)], { needs: asked })).toEqual([expected]);
  });
});
