import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Node } from '../../api/kinds/node.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { reaches } from '../../scheduler/plugins/promised-volumes.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster();
}, 60_000);
afterAll(() => cluster?.stop(), 60_000);

const storageClass = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: late }
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
`;

const volume = (name: string, path: string, nodes: readonly string[]) => `
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: ${name} }
spec:
  capacity: { storage: 1Gi }
  accessModes: [ReadWriteOnce]
  storageClassName: late
  local: { path: '${path}' }
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{ key: kubernetes.io/hostname, operator: In, values: [${nodes.join(', ')}] }]
`;

const consumer = (name: string) => `
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: ${name}, namespace: default }
spec: { accessModes: [ReadWriteOnce], storageClassName: late, resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: default }
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{ name: data, persistentVolumeClaim: { claimName: ${name} } }]
  containers:
    - name: main
      image: k8s.test/busybox:1
      command: [sh, -c, 'exec sleep 1000']
      resources: { requests: { cpu: 50m, memory: 16Mi } }
      volumeMounts: [{ name: data, mountPath: /data }]
`;

test('claims of pods that come together get the volumes that were chosen with their places, from the scheduler', async () => {
  const nodes = await eventually(async () => {
    const { items } = await cluster.client.list(Node);
    expect(items).toHaveLength(3);
    return items;
  }, 20_000);
  const hosts = nodes.map(({ metadata }) => metadata.labels?.['kubernetes.io/hostname'] ?? '');
  const reach = [hosts, hosts, hosts, ...hosts.map((host) => [host])];
  const path = join(cluster.dir, 'local');
  mkdirSync(path);
  const consumers = reach.map((_, i) => `c${i}`);
  const volumes = reach.map((of, i) => volume(`v${i}`, path, of));
  await cluster.kubectl.feed(`${storageClass}${volumes.join('')}`, 'apply', '-f', '-');
  await cluster.kubectl.feed(consumers.map(consumer).join(''), 'apply', '-f', '-');
  const pods = await eventually(async () => {
    const { items } = await cluster.client.list(Pod, { namespace: 'default' });
    const ready = items.filter(({ status }) => status?.containerStatuses?.[0]?.ready);
    expect(ready.map(({ metadata }) => metadata.name).sort()).toEqual(consumers);
    return ready;
  }, 60_000);
  const { items } = await cluster.client.list(PersistentVolume);
  const homes = items.map((one) => {
    const pod = pods.find(({ metadata }) => metadata.name === one.spec.claimRef?.name);
    const node = nodes.find(({ metadata }) => metadata.name === pod?.spec.nodeName);
    return node !== undefined && reaches(one, node);
  });
  expect(homes).toEqual(Array(6).fill(true));
  const writers = items.map(({ metadata }) =>
    (metadata.managedFields ?? [])
      .map((entry) => JSON.stringify(entry))
      .filter((entry) => entry.includes('"f:claimRef"'))
      .map((entry) => /"manager":"([^"]+)"/.exec(entry)?.[1]),
  );
  expect(writers).toEqual(Array(6).fill(['km-scheduler']));
}, 120_000);
