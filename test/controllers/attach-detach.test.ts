import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CSIDriver } from '../../api/kinds/csi-driver.ts';
import { Event } from '../../api/kinds/event.ts';
import { Node } from '../../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { VolumeAttachment } from '../../api/kinds/volume-attachment.ts';
import { stepFor } from '../../controllers/ttl.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  c = await startControllers({ controllers: ['attachdetach', 'persistentvolume-binder', 'ttl'] });
  for (const name of ['n1', 'n2']) await c.client.create(Node, { metadata: { name } });
});
afterAll(() => c.stop());
const namespace = 'default';

async function volume(name: string, driver: string): Promise<void> {
  await c.client.create(PersistentVolume, {
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: name,
      csi: { driver, volumeHandle: `handle-${name}` },
    },
  });
  await c.client.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: name, resources: { requests: { storage: '1Gi' } } },
  });
}
const pod = (name: string, claimName: string, nodeName: string) =>
  c.client.create(Pod, {
    metadata: { name, namespace },
    spec: {
      nodeName,
      containers: [{ name: 'c', image: 'x' }],
      volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }],
    },
  });
const gone = (name: string) => c.client.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0 });
const attached = async (volumeName: string) => {
  const { items } = await c.client.list(VolumeAttachment);
  return items.filter(({ spec }) => spec.source.persistentVolumeName === volumeName).map(({ spec }) => spec.nodeName);
};
const mounted = (name: string, volumesInUse: string[]) =>
  c.client.patch(Node, { name }, { status: { volumesInUse } }, { subresource: 'status' });

test('a volume is attached where a pod has it, stays while it is mounted, and goes to one node at a time', async () => {
  await volume('data', 'csi.example.com');
  await pod('first', 'data', 'n1');
  await eventually(async () => expect(await attached('data')).toEqual(['n1']));
  const { items } = await c.client.list(VolumeAttachment);
  // The name by which a kubelet looks for it.
  expect(items[0]).toMatchObject({
    metadata: { name: expect.stringMatching(/^csi-[0-9a-f]{64}$/) },
    spec: { attacher: 'csi.example.com' },
  });
  await mounted('n1', ['kubernetes.io/csi/csi.example.com^handle-data']);
  await pod('second', 'data', 'n2');
  await eventually(async () => {
    const { items: events } = await c.client.list(Event, { namespace });
    expect(events.map(({ reason }) => reason)).toContain('FailedAttachVolume');
  });
  await gone('first');
  expect(await attached('data')).toEqual(['n1']);
  await mounted('n1', []);
  await eventually(async () => expect(await attached('data')).toEqual(['n2']), 15_000);
  await gone('second');
  await eventually(async () => expect(await attached('data')).toEqual([]));
}, 40_000);

test('a node is told what is attached to it, and no longer what is about to be detached', async () => {
  await volume('told', 'told.example.com');
  await pod('uses', 'told', 'n1');
  await eventually(async () => expect(await attached('told')).toEqual(['n1']));
  const names = async () => {
    const { status } = await c.client.get(Node, { name: 'n1' });
    return (status?.volumesAttached ?? []).map(({ name }) => name);
  };
  const { items } = await c.client.list(VolumeAttachment);
  const attachment = items.find(({ spec }) => spec.attacher === 'told.example.com');
  const ref = { name: attachment?.metadata.name ?? '' };
  expect(await names()).toEqual([]);
  // What its attacher does.
  await c.client.patch(VolumeAttachment, ref, { metadata: { finalizers: ['example.com/attacher'] } });
  await c.client.patch(VolumeAttachment, ref, { status: { attached: true } }, { subresource: 'status' });
  await eventually(async () => expect(await names()).toEqual(['kubernetes.io/csi/told.example.com^handle-told']));
  await gone('uses');
  await eventually(async () => expect(await names()).toEqual([]));
  expect(await attached('told')).toEqual(['n1']);
  await c.client.patch(VolumeAttachment, ref, { metadata: { finalizers: null } });
});

test('drivers that need no attaching get none, and a driver that is registered late is heeded', async () => {
  await c.client.create(CSIDriver, { metadata: { name: 'plain.example.com' }, spec: { attachRequired: false } });
  await volume('plain', 'plain.example.com');
  await volume('late', 'late.example.com');
  await pod('p1', 'plain', 'n1');
  await pod('p2', 'late', 'n1');
  await eventually(async () => expect(await attached('late')).toEqual(['n1']));
  expect(await attached('plain')).toEqual([]);
  await c.client.create(CSIDriver, { metadata: { name: 'late.example.com' }, spec: { attachRequired: false } });
  await eventually(async () => expect(await attached('late')).toEqual([]));
});

test('nodes are told how long they may go on with what they read, by the size of the cluster', async () => {
  await eventually(async () =>
    expect((await c.client.get(Node, { name: 'n1' })).metadata.annotations).toMatchObject({
      'node.alpha.kubernetes.io/ttl': '0',
    }),
  );
  expect([stepFor(100, 0), stepFor(101, 0), stepFor(95, 1), stepFor(89, 1), stepFor(5000, 0)]).toEqual([0, 1, 1, 0, 4]);
});
