import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CSIDriver } from '../../api/kinds/csi-driver.ts';
import { CSINode } from '../../api/kinds/csi-node.ts';
import { Event } from '../../api/kinds/event.ts';
import { Node } from '../../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod, type PodSpec, type Volume } from '../../api/kinds/pod.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { VolumeAttachment, attachmentName } from '../../api/kinds/volume-attachment.ts';
import { mountsAt } from '../../executor/volumes/mounts.ts';
import { nfsArguments } from '../../executor/volumes/nfs.ts';
import { busyboxImage, type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { CsiDriver } from './csi-driver.ts';
import { type ExecutorForTests, startExecutorForTests, testNode } from './executor-for-tests.ts';
import { expectNothingLeft } from './leftovers.ts';
import { loopDevice, releaseLoop } from './loop-device.ts';
import { aPod, eventually } from './pods-for-tests.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
const driverName = 'dirs.csi.km.test';

describeHere('a CSI driver', () => {
  let containerd: Containerd;
  let place: ExecutorForTests;
  let driver: CsiDriver;
  let directory: string;
  let root: string;
  beforeAll(async () => {
    directory = mkdtempSync('/dev/shm/km-csi-');
    const registry = join(directory, 'registry');
    root = join(directory, 'root');
    mkdirSync(registry);
    containerd = await startContainerd(17);
    place = await startExecutorForTests({
      runtime: 'cri',
      criSocket: `unix://${containerd.socket}`,
      cgroupParent: containerd.cgroup,
      rootDir: root,
      pluginsRegistry: registry,
    });
    driver = new CsiDriver({ name: driverName, directory, registry });
    await place.client.create(CSIDriver, {
      metadata: { name: driverName },
      spec: { attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ['Persistent', 'Ephemeral'] },
    });
    await driver.start();
  }, 60_000);
  afterAll(async () => {
    await expectNothingLeft(containerd, [root]);
    await place?.close();
    driver?.stop();
    await containerd?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  const pod = (name: string, script: string, volumes: Volume[], more: Partial<PodSpec> = {}) => {
    const volumeMounts = volumes.map((volume) => ({ name: volume.name, mountPath: `/${volume.name}` }));
    const container = { image: busyboxImage, command: ['sh', '-c', script], volumeMounts };
    return place.place(
      aPod(container, { volumes, restartPolicy: 'Never', terminationGracePeriodSeconds: 1, ...more }, name),
    );
  };
  const phase = (name: string, wanted: string) =>
    eventually(
      async () => (await place.client.get(Pod, { namespace: 'default', name })).status?.phase === wanted,
      `${name} to be ${wanted}`,
      20_000,
    );
  const event = (words: string) =>
    eventually(
      async () => {
        const { items } = await place.client.list(Event, { namespace: 'default' });
        return items.find((one) => (one as { message?: string }).message?.includes(words));
      },
      `the event: ${words}`,
      20_000,
    );
  const remove = async (...names: string[]) => {
    for (const name of names) await place.client.delete(Pod, { namespace: 'default', name });
    await gone(...names);
  };
  const gone = (...names: string[]) =>
    eventually(
      async () =>
        !(await place.client.list(Pod, { namespace: 'default' })).items.some((p) => names.includes(p.metadata.name)),
      'the pods to be gone',
      20_000,
    );
  /** A claim as the binder leaves it. */
  const claim = async (name: string, csi: object, more: object = {}): Promise<Volume> => {
    const ref = { namespace: 'default', name };
    const spec = {
      accessModes: ['ReadWriteOnce' as const],
      resources: { requests: { storage: '1Gi' } },
      storageClassName: '',
    };
    const made = await place.client.create(PersistentVolumeClaim, {
      metadata: ref,
      spec: { ...spec, volumeName: name },
    });
    const { uid } = made.metadata;
    await place.client.create(PersistentVolume, {
      metadata: { name },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        claimRef: { ...ref, uid },
        csi: { driver: driverName, volumeHandle: name, ...csi },
        ...more,
      },
    });
    await place.client.patch(PersistentVolumeClaim, ref, { status: { phase: 'Bound' } }, { subresource: 'status' });
    return { name: 'data', persistentVolumeClaim: { claimName: name } };
  };
  const nothingMounted = async () => {
    expect(await mountsAt(root)).toEqual([]);
    expect(readdirSync(join(root, 'pods'))).toEqual([]);
  };

  test('is registered by its socket, and its node with it', async () => {
    const found = await eventually(
      () => place.client.get(CSINode, { name: testNode }).catch(() => undefined),
      'the CSINode',
    );
    expect(found.spec.drivers).toEqual([
      {
        name: driverName,
        nodeID: `${driverName}-here`,
        topologyKeys: [`${driverName}/rack`],
        allocatable: { count: 7 },
      },
    ]);
    const node = await place.client.get(Node, { name: testNode });
    expect(found.metadata.ownerReferences).toEqual([
      { apiVersion: 'v1', kind: 'Node', name: testNode, uid: node.metadata.uid },
    ]);
    expect(node.metadata.labels?.[`${driverName}/rack`]).toBe('r1');
    expect(driver.registrations).toEqual(['']);
  });

  test('stages a volume once and publishes it to each pod, and takes it back with the last', async () => {
    mkdirSync(join(driver.volumes, 'shared'));
    await place.client.create(Secret, {
      metadata: { name: 'login', namespace: 'default' },
      stringData: { key: 'open' },
    } as Secret);
    const ref = { name: 'login', namespace: 'default' };
    const volume = await claim(
      'shared',
      { fsType: 'ext4', volumeAttributes: { pool: 'fast' }, nodeStageSecretRef: ref },
      { mountOptions: ['noatime'] },
    );
    await pod('first', 'echo mine > /data/note; exec sleep 1000', [volume]);
    await phase('first', 'Running');
    await eventually(() => existsSync(join(driver.volumes, 'shared/note')), 'the note');
    await pod('second', 'cat /data/note && exec sleep 1000', [volume]);
    await phase('second', 'Running');
    expect(driver.methods('shared')).toEqual([
      'NodeStageVolume',
      'NodePublishVolume',
      'NodeStageVolume',
      'NodePublishVolume',
    ]);
    const [stage, publish] = driver.calls.filter(({ request }) => request.volume_id === 'shared');
    expect(stage!.request).toMatchObject({
      secrets: { key: 'open' },
      volume_context: { pool: 'fast' },
      volume_capability: {
        mount: { fs_type: 'ext4', mount_flags: ['noatime'] },
        access_mode: { mode: 'SINGLE_NODE_WRITER' },
      },
    });
    expect(publish!.request.volume_context).toMatchObject({
      pool: 'fast',
      'csi.storage.k8s.io/pod.name': 'first',
      'csi.storage.k8s.io/ephemeral': 'false',
    });
    await remove('first');
    expect(driver.methods('shared').slice(4)).toEqual(['NodeUnpublishVolume']);
    expect(await mountsAt(root)).toHaveLength(2);
    await remove('second');
    expect(driver.methods('shared').slice(5)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume']);
    await nothingMounted();
    expect(readFileSync(join(driver.volumes, 'shared/note'), 'utf8')).toBe('mine\n');
  });

  test('makes a volume for one pod alone', async () => {
    const volume = { name: 'own', csi: { driver: driverName, readOnly: true, volumeAttributes: { size: '1' } } };
    await pod('inline', 'cat /own/context.json; touch /own/x && exit 3; exec sleep 1000', [volume]);
    await phase('inline', 'Running');
    const [call] = driver.calls.slice(-1);
    expect(call!.method).toBe('NodePublishVolume');
    expect(call!.request).toMatchObject({
      readonly: true,
      volume_context: { size: '1', 'csi.storage.k8s.io/ephemeral': 'true' },
    });
    expect(call!.request.volume_id).toMatch(/^csi-[0-9a-f]{64}$/);
    await remove('inline');
    expect(driver.calls.at(-1)!.method).toBe('NodeUnpublishVolume');
    await nothingMounted();
  });

  test('publishes a device itself, without a file system and without a group', async () => {
    const device = loopDevice(join(directory, 'disk.img'));
    try {
      mkdirSync(join(driver.volumes, 'device'));
      symlinkSync(device, join(driver.volumes, 'device/device'));
      const volume = await claim('device', {}, { volumeMode: 'Block' });
      const script = 'test -b /dev/disk && printf written | dd of=/dev/disk conv=notrunc,fsync; exec sleep 1000';
      const volumeDevices = [{ name: volume.name, devicePath: '/dev/disk' }];
      const containers = [{ name: 'c', image: busyboxImage, command: ['sh', '-c', script], volumeDevices }];
      await pod('raw', '', [volume], { containers, securityContext: { fsGroup: 4242 } });
      await phase('raw', 'Running');
      await eventually(() => readFileSync(device).toString('latin1', 0, 7) === 'written', 'the words on the device');
      const asked = driver.calls.filter(({ request }) => request.volume_id === 'device');
      expect(asked.map(({ method }) => method)).toEqual(['NodeStageVolume', 'NodePublishVolume']);
      for (const { request } of asked) expect(request.volume_capability).toMatchObject({ block: {} });
      await remove('raw');
      expect(driver.methods('device').slice(2)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume']);
      await nothingMounted();
    } finally {
      releaseLoop(device);
    }
  });

  test('that refuses is quoted, and asked again', async () => {
    mkdirSync(join(driver.volumes, 'later'));
    driver.refusing = { method: 'NodePublishVolume', words: 'the array is rebuilding' };
    await pod('patient', 'exec sleep 1000', [await claim('later', {})]);
    await event('refused NodePublishVolume: the array is rebuilding');
    driver.refusing = undefined;
    await phase('patient', 'Running');
    await remove('patient');
    await nothingMounted();
  });

  test('takes back what an executor of before left, after the pod is gone', async () => {
    mkdirSync(join(driver.volumes, 'kept'));
    await pod('survivor', 'exec sleep 1000', [await claim('kept', {})]);
    await phase('survivor', 'Running');
    const before = driver.registrations.length;
    await place.restart();
    await eventually(() => driver.registrations.length > before, 'the registration');
    expect(driver.methods('kept')).toEqual(['NodeStageVolume', 'NodePublishVolume']);
    await remove('survivor');
    expect(driver.methods('kept').slice(-2)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume']);
    mkdirSync(join(root, 'pods/gone/volumes/kubernetes.io~csi/v'), { recursive: true });
    const record = { driver: driverName, handle: 'kept', isStaged: true, node: testNode };
    writeFileSync(join(root, 'pods/gone/volumes/kubernetes.io~csi/v/vol_data.json'), JSON.stringify(record));
    // Another's, in the same place.
    mkdirSync(join(root, 'pods/other/volumes/kubernetes.io~csi/v'), { recursive: true });
    const other = { ...record, node: 'other' };
    writeFileSync(join(root, 'pods/other/volumes/kubernetes.io~csi/v/vol_data.json'), JSON.stringify(other));
    await place.restart();
    await eventually(() => !existsSync(join(root, 'pods/gone')), 'what was left to go');
    expect(driver.methods('kept').at(-1)).toBe('NodeUnpublishVolume');
    expect(existsSync(join(root, 'pods/other'))).toBe(true);
    rmSync(join(root, 'pods/other'), { recursive: true });
    await nothingMounted();
  }, 30_000);

  test('takes its volume back though the power cut its records off', async () => {
    mkdirSync(join(driver.volumes, 'cut'));
    const { pod: cut } = await pod('cut', 'exec sleep 1000', [await claim('cut', {})]);
    await phase('cut', 'Running');
    const published = join(root, 'pods', cut.metadata.uid!, 'volumes/kubernetes.io~csi/cut');
    const hash = createHash('sha256').update('cut').digest('hex');
    const records = [published, join(root, 'plugins/kubernetes.io/csi', driverName, hash)];
    const before = records.map((one) => readFileSync(join(one, 'vol_data.json'), 'utf8'));
    for (const one of records) writeFileSync(join(one, 'vol_data.json'), '');
    // A pod is looked at again when its labels change, or after a while.
    await place.client.patch(Pod, { namespace: 'default', name: 'cut' }, { metadata: { labels: { n: '1' } } });
    await eventually(
      () => records.every((one, i) => readFileSync(join(one, 'vol_data.json'), 'utf8') === before[i]),
      'the records to be whole',
    );
    await remove('cut');
    expect(driver.methods('cut').slice(-2)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume']);
    await nothingMounted();
  }, 60_000);

  test('has its volume given to the group of the pod, if it has a file system that one node writes', async () => {
    const group = async (name: string, csi: object) => {
      mkdirSync(join(driver.volumes, name));
      writeFileSync(join(driver.volumes, name, 'note'), '');
      const volume = await claim(name, csi);
      await pod(name, 'exec sleep 1000', [volume], { securityContext: { fsGroup: 2000 } });
      await phase(name, 'Running');
      return statSync(join(driver.volumes, name, 'note')).gid;
    };
    expect([await group('owned', { fsType: 'ext4' }), await group('as-it-was', {})]).toEqual([2000, 0]);
    await remove('owned', 'as-it-was');
    await nothingMounted();
  }, 30_000);

  test('grows a file system where it is mounted, and tells the claim; until it can, the pod goes on', async () => {
    mkdirSync(join(driver.volumes, 'growing'));
    const ref = { namespace: 'default', name: 'growing' };
    const volume = await claim('growing', {});
    const pending = { type: 'FileSystemResizePending', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };
    const status = { capacity: { storage: '1Gi' }, conditions: [pending] };
    await place.client.patch(PersistentVolumeClaim, ref, { status }, { subresource: 'status' });
    await pod('grower', 'exec sleep 1000', [volume]);
    await phase('grower', 'Running');
    expect(driver.methods('growing')).toEqual(['NodeStageVolume', 'NodePublishVolume']);
    // What an external resizer does.
    driver.refusing = { method: 'NodeExpandVolume', words: 'not now' };
    await place.client.patch(PersistentVolume, { name: 'growing' }, { spec: { capacity: { storage: '2Gi' } } });
    // A pod is looked at again when its labels change, or after a while.
    const touch = (n: string) => place.client.patch(Pod, { ...ref, name: 'grower' }, { metadata: { labels: { n } } });
    await touch('1');
    await event('volume "growing" could not be grown: driver dirs.csi.km.test refused NodeExpandVolume: not now');
    driver.refusing = undefined;
    await touch('2');
    await event('volume "growing" has grown to 2Gi');
    const grown = await place.client.get(PersistentVolumeClaim, ref);
    expect(grown.status).toMatchObject({ capacity: { storage: '2Gi' }, phase: 'Bound' });
    expect(grown.status?.conditions ?? []).toEqual([]);
    const { request } = driver.calls.findLast(({ method }) => method === 'NodeExpandVolume')!;
    expect(Number(request.capacity_range.required_bytes)).toBe(2 * 1024 ** 3);
    expect(request.staging_target_path).toMatch(/globalmount$/);
    expect(await phase('grower', 'Running')).toBe(true);
    await remove('grower');
    await nothingMounted();
  }, 40_000);

  test('that cannot unstage now is asked again; what is staged for nobody is taken back by the next executor', async () => {
    mkdirSync(join(driver.volumes, 'sticky'));
    await pod('stuck', 'exec sleep 1000', [await claim('sticky', {})]);
    await phase('stuck', 'Running');
    driver.refusing = { method: 'NodeUnstageVolume', words: 'busy' };
    await place.client.delete(Pod, { namespace: 'default', name: 'stuck' });
    await eventually(
      () => driver.methods('sticky').filter((one) => one === 'NodeUnstageVolume').length > 1,
      'its next try',
      20_000,
    );
    expect((await mountsAt(root)).length).toBe(1);
    driver.refusing = undefined;
    await gone('stuck');
    await nothingMounted();

    const handle = 'sticky';
    const hash = createHash('sha256').update(handle).digest('hex');
    const staging = join(root, 'plugins/kubernetes.io/csi', driverName, hash);
    mkdirSync(join(staging, 'globalmount'), { recursive: true });
    const kept = { driver: driverName, handle, isStaged: true, isAttached: false, node: testNode };
    writeFileSync(join(staging, 'vol_data.json'), JSON.stringify(kept));
    execFileSync('mount', ['--bind', join(driver.volumes, handle), join(staging, 'globalmount')]);
    await place.restart();
    await eventually(() => !existsSync(staging), 'what was staged to go');
    expect(driver.methods(handle).at(-1)).toBe('NodeUnstageVolume');
    await nothingMounted();
  }, 60_000);

  test('that wants volumes attached is given them when they are', async () => {
    const name = 'disks.csi.km.test';
    const disks = new CsiDriver({ name, directory: join(directory, 'disks'), registry: join(directory, 'registry') });
    await disks.start();
    try {
      mkdirSync(join(disks.volumes, 'disk'));
      await pod('attached', 'exec sleep 1000', [await claim('disk', { driver: name })]);
      await event(`volume "disk" is not attached to node "${testNode}" yet`);
      expect(disks.methods()).toEqual([]);
      // Nobody detaches what is about to be mounted.
      const inUse = async () => (await place.client.get(Node, { name: testNode })).status?.volumesInUse ?? [];
      expect(await inUse()).toEqual([`kubernetes.io/csi/${name}^disk`]);
      const attachment = attachmentName('disk', name, testNode);
      await place.client.create(VolumeAttachment, {
        metadata: { name: attachment },
        spec: { attacher: name, nodeName: testNode, source: { persistentVolumeName: 'disk' } },
      });
      const status = { attached: true, attachmentMetadata: { device: '/dev/sdz' } };
      await place.client.patch(VolumeAttachment, { name: attachment }, { status }, { subresource: 'status' });
      await phase('attached', 'Running');
      expect(disks.calls.map(({ method, request }) => [method, request.publish_context])).toEqual([
        ['NodeStageVolume', { device: '/dev/sdz' }],
        ['NodePublishVolume', { device: '/dev/sdz' }],
      ]);
      // The next executor knows it from what is mounted.
      await place.restart();
      await eventually(
        async () =>
          (await place.client.get(Pod, { namespace: 'default', name: 'attached' })).status?.phase === 'Running',
        'the pod',
      );
      expect(await inUse()).toEqual([`kubernetes.io/csi/${name}^disk`]);
      await eventually(() => disks.registrations.length > 1, 'the registration');
      await remove('attached');
      await eventually(async () => (await inUse()).length === 0, 'the volume to be told of no more');
      await nothingMounted();
    } finally {
      disks.stop();
    }
    await eventually(async () => {
      const { spec } = await place.client.get(CSINode, { name: testNode });
      return spec.drivers?.map((one) => one.name).join() === driverName;
    }, 'the driver to leave the CSINode');
  }, 60_000);

  test('that is not here, or of another version, is waited for with an event', async () => {
    const old = new CsiDriver({
      name: 'old.csi.km.test',
      directory: join(directory, 'old'),
      registry: join(directory, 'registry'),
      versions: ['0.3.0'],
    });
    await old.start();
    await eventually(() => old.registrations.length > 0, 'the refusal');
    old.stop();
    expect(old.registrations[0]).toContain('speaks CSI 0.3.0; this node needs version 1');
    await pod('lonely', 'true', [{ name: 'v', csi: { driver: 'none.csi.km.test' } }]);
    await event('driver name none.csi.km.test not found in the list of registered CSI drivers');
    const block = await claim('raw', {}, { volumeMode: 'Block' });
    await pod('blocked', 'true', [block]);
    await event('volume "data" has the mode Block, but container "c" has it in volumeMounts');
    await remove('lonely', 'blocked');
  }, 30_000);
});

describe('an NFS volume', () => {
  test('is mounted with its options; an IPv6 server stands in brackets', () => {
    const source = { server: 'files', path: '/a b', readOnly: true };
    expect(nfsArguments(source, ['vers=4.1'], '/t')).toEqual(['-t', 'nfs', '-o', 'ro,vers=4.1', 'files:/a b', '/t']);
    expect(nfsArguments({ server: 'fd00::1', path: '/x', readOnly: false }, [], '/t')).toEqual([
      '-t',
      'nfs',
      '[fd00::1]:/x',
      '/t',
    ]);
  });
});
