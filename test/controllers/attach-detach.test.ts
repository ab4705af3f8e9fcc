import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CSIDriver } from '../../api/kinds/csi-driver.ts';
import { CSINode } from '../../api/kinds/csi-node.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { VolumeAttachment, attachmentName } from '../../api/kinds/volume-attachment.ts';
import { Event } from '../../api/kinds/event.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());
const namespace = 'default';
const driver = 'disks.km.test';

async function bound(name: string, of = driver): Promise<void> {
  const spec = { accessModes: ['ReadWriteOnce' as const], storageClassName: '' };
  await c.client.create(PersistentVolume, {
    metadata: { name },
    spec: {
      ...spec,
      capacity: { storage: '1Gi' },
      csi: { driver: of, volumeHandle: `h-${name}` },
      claimRef: { namespace, name },
    },
  });
  await c.client.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { ...spec, volumeName: name, resources: { requests: { storage: '1Gi' } } },
  });
  await eventually(async () =>
    expect((await c.client.get(PersistentVolumeClaim, { namespace, name })).status?.phase).toBe('Bound'),
  );
}
const pod = (name: string, nodeName: string, claim: string) =>
  c.client.create(Pod, {
    metadata: { name, namespace },
    spec: {
      nodeName,
      containers: [{ name: 'c', image: 'x' }],
      volumes: [{ name: 'v', persistentVolumeClaim: { claimName: claim } }],
    },
  });
const end = (name: string) => c.client.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0 });
const attached = async () => (await c.client.list(VolumeAttachment)).items.map(({ metadata }) => metadata.name);
const has = (node: string) =>
  c.client.create(CSINode, {
    metadata: { name: node },
    spec: { drivers: [{ name: driver, nodeID: node, topologyKeys: [] }] },
  });

test('a volume is attached to the node of its pods once the driver is there, and detached with the last', async () => {
  await bound('one');
  await pod('a', 'n1', 'one');
  await pod('b', 'n1', 'one');
  const name = attachmentName('h-one', driver, 'n1');
  await has('n1');
  await eventually(async () => expect(await attached()).toEqual([name]));
  const { spec } = await c.client.get(VolumeAttachment, { name });
  expect(spec).toEqual({ attacher: driver, nodeName: 'n1', source: { persistentVolumeName: 'one' } });
  await end('a');
  await has('n2');
  await pod('far', 'n2', 'one');
  await eventually(async () => {
    const { items } = await c.client.list(Event, { namespace });
    const words = items.map((event) => (event as { message?: string }).message ?? '').join('\n');
    expect(words).toContain('Multi-Attach error for volume "one" Volume is already exclusively attached to node n1');
  });
  expect(await attached()).toEqual([name]);
  await end('b');
  await eventually(async () => expect(await attached()).toEqual([attachmentName('h-one', driver, 'n2')]));
  await end('far');
  await eventually(async () => expect(await attached()).toEqual([]));
});

test('a driver that attaches nothing is left alone, and so are attachments of others', async () => {
  await c.client.create(CSIDriver, { metadata: { name: 'files.km.test' }, spec: { attachRequired: false } });
  await bound('files', 'files.km.test');
  await bound('two');
  await c.client.create(VolumeAttachment, {
    metadata: { name: 'by-hand' },
    spec: { attacher: driver, nodeName: 'n1', source: { persistentVolumeName: 'two' } },
  });
  await pod('reader', 'n1', 'files');
  await pod('last', 'n2', 'two');
  await c.client.delete(VolumeAttachment, { name: 'by-hand' });
  await eventually(async () => expect(await attached()).toEqual([attachmentName('h-two', driver, 'n2')]));
});
