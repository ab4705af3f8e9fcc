import { describe, expect, test } from '@jest/globals';
import type { CSIStorageCapacity } from '../../api/kinds/csi-storage-capacity.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod, Volume } from '../../api/kinds/pod.ts';
import type { StorageClass } from '../../api/kinds/storage-class.ts';
import type { NodeView } from '../../scheduler/index.ts';
import type { Plugin, Storage } from '../../scheduler/plugin.ts';
import { nodeVolumeLimits } from '../../scheduler/plugins/node-volume-limits.ts';
import { volumeBinding } from '../../scheduler/plugins/volume-binding.ts';
import { volumeRestrictions } from '../../scheduler/plugins/volume-restrictions.ts';
import { volumeZone } from '../../scheduler/plugins/volume-zone.ts';
import { makeNode, makePod, small } from './builders.ts';

const zone = 'topology.kubernetes.io/zone';
const claim = (name: string, spec: Partial<PersistentVolumeClaim['spec']> = {}): PersistentVolumeClaim => ({
  metadata: { name, namespace: 'default', uid: `c-${name}` },
  spec: {
    storageClassName: 'late',
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: '1Gi' } },
    ...spec,
  },
  status: { phase: spec.volumeName ? 'Bound' : 'Pending' },
});
const volume = (
  name: string,
  spec: Partial<PersistentVolume['spec']> = {},
  labels: Record<string, string> = {},
): PersistentVolume => ({
  metadata: { name, labels },
  spec: { capacity: { storage: '2Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'late', ...spec },
  status: { phase: 'Available' },
});
const only = (value: string): Partial<PersistentVolume['spec']> => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: zone, operator: 'In', values: [value] }] }] },
  },
});
const late = (provisioner: string, more: Partial<StorageClass> = {}): StorageClass => ({
  metadata: { name: 'late' },
  provisioner,
  volumeBindingMode: 'WaitForFirstConsumer',
  ...more,
});

interface Stock {
  claims?: PersistentVolumeClaim[];
  volumes?: PersistentVolume[];
  storageClass?: StorageClass;
  limits?: Record<string, number>;
  capacities?: CSIStorageCapacity[];
}
const storageOf = ({ claims = [], volumes = [], storageClass, limits = {}, capacities }: Stock): Storage => ({
  claim: (_namespace, name) => claims.find(({ metadata }) => metadata.name === name),
  volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
  volumes: () => volumes,
  storageClass: () => storageClass,
  capacities: () => capacities,
  attachLimits: () => new Map(Object.entries(limits)),
});

const mounting = (...names: string[]) =>
  makePod('p', { volumes: names.map((claimName, i) => ({ name: `v${i}`, persistentVolumeClaim: { claimName } })) });
const nodes = [makeNode('a', { labels: { [zone]: 'x' } }), makeNode('b', { labels: { [zone]: 'y' } })];

function reasons(plugin: Plugin, pod: Pod, stock: Stock, views: NodeView[] = nodes): (string | undefined)[] {
  const world = { namespaceLabels: () => ({}), storage: storageOf(stock) };
  const check = plugin.filter!({ pod, needs: small, nodes: views, world });
  return views.map((node) => check?.(node));
}

describe('VolumeBinding', () => {
  const conflict = 'node(s) had volume node affinity conflict';
  const none = "node(s) didn't find available persistent volumes to bind";
  const immediate = 'pod has unbound immediate PersistentVolumeClaims';
  test.each<[string, Stock, (string | undefined)[]]>([
    ['a claim that is not there', {}, Array(2).fill('persistentvolumeclaim "c" not found')],
    [
      'a bound volume that one node reaches',
      { claims: [claim('c', { volumeName: 'v' })], volumes: [volume('v', only('x'))] },
      [undefined, conflict],
    ],
    [
      'a claim that somebody should have bound before',
      { claims: [claim('c')], storageClass: late('x', { volumeBindingMode: 'Immediate' }) },
      [immediate, immediate],
    ],
    [
      'a waiting claim and a free volume near one node',
      { claims: [claim('c')], volumes: [volume('v', only('y'))], storageClass: late('kubernetes.io/no-provisioner') },
      [none, undefined],
    ],
    [
      'a waiting claim and a volume too small',
      {
        claims: [claim('c')],
        volumes: [volume('v', { capacity: { storage: '1Mi' } })],
        storageClass: late('kubernetes.io/no-provisioner'),
      },
      [none, none],
    ],
    [
      'a waiting claim and a volume that is meant for another',
      {
        claims: [claim('c')],
        volumes: [volume('v', { claimRef: { name: 'other', namespace: 'default' } })],
        storageClass: late('kubernetes.io/no-provisioner'),
      },
      [none, none],
    ],
    [
      'a waiting claim and a provisioner',
      { claims: [claim('c')], storageClass: late('disks') },
      [undefined, undefined],
    ],
    [
      'a provisioner for some zones',
      {
        claims: [claim('c')],
        storageClass: late('disks', { allowedTopologies: [{ matchLabelExpressions: [{ key: zone, values: ['y'] }] }] }),
      },
      [none, undefined],
    ],
  ])('%s', (_words, stock, expected) => {
    expect(reasons(volumeBinding, mounting('c'), stock)).toEqual(expected);
  });

  const local = late('kubernetes.io/no-provisioner');
  const selected = (node: string): PersistentVolumeClaim => {
    const one = claim('c');
    return { ...one, metadata: { ...one.metadata, annotations: { 'volume.kubernetes.io/selected-node': node } } };
  };
  test.each<[string, Stock, string[], (string | undefined)[]]>([
    [
      'a volume that another pod will have',
      { claims: [claim('c'), claim('d')], volumes: [volume('v', only('x'))], storageClass: local },
      ['d'],
      [none, none],
    ],
    [
      'a volume that another pod leaves',
      { claims: [claim('c'), claim('d')], volumes: [volume('v'), volume('w', only('y'))], storageClass: local },
      ['d'],
      [none, undefined],
    ],
    [
      'a volume that is bound to the claim of another pod, and does not say so yet',
      { claims: [claim('c'), claim('d', { volumeName: 'v' })], volumes: [volume('v')], storageClass: local },
      ['d'],
      [none, none],
    ],
    [
      'a claim that another pod brings with it, and a volume of one node',
      { claims: [claim('c')], volumes: [volume('v', only('x')), volume('w', only('y'))], storageClass: local },
      ['c'],
      [undefined, none],
    ],
    [
      'a claim that another pod brings with it, and a volume of all nodes',
      { claims: [claim('c')], volumes: [volume('v')], storageClass: local },
      ['c'],
      [undefined, undefined],
    ],
    [
      'a claim of another pod for which a volume will be made',
      { claims: [claim('c')], storageClass: late('disks') },
      ['c'],
      [undefined, none],
    ],
    [
      'a claim for which one is being made elsewhere',
      { claims: [selected('b')], storageClass: late('disks') },
      [],
      [none, undefined],
    ],
    [
      'a volume that is meant for the claim, rather than a smaller one',
      {
        claims: [claim('c')],
        volumes: [volume('v'), volume('w', { ...only('y'), claimRef: { name: 'c', namespace: 'default' } })],
        storageClass: local,
      },
      [],
      [none, undefined],
    ],
  ])('%s', (_words, stock, elsewhere, expected) => {
    const busy = elsewhere.map((name) => makePod(`has-${name}`, mounting(name).spec));
    const views = [makeNode('a', { labels: { [zone]: 'x' }, pods: busy }), nodes[1]!];
    expect(reasons(volumeBinding, mounting('c'), stock, views)).toEqual(expected);
  });

  const room = (capacity: string, more: Partial<CSIStorageCapacity> = {}): CSIStorageCapacity => ({
    metadata: { name: 'room', namespace: 'disks' },
    storageClassName: 'late',
    nodeTopology: { matchLabels: { [zone]: 'x' } },
    capacity,
    ...more,
  });
  const full = 'node(s) did not have enough free storage';
  test.each<[string, CSIStorageCapacity[] | undefined, (string | undefined)[]]>([
    ['a driver that does not tell', undefined, [undefined, undefined]],
    ['none that was told', [], [full, full]],
    ['enough near one node', [room('1Gi')], [undefined, full]],
    ['enough near one, too little near the other', [room('5Gi'), room('1Mi', { nodeTopology: {} })], [undefined, full]],
    ['enough everywhere', [room('1Gi', { nodeTopology: {} })], [undefined, undefined]],
    ['enough in sum, but not for one volume', [room('5Gi', { maximumVolumeSize: '1Mi' })], [full, full]],
    [
      'enough of nodes that nobody names',
      [{ metadata: { name: 'room' }, storageClassName: 'late', capacity: '5Gi' }],
      [full, full],
    ],
  ])('a waiting claim, a provisioner and room: %s', (_words, capacities, expected) => {
    const stock = { claims: [claim('c')], storageClass: late('disks'), ...(capacities ? { capacities } : {}) };
    expect(reasons(volumeBinding, mounting('c'), stock)).toEqual(expected);
  });

  test('gives one volume to one claim only', () => {
    const stock = { claims: [claim('c'), claim('d')], storageClass: late('kubernetes.io/no-provisioner') };
    expect(reasons(volumeBinding, mounting('c', 'd'), { ...stock, volumes: [volume('v')] })[0]).toBe(none);
    expect(reasons(volumeBinding, mounting('c', 'd'), { ...stock, volumes: [volume('v'), volume('w')] })[0]).toBe(
      undefined,
    );
  });
});

test('VolumeZone keeps a pod where its volume is; nodes without zones are everywhere', () => {
  const stock = { claims: [claim('c', { volumeName: 'v' })], volumes: [volume('v', {}, { [zone]: 'y__z' })] };
  expect(reasons(volumeZone, mounting('c'), stock, [...nodes, makeNode('c')])).toEqual([
    'node(s) had no available volume zone',
    undefined,
    undefined,
  ]);
});

describe('VolumeRestrictions', () => {
  const disk = (source: string, more: object): Volume => ({ name: 'd', [source]: more });
  test.each<[string, Volume, Volume, boolean]>([
    ['one GCE disk', disk('gcePersistentDisk', { pdName: 'x' }), disk('gcePersistentDisk', { pdName: 'x' }), false],
    ['two GCE disks', disk('gcePersistentDisk', { pdName: 'x' }), disk('gcePersistentDisk', { pdName: 'y' }), true],
    [
      'one GCE disk that both read',
      disk('gcePersistentDisk', { pdName: 'x', readOnly: true }),
      disk('gcePersistentDisk', { pdName: 'x', readOnly: true }),
      true,
    ],
    [
      'one AWS volume that both read',
      disk('awsElasticBlockStore', { volumeID: 'x', readOnly: true }),
      disk('awsElasticBlockStore', { volumeID: 'x', readOnly: true }),
      false,
    ],
    ['one iSCSI target', disk('iscsi', { iqn: 'i', lun: 0 }), disk('iscsi', { iqn: 'i', lun: 1 }), false],
    [
      'one RBD image',
      disk('rbd', { monitors: ['a', 'b'], image: 'i' }),
      disk('rbd', { monitors: ['b'], image: 'i' }),
      false,
    ],
  ])('%s', (_words, mine, theirs, isAllowed) => {
    const node = makeNode('a', { pods: [makePod('other', { volumes: [theirs] })] });
    const [reason] = reasons(volumeRestrictions, makePod('p', { volumes: [mine] }), {}, [node]);
    expect(reason).toBe(isAllowed ? undefined : 'node(s) had no available disk');
  });

  test('lets only one pod use a claim that is for one pod', () => {
    const stock = { claims: [claim('c', { accessModes: ['ReadWriteOncePod'] })] };
    const busy = [...nodes, makeNode('c', { pods: [mounting('c')] })];
    expect(reasons(volumeRestrictions, mounting('c'), stock, nodes)).toEqual([undefined, undefined]);
    expect(new Set(reasons(volumeRestrictions, mounting('c'), stock, busy)).size).toBe(1);
    expect(reasons(volumeRestrictions, mounting('c'), stock, busy)[0]).toContain('ReadWriteOncePod');
  });
});

test('NodeVolumeLimits counts the volumes of a driver once each, those of the pod with them', () => {
  const csi = (volumeHandle: string) => ({ csi: { driver: 'disks', volumeHandle } });
  const stock = {
    claims: ['c', 'd', 'e'].map((name) => claim(name, { volumeName: `v-${name}` })),
    volumes: ['c', 'd', 'e'].map((name) => volume(`v-${name}`, csi(name))),
    limits: { disks: 2 },
  };
  const node = [makeNode('a', { pods: [mounting('c')] })];
  expect(reasons(nodeVolumeLimits, mounting('c', 'd'), stock, node)).toEqual([undefined]);
  expect(reasons(nodeVolumeLimits, mounting('d', 'e'), stock, node)).toEqual(['node(s) exceed max volume count']);
  expect(reasons(nodeVolumeLimits, mounting('d', 'e'), { ...stock, limits: {} }, node)).toEqual([undefined]);
});
