import { expect, test } from '@jest/globals';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { AssumedVolumes } from '../../scheduler/assumed-volumes.ts';
import type { Storage } from '../../scheduler/plugin.ts';
import { volumeBinding, volumesOn } from '../../scheduler/plugins/volume-binding.ts';
import { makeNode, makePod, small } from './builders.ts';

const names = ['first', 'second', 'third'];
const claims = names.map((name): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default', uid: `uid-of-${name}` },
  spec: { storageClassName: 'late', accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
}));
const volume = (name: string, ...nodes: string[]): PersistentVolume => ({
  metadata: { name },
  spec: {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'late',
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: nodes }] }],
      },
    },
  },
  status: { phase: 'Available' },
});
/** The smaller first. */
const volumes = [volume('of-both', 'a', 'b'), volume('of-a', 'a'), volume('of-b', 'b')];
const late = {
  metadata: { name: 'late' },
  provisioner: 'kubernetes.io/no-provisioner',
  volumeBindingMode: 'WaitForFirstConsumer' as const,
};
const storage: Storage = {
  claim: (_namespace, name) => claims.find(({ metadata }) => metadata.name === name),
  volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
  volumes: () => volumes,
  storageClass: () => late,
  capacities: () => undefined,
  attachLimits: () => new Map(),
};

test('a volume that was chosen with a place is nobody else’s, in whatever order nodes and pods are looked at', () => {
  const assumed = new AssumedVolumes(storage);
  const world = { namespaceLabels: () => ({}), storage: assumed.storage };
  const [first, second, third] = names.map((claimName) =>
    makePod(`of-${claimName}`, { volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] }),
  ) as [Pod, Pod, Pod];
  const onA: Pod[] = [];
  const onB: Pod[] = [];
  const views = () => [makeNode('a', { pods: onA }), makeNode('b', { pods: onB })];
  const asked = (pod: Pod) => ({ pod, needs: small, nodes: views(), world });
  const reasons = (pod: Pod) => views().map((view) => volumeBinding.filter!(asked(pod))?.(view));
  const place = (pod: Pod, at: number, on: Pod[]) => {
    const chosen = volumesOn(views()[at]!.node, asked(pod));
    assumed.assume(pod, chosen);
    on.push(pod);
    return chosen;
  };

  expect(place(first, 1, onB)).toEqual({ first: 'of-both' });
  expect(place(second, 0, onA)).toEqual({ second: 'of-a' });
  // The pod of node a, were it looked at first, would seem to have taken the other's.
  expect(reasons(third)).toEqual(["node(s) didn't find available persistent volumes to bind", undefined]);
  expect(place(third, 1, onB)).toEqual({ third: 'of-b' });
  expect(assumed.storage.volumes().map(({ spec }) => spec.claimRef?.name)).toEqual(['first', 'second', 'third']);

  // Its place is given back, and its volume with it.
  onB.splice(onB.indexOf(first), 1);
  assumed.forget(first);
  expect(assumed.storage.volume('of-both')?.spec.claimRef).toBeUndefined();
  expect(reasons(first)).toEqual([undefined, undefined]);
});
