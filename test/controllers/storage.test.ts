import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Node } from '../../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { StorageClass } from '../../api/kinds/storage-class.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());
const namespace = 'default';

const makeVolume = (name: string, storage: string, spec: Partial<PersistentVolume['spec']> = {}) =>
  c.client.create(PersistentVolume, {
    metadata: { name },
    spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], hostPath: { path: `/tmp/${name}` }, ...spec },
  });
const makeClaim = (name: string, storage: string, storageClassName: string) =>
  c.client.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName, resources: { requests: { storage } } },
  });
const claim = (name: string) => c.client.get(PersistentVolumeClaim, { namespace, name });
const volume = (name: string) => c.client.get(PersistentVolume, { name });
const gone = async (object: Promise<unknown>) => isNotFound(await object.catch((e: unknown) => e));
const pod = (name: string, volumes: Pod['spec']['volumes'], nodeName?: string) =>
  c.client.create(Pod, {
    metadata: { name, namespace },
    spec: { containers: [{ name: 'c', image: 'x' }], volumes: volumes!, ...(nodeName ? { nodeName } : {}) },
  });

describe('a claim', () => {
  test('gets the smallest volume that serves it, and stays while a pod uses it; the volume stays while it has a claim', async () => {
    await makeVolume('big', '10Gi', { storageClassName: 'slow' });
    await makeVolume('small', '2Gi', { storageClassName: 'slow' });
    await eventually(async () => expect((await volume('small')).status?.phase).toBe('Available'));
    await makeClaim('data', '1Gi', 'slow');
    await eventually(async () =>
      expect((await claim('data')).status).toMatchObject({ phase: 'Bound', capacity: { storage: '2Gi' } }),
    );
    expect((await claim('data')).spec.volumeName).toBe('small');
    expect((await volume('small')).status?.phase).toBe('Bound');
    expect((await volume('big')).status?.phase).toBe('Available');

    await pod('user', [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }], 'n1');
    await c.client.delete(PersistentVolumeClaim, { namespace, name: 'data' });
    await c.client.delete(PersistentVolume, { name: 'small' });
    await c.client.patch(Pod, { namespace, name: 'user' }, { metadata: { labels: { seen: 'yes' } } });
    expect((await claim('data')).metadata.deletionTimestamp).toBeDefined();
    expect((await volume('small')).metadata.deletionTimestamp).toBeDefined();
    await c.client.patch(
      Pod,
      { namespace, name: 'user' },
      { status: { phase: 'Succeeded' } },
      { subresource: 'status' },
    );
    await eventually(async () => {
      expect(await claim('data').catch(() => undefined)).toBeUndefined();
      expect(await gone(volume('small'))).toBe(true);
    });
  });

  test('that comes before its volume gets it later; when it goes, a retained volume is released', async () => {
    await makeClaim('early', '1Gi', 'later');
    await eventually(async () => expect((await claim('early')).status?.phase).toBe('Pending'));
    await makeVolume('late', '1Gi', { storageClassName: 'later', persistentVolumeReclaimPolicy: 'Retain' });
    await eventually(async () => expect((await claim('early')).status?.phase).toBe('Bound'));
    await c.client.delete(PersistentVolumeClaim, { namespace, name: 'early' });
    await eventually(async () => expect((await volume('late')).status?.phase).toBe('Released'));
  });

  test('that waits for its first consumer gets a volume that the node of this one reaches', async () => {
    await c.client.create(StorageClass, {
      metadata: { name: 'local' },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    });
    for (const name of ['left', 'right']) {
      await c.client.create(Node, { metadata: { name, labels: { 'kubernetes.io/hostname': name } } });
      const here = [{ key: 'kubernetes.io/hostname', operator: 'In' as const, values: [name] }];
      await makeVolume(`on-${name}`, '1Gi', {
        storageClassName: 'local',
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: here }] } },
      });
    }
    await eventually(async () => expect((await volume('on-right')).status?.phase).toBe('Available'));
    await makeClaim('waits', '1Gi', 'local');
    await eventually(async () => expect((await claim('waits')).status?.phase).toBe('Pending'));
    await pod('consumer', [{ name: 'v', persistentVolumeClaim: { claimName: 'waits' } }], 'right');
    await eventually(async () => expect((await claim('waits')).spec.volumeName).toBe('on-right'));
    expect((await volume('on-left')).spec.claimRef).toBeUndefined();
  });

  test('whose class has a provisioner asks it', async () => {
    await c.client.create(StorageClass, { metadata: { name: 'csi' }, provisioner: 'csi.example.com' });
    await makeClaim('asks', '1Gi', 'csi');
    await eventually(async () =>
      expect((await claim('asks')).metadata.annotations).toMatchObject({
        'volume.kubernetes.io/storage-provisioner': 'csi.example.com',
      }),
    );
  });

  test('is lost with its volume', async () => {
    await makeVolume('fleeting', '1Gi', { storageClassName: 'fleeting' });
    await makeClaim('loses', '1Gi', 'fleeting');
    await eventually(async () => expect((await claim('loses')).status?.phase).toBe('Bound'));
    await c.client.delete(PersistentVolume, { name: 'fleeting' });
    await c.client.patch(PersistentVolume, { name: 'fleeting' }, { metadata: { finalizers: null } });
    await eventually(async () => expect((await claim('loses')).status?.phase).toBe('Lost'));
  });

  test('of an ephemeral volume is made for its pod', async () => {
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
    const { metadata } = await pod('short', [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec } } }]);
    await eventually(async () =>
      expect((await claim('short-scratch')).metadata.ownerReferences).toMatchObject([
        { kind: 'Pod', uid: metadata.uid },
      ]),
    );
    await c.client.delete(Pod, { namespace, name: 'short' });
    await eventually(async () => expect(await gone(claim('short-scratch'))).toBe(true));
  });
});
