import { expect, test } from '@jest/globals';
import type { ContainerPort, Pod } from '../../api/kinds/pod.ts';
import { nodePorts } from '../../scheduler/plugins/node-ports.ts';
import { withAlso } from '../../scheduler/what-if.ts';
import { makeNode, makePod, refusals } from './builders.ts';

const taken = "node(s) didn't have free ports for the requested pod ports";
const podWith = (name: string, ...ports: Partial<ContainerPort>[]): Pod =>
  makePod(name, {
    containers: [{ name: 'c', image: 'x', ports: ports.map((port) => ({ containerPort: 80, ...port })) }],
  });

test.each<[string, Pod, (string | undefined)[]]>([
  ['none', podWith('p', {}), [undefined, undefined, undefined]],
  ['one that is offered', podWith('p', { hostPort: 31000 }), [undefined, taken, `${taken} in offers`]],
  ['two, of which one is offered', podWith('p', { hostPort: 31000 }, { hostPort: 31001 }), [taken, taken, taken]],
  [
    'one number with two protocols',
    podWith('p', { hostPort: 31000 }, { hostPort: 31000, protocol: 'UDP' }),
    [undefined, taken, `${taken} in offers`],
  ],
])('host ports that a pod asks for: %s', (_words, pod, expected) => {
  const nodes = [
    makeNode('has', { ports: [31000] }),
    makeNode('has none', { ports: [] }),
    makeNode('may have', { ports: [], awaitedPorts: [31000] }),
  ];
  expect(refusals(nodePorts, pod, nodes)).toEqual(expected);
});

// Mesos knows a port by its number alone, unlike Kubernetes: each is one pod's.
const addresses = [undefined, '0.0.0.0', '127.0.0.1', '10.0.0.1'];
const protocols = ['TCP', 'UDP', 'SCTP'] as const;
const all = addresses.flatMap((hostIP) =>
  protocols.map((protocol): Partial<ContainerPort> => ({ protocol, ...(hostIP ? { hostIP } : {}) })),
);
test.each(all)('a port of another pod with %j is nobody else’s, whatever address and protocol', (theirs) => {
  const other = podWith('other', { hostPort: 31000, ...theirs });
  const node = withAlso(makeNode('a', { ports: [31000, 31001] }), new Set([other]), () => []);
  for (const mine of all) {
    expect(refusals(nodePorts, podWith('p', { hostPort: 31000, ...mine }), [node])).toEqual([taken]);
    expect(refusals(nodePorts, podWith('p', { hostPort: 31001, ...mine }), [node])).toEqual([undefined]);
  }
});
