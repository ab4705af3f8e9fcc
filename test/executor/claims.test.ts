import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod, Volume } from '../../api/kinds/pod.ts';
import { containerMounts, prepareVolumes } from '../../executor/volumes.ts';
import type { VolumeFacts } from '../../executor/volumes/volume.ts';

const directory = mkdtempSync('/dev/shm/km-claims-');
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const data = join(directory, 'data');
mkdirSync(data);

const claim = (more: Partial<PersistentVolumeClaim> = {}): PersistentVolumeClaim => ({
  metadata: { name: 'c', uid: 'claim-1' },
  spec: { accessModes: ['ReadWriteOnce'], volumeName: 'v' } as PersistentVolumeClaim['spec'],
  status: { phase: 'Bound' },
  ...more,
});
const volume = (spec: Partial<PersistentVolume['spec']>): PersistentVolume => ({
  metadata: { name: 'v' },
  spec: { claimRef: { namespace: 'default', name: 'c', uid: 'claim-1' }, ...spec },
});
const pod = (source: object, spec: object = {}): Pod => ({
  metadata: { name: 'p', namespace: 'default', uid: 'pod-1' },
  spec: { containers: [], volumes: [{ name: 'd', ...source } as Volume], ...spec } as Pod['spec'],
});
const byName = { persistentVolumeClaim: { claimName: 'c' } };

function prepare(given: Pod, found: PersistentVolumeClaim | undefined, bound: PersistentVolume | undefined) {
  return prepareVolumes(given, join(directory, 'pod'), factsOf(found, bound));
}

const factsOf = (found: PersistentVolumeClaim | undefined, bound: PersistentVolume | undefined): VolumeFacts =>
  ({
    claim: (name: string) => Promise.resolve(name === found?.metadata.name ? found : undefined),
    persistentVolume: () => Promise.resolve(bound),
  }) as Partial<VolumeFacts> as VolumeFacts;
const isRoot = process.getuid?.() === 0;

describe('a persistent volume claim', () => {
  test.each([
    ['hostPath', { hostPath: { path: data } }],
    ['local', { local: { path: data } }],
  ])('leads to a %s volume', async (_source, spec) => {
    expect((await prepare(pod(byName), claim(), volume(spec))).get('d')).toBe(data);
  });

  test('of a local volume gives it to the group of the pod', async () => {
    const own = process.getgid!();
    const grouped = pod(byName, { securityContext: { fsGroup: own } });
    await prepare(grouped, claim(), volume({ local: { path: data } }));
    expect([statSync(data).gid, statSync(data).mode & 0o2070]).toEqual([own, 0o2070]);
  });

  test('of a local volume gives all in it to the group of the pod, once, and follows no link', async () => {
    const group = isRoot ? 4242 : process.getgid!();
    const tree = join(directory, 'tree');
    const outside = join(directory, 'outside');
    mkdirSync(join(tree, 'a/b'), { recursive: true });
    writeFileSync(join(tree, 'a/b/file'), '', { mode: 0o600 });
    writeFileSync(outside, '', { mode: 0o600 });
    symlinkSync(outside, join(tree, 'a/link'));
    symlinkSync(directory, join(tree, 'a/up'));
    const grouped = (fsGroupChangePolicy: 'Always' | 'OnRootMismatch') =>
      pod(byName, { securityContext: { fsGroup: group, fsGroupChangePolicy } });
    const mode = (path: string) => [lstatSync(join(tree, path)).gid, lstatSync(join(tree, path)).mode & 0o7777];
    const give = async (policy: 'Always' | 'OnRootMismatch', life: string) => {
      const facts = factsOf(claim(), volume({ local: { path: tree } }));
      await prepareVolumes(grouped(policy), join(directory, life), facts);
    };
    await give('OnRootMismatch', 'life-1');
    expect(mode('a/b')).toEqual([group, 0o2775]);
    expect(mode('a/b/file')).toEqual([group, 0o660]);
    expect(mode('a/link')[0]).toBe(group);
    expect(statSync(outside)).toMatchObject({ gid: process.getgid!(), mode: 0o100600 });
    expect(statSync(directory).gid).toBe(process.getgid!());
    // Its top is given: the rest is taken for given too, unless it is to be looked at always.
    chmodSync(join(tree, 'a/b/file'), 0o600);
    await give('OnRootMismatch', 'life-2');
    await give('Always', 'life-1');
    expect(mode('a/b/file')[1]).toBe(0o600);
    await give('Always', 'life-3');
    expect(mode('a/b/file')[1]).toBe(0o660);
  });

  test('that is to be read only is, whatever the container says', async () => {
    const given = pod({ persistentVolumeClaim: { claimName: 'c', readOnly: true } });
    const paths = await prepare(given, claim(), volume({ local: { path: data } }));
    const container = { name: 'x', volumeMounts: [{ name: 'd', mountPath: '/d' }] };
    expect(await containerMounts(given, container, paths, new Map(), directory)).toEqual([
      { hostPath: data, containerPath: '/d', readOnly: true },
    ]);
  });

  test('made for the pod is found by its name, and only if it is the pod’s', async () => {
    const generic = pod({ ephemeral: { volumeClaimTemplate: { spec: {} } } });
    const made = claim();
    made.metadata.name = 'p-d';
    await expect(prepare(generic, made, volume({ local: { path: data } }))).rejects.toThrow('pod is not owner');
    made.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'pod-1' }];
    expect((await prepare(generic, made, volume({ local: { path: data } }))).get('d')).toBe(data);
  });

  test.each<[string, PersistentVolumeClaim | undefined, PersistentVolume | undefined]>([
    ['persistentvolumeclaim "c" not found', undefined, undefined],
    ['is not bound to a volume yet', claim({ status: { phase: 'Pending' } }), undefined],
    ['is not bound to persistentvolumeclaim "c"', claim(), undefined],
    ['is not bound to persistentvolumeclaim "c"', claim(), volume({ claimRef: { uid: 'another' } as never })],
    ['path "/nowhere/at/all" does not exist', claim(), volume({ local: { path: '/nowhere/at/all' } })],
    ['is no block device', claim(), volume({ local: { path: data }, volumeMode: 'Block' })],
    [
      'nfs volume, which has no block device',
      claim(),
      volume({ nfs: { server: 's', path: '/' }, volumeMode: 'Block' }),
    ],
    ['of a kind that this node cannot provide yet', claim(), volume({ iscsi: {} })],
  ])('that cannot be had says so: %s', async (words, found, bound) => {
    await expect(prepare(pod(byName), found, bound)).rejects.toThrow(words);
  });
});
