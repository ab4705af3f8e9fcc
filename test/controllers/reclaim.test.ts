import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Event } from '../../api/kinds/event.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { StorageClass } from '../../api/kinds/storage-class.ts';
import { isNotFound } from '../../api/status.ts';
import { deletable, recyclerPod } from '../../controllers/common/reclaim.ts';
import { options } from '../../controllers/index.ts';
import { defaultsOf } from '../../lib/options.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const namespace = 'default';
// Volumes are deleted below /tmp only, whatever TMPDIR says.
const directory = mkdtempSync('/tmp/km-reclaim-');
let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());

const volume = (name: string) => c.client.get(PersistentVolume, { name });
const isGone = (object: Promise<unknown>) => object.then(() => false, isNotFound);
const setPod = (name: string, status: Pod['status']) =>
  c.client.patch(Pod, { namespace, name }, { status }, { subresource: 'status' });
const reasons = async (name: string, kind = 'PersistentVolume') => {
  const fieldSelector = `involvedObject.name=${name},involvedObject.kind=${kind}`;
  const { items } = await c.client.list(Event, { fieldSelector });
  return items.map(({ type, reason, message }) => [type, reason, message]);
};

/** A volume that a claim had, which is gone. */
async function release(name: string, policy: 'Delete' | 'Recycle', source: Partial<PersistentVolume['spec']>) {
  const spec = { capacity: { storage: '5Gi' }, accessModes: ['ReadWriteOnce' as const], storageClassName: name };
  await c.client.create(PersistentVolume, {
    metadata: { name },
    spec: { ...spec, ...source, persistentVolumeReclaimPolicy: policy },
  });
  await c.client.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: name, resources: { requests: { storage: '1Gi' } } },
  });
  await eventually(async () => expect((await volume(name)).status?.phase).toBe('Bound'));
  await c.client.delete(PersistentVolumeClaim, { namespace, name });
}

describe('a volume of the policy Delete', () => {
  test('goes with what it holds', async () => {
    const path = join(directory, 'data');
    mkdirSync(join(path, 'deep'), { recursive: true });
    writeFileSync(join(path, 'deep', 'file'), 'x');
    await release('deleted', 'Delete', { hostPath: { path } });
    await eventually(async () => expect(await isGone(volume('deleted'))).toBe(true));
    expect(existsSync(path)).toBe(false);
  });

  const outside = join(directory, 'outside');
  test.each([
    ['elsewhere', { hostPath: { path: '/opt/km-nothing' } }, 'host_path deleter only supports /tmp/.+'],
    ['by-a-link', { hostPath: { path: join(outside, 'km-nothing') } }, 'host_path deleter only supports /tmp/.+'],
    ['nfs', { nfs: { server: 'nfs.example.com', path: '/' } }, 'no deletable volume plugin matched'],
  ])('that cannot be deleted (%s) fails and says why', async (name, source, words) => {
    if (!existsSync(outside)) symlinkSync('/opt', outside);
    await release(name, 'Delete', source);
    await eventually(async () => {
      const { status } = await volume(name);
      expect([status?.phase, status?.message]).toEqual(['Failed', expect.stringContaining(words)]);
    });
    await eventually(async () =>
      expect(await reasons(name)).toEqual([['Warning', 'VolumeFailedDelete', expect.stringContaining(words)]]),
    );
  });

  test('is never /tmp itself', async () => {
    expect(await deletable('/tmp/km-a/b')).toBe('/tmp/km-a/b');
    for (const path of ['/tmp', '/tmp/', '/tmp/.', '/tmp//', '/tmp/km-a/..', '/tmpfile'])
      await expect(deletable(path)).rejects.toThrow('only supports /tmp/.+');
  });

  test('of a provisioner or a CSI driver is left to that', async () => {
    await release('theirs', 'Delete', { csi: { driver: 'csi.example.com', volumeHandle: 'v1' } });
    await eventually(async () => expect((await volume('theirs')).status?.phase).toBe('Released'));
    expect(await reasons('theirs')).toEqual([]);
  });
});

describe('a volume of the policy Recycle', () => {
  test('is emptied by a pod and offered again', async () => {
    await release('recycled', 'Recycle', { hostPath: { path: join(directory, 'recycled') } });
    const pod = await eventually(() => c.client.get(Pod, { namespace, name: 'recycler-for-recycled' }));
    expect(pod.spec).toMatchObject({
      activeDeadlineSeconds: 150,
      restartPolicy: 'Never',
      volumes: [{ name: 'vol', hostPath: { path: join(directory, 'recycled') } }],
      containers: [{ volumeMounts: [{ name: 'vol', mountPath: '/scrub' }] }],
    });
    await setPod(pod.metadata.name, { phase: 'Succeeded' });
    await eventually(async () => {
      const { spec, status } = await volume('recycled');
      expect([spec.claimRef, status?.phase]).toEqual([undefined, 'Available']);
    });
    await eventually(async () =>
      expect(await isGone(c.client.get(Pod, { namespace, name: pod.metadata.name }))).toBe(true),
    );
    expect((await reasons('recycled')).map(([, reason]) => reason)).toEqual(['VolumeRecycled']);
  });

  test('whose pod fails says so, and is emptied anew no sooner than a while later', async () => {
    await release('stuck', 'Recycle', { hostPath: { path: join(directory, 'stuck') } });
    const pod = await eventually(() => c.client.get(Pod, { namespace, name: 'recycler-for-stuck' }));
    await setPod(pod.metadata.name, { phase: 'Failed', message: 'too late' });
    await eventually(async () =>
      expect((await volume('stuck')).status).toMatchObject({ phase: 'Failed', message: 'Recycler failed: too late' }),
    );
    await eventually(async () =>
      expect(await isGone(c.client.get(Pod, { namespace, name: pod.metadata.name }))).toBe(true),
    );
    // Something to look at, and no new pod of it.
    await c.client.patch(PersistentVolume, { name: 'stuck' }, { metadata: { labels: { touched: 'yes' } } });
    await release('after', 'Recycle', { hostPath: { path: join(directory, 'after') } });
    await eventually(() => c.client.get(Pod, { namespace, name: 'recycler-for-after' }));
    expect(await isGone(c.client.get(Pod, { namespace, name: pod.metadata.name }))).toBe(true);
  });

  test('of a kind that no pod can empty fails', async () => {
    await release('iscsi', 'Recycle', { local: { path: '/mnt/x' }, nodeAffinity: nowhere });
    await eventually(async () => expect((await volume('iscsi')).status?.phase).toBe('Failed'));
  });

  const nowhere = {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In' as const, values: ['x'] }] }] },
  };
  const stored = { name: 'v', uid: 'u', resourceVersion: '1' };
  const nfs = { nfs: { server: 's', path: '/p' }, capacity: { storage: '100Gi' }, claimRef: { kind: 'x', name: 'x' } };
  test('is emptied by the pod of the template, on a node that reaches it', () => {
    const file = join(directory, 'template.yaml');
    const template = {
      metadata: { labels: { a: 'b' } },
      spec: { volumes: [{ name: 'disk' }, { name: 'more' }], containers: [{ name: 'c', image: 'mine' }] },
    };
    writeFileSync(file, JSON.stringify(template));
    const given = { ...defaultsOf(options), pvRecyclerPodTemplateFilepathNfs: file };
    const pod = recyclerPod({ metadata: stored, spec: { ...nfs, nodeAffinity: nowhere } }, given);
    expect(pod).toMatchObject({
      metadata: { name: 'recycler-for-v', namespace, labels: { a: 'b' } },
      spec: {
        activeDeadlineSeconds: 3000,
        volumes: [{ name: 'disk', nfs: nfs.nfs }, { name: 'more' }],
        containers: [{ image: 'mine' }],
        affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: nowhere.required } },
      },
    });
    writeFileSync(file, 'spec: {}');
    expect(() => recyclerPod({ metadata: stored, spec: nfs }, given)).toThrow('holds no pod');
  });
});

test('a claim that asks for more waits for the resizer of its driver, and is told so once', async () => {
  await c.client.create(StorageClass, { metadata: { name: 'growing' }, provisioner: 'x', allowVolumeExpansion: true });
  await c.client.create(PersistentVolume, {
    metadata: { name: 'grows' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'growing',
      csi: { driver: 'csi.example.com', volumeHandle: 'v2' },
    },
  });
  const name = 'growing-claim';
  await c.client.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'growing', resources: { requests: { storage: '1Gi' } } },
  });
  const claim = () => c.client.get(PersistentVolumeClaim, { namespace, name });
  await eventually(async () => expect((await claim()).status?.phase).toBe('Bound'));
  await c.client.patch(
    PersistentVolumeClaim,
    { namespace, name },
    { spec: { resources: { requests: { storage: '2Gi' } } } },
  );
  await eventually(async () =>
    expect(
      (await reasons(name, 'PersistentVolumeClaim')).filter(([, reason]) => reason === 'ExternalExpanding'),
    ).toEqual([['Normal', 'ExternalExpanding', expect.stringContaining('waiting for an external controller')]]),
  );
  expect((await claim()).status?.capacity).toEqual({ storage: '1Gi' });
});
