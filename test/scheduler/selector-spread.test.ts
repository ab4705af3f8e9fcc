import { expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import type { World } from '../../scheduler/plugin.ts';
import { type SelectorSpreadArgs, selectorSpread } from '../../scheduler/plugins/selector-spread.ts';
import { makeNode, makePod, scores } from './builders.ts';

const world: World = {
  namespaceLabels: () => ({}),
  serviceSelectors: (namespace) => (namespace === 'default' ? [{ app: 'web' }, { tier: 'front' }] : []),
};
const by = (kind: string, uid: string): Partial<Pod['metadata']> => ({
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name: uid, uid, controller: true }],
});
const web = { labels: { app: 'web' } };
const pod = (metadata: Partial<Pod['metadata']>) => makePod('p', {}, metadata);
const times = (count: number, metadata: Partial<Pod['metadata']>) => Array.from({ length: count }, () => pod(metadata));

test.each<[string, Pod, Pod[][], SelectorSpreadArgs, number[] | undefined]>([
  ['alone', pod({}), [times(1, web), []], {}, undefined],
  ['none of its kind yet', pod(web), [times(2, {}), []], {}, undefined],
  ['of a service', pod(web), [times(2, web), times(1, web), []], {}, [0, 50, 100]],
  ['of a service of another namespace', pod({ ...web, namespace: 'shop' }), [times(1, web), []], {}, undefined],
  ['beside others of another namespace', pod(web), [times(1, { ...web, namespace: 'shop' }), []], {}, undefined],
  [
    'of two services, beside those of both',
    pod({ labels: { app: 'web', tier: 'front' } }),
    [times(3, web), times(1, { labels: { app: 'web', tier: 'front' } })],
    {},
    [100, 0],
  ],
  ['of a ReplicaSet', pod(by('ReplicaSet', 'r')), [times(1, by('ReplicaSet', 'r')), []], {}, [0, 100]],
  ['of a StatefulSet', pod(by('StatefulSet', 's')), [times(1, by('StatefulSet', 's')), []], {}, [0, 100]],
  [
    'of a ReplicationController',
    pod(by('ReplicationController', 'c')),
    [times(1, by('ReplicationController', 'c')), []],
    {},
    [0, 100],
  ],
  ['of a Job, which wants no spreading', pod(by('Job', 'j')), [times(1, by('Job', 'j')), []], {}, undefined],
  ['beside those of another set', pod(by('ReplicaSet', 'r')), [times(1, by('ReplicaSet', 'q')), []], {}, undefined],
  [
    'of a set and a service, beside those of both',
    pod({ ...web, ...by('ReplicaSet', 'r') }),
    [times(3, web), times(1, { ...web, ...by('ReplicaSet', 'r') })],
    {},
    [100, 0],
  ],
  [
    'of a set and a service, where only services count',
    pod({ ...web, ...by('ReplicaSet', 'r') }),
    [times(2, web), times(1, { ...web, ...by('ReplicaSet', 'r') })],
    { servicesOnly: true },
    [0, 50],
  ],
  [
    'beside those that go',
    pod(web),
    [times(1, { ...web, deletionTimestamp: '2026-01-01T00:00:00Z' }), []],
    {},
    undefined,
  ],
  [
    'that says itself how it is to be spread',
    makePod(
      'p',
      { topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'ScheduleAnyway' }] },
      web,
    ),
    [times(1, web), []],
    {},
    undefined,
  ],
])('a pod %s', (_words, one, running, args, expected) => {
  const nodes = running.map((pods, i) => makeNode(`n${i}`, { pods }));
  expect(scores(selectorSpread(args), one, nodes, { world })).toEqual(expected);
});

const zone = 'topology.kubernetes.io/zone';
const region = 'topology.kubernetes.io/region';
test.each<[string, [labels: Record<string, string>, pods: number][], number[]]>([
  // Two thirds are about the zone, one about the node.
  [
    'in one zone',
    [
      [{ [zone]: 'x' }, 1],
      [{ [zone]: 'x' }, 0],
    ],
    [0, 33],
  ],
  [
    'in two zones',
    [
      [{ [zone]: 'x' }, 1],
      [{ [zone]: 'x' }, 0],
      [{ [zone]: 'y' }, 0],
    ],
    [0, 33, 100],
  ],
  [
    'in two zones, fuller and less full',
    [
      [{ [zone]: 'x' }, 2],
      [{ [zone]: 'y' }, 1],
      [{ [zone]: 'y' }, 0],
    ],
    [0, 50, 67],
  ],
  [
    'in no zone',
    [
      [{ [zone]: 'x' }, 2],
      [{}, 1],
    ],
    [0, 50],
  ],
  [
    'in zones with one name of two regions',
    [
      [{ [zone]: 'x', [region]: 'eu' }, 1],
      [{ [zone]: 'x', [region]: 'us' }, 0],
    ],
    [0, 100],
  ],
])('nodes %s', (_words, wishes, expected) => {
  const nodes = wishes.map(([labels, count], i) => makeNode(`n${i}`, { labels, pods: times(count, web) }));
  expect(scores(selectorSpread(), pod(web), nodes, { world })).toEqual(expected);
});
