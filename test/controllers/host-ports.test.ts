import { expect, test } from '@jest/globals';
import { hostPortNotes } from '../../api/host-ports.ts';
import type { ContainerPort, Pod } from '../../api/kinds/pod.ts';
import type { Service } from '../../api/kinds/service.ts';
import type { Stored } from '../../api/meta.ts';
import { backendsOf } from '../../controllers/common/service-pods.ts';
import { slicesOf } from '../../controllers/endpoint-slice.ts';
import { subsetsOf } from '../../controllers/endpoints.ts';

const named = (name: string) => ({ name, namespace: 'default', uid: name, resourceVersion: '1' });
const web: Service & Stored = {
  metadata: named('web'),
  spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
};

/** A ready pod on a node `10.0.0.<node>`; `numbers` are the ports of the host that Mesos gave its ports. */
function podOn(node: number, name: string, numbers: number[], port: Partial<ContainerPort> = {}): Pod & Stored {
  const ports = [{ name: 'http', containerPort: 8080, ...port }];
  const pod = { metadata: named(name), spec: { nodeName: `n${node}`, containers: [{ name: 'c', ports }] } };
  return {
    ...pod,
    metadata: { ...pod.metadata, labels: { app: 'web' }, annotations: hostPortNotes(pod, numbers) },
    status: {
      podIP: `10.244.${node}.${name.length}`,
      hostIP: `10.0.0.${node}`,
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

const pods = [
  podOn(1, 'a', [31_000]),
  podOn(1, 'bb', [31_001]),
  podOn(2, 'ccc', [31_000]),
  podOn(2, 'dddd', [], { hostPort: 8000 }),
  podOn(3, 'eeeee', []),
];
const through = (reach?: 'pods' | 'hosts') =>
  slicesOf(web, backendsOf(web, pods, 'IPv4', reach), 'IPv4', () => undefined).map(
    ({ endpoints, ports = [] }) =>
      `${ports[0]?.name}:${ports[0]?.port} ${endpoints.map(({ addresses }) => addresses[0]).join(',')}`,
  );

test('Services lead to addresses of pods, whatever ports of their nodes they have', () => {
  expect(through()).toEqual(['http:8080 10.244.1.1,10.244.1.2,10.244.2.3,10.244.2.4,10.244.3.5']);
});

test('with --host-port-endpoints they lead to ports of nodes, and to addresses of pods that have none', () => {
  expect(through('hosts')).toEqual([
    'http:31000 10.0.0.1,10.0.0.2',
    'http:31001 10.0.0.1',
    'http:8000 10.0.0.2',
    'http:8080 10.244.3.5',
  ]);
  const subsets = subsetsOf(web, backendsOf(web, pods, 'IPv4', 'hosts'));
  expect(subsets.map(({ addresses = [], ports = [] }) => [ports[0]?.port, addresses.map(({ ip }) => ip)])).toEqual([
    [31_000, ['10.0.0.1', '10.0.0.2']],
    [31_001, ['10.0.0.1']],
    [8000, ['10.0.0.2']],
    [8080, ['10.244.3.5']],
  ]);
});
