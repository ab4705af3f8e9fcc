import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ControllerRevision } from '../../api/kinds/controller-revision.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import type { Stored } from '../../api/meta.ts';
import { claimOwners, planPods } from '../../controllers/common/stateful-pods.ts';
import { eventually } from '../eventually.ts';
import { running, startControllers } from './harness.ts';

type Letter = 'r' | 'p' | 'f' | 't' | 'R' | 'P' | '.';

/** `rrP`: ordinals in order; r ready, p pending, f failed, t terminating; capitals have the new template; . is absent. */
const podsOf = (letters: string, start = 0): (Pod & Stored)[] =>
  ([...letters] as Letter[]).flatMap((letter, i) => {
    if (letter === '.') return [];
    const name = `web-${start + i}`;
    const kind = letter.toLowerCase();
    const revision = kind === letter ? 'old' : 'new';
    return {
      metadata: {
        name,
        uid: name,
        resourceVersion: '1',
        labels: { 'controller-revision-hash': revision },
        ...(kind === 't' ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
      },
      spec: { containers: [] },
      status: kind === 'r' ? running() : { phase: kind === 'f' ? ('Failed' as const) : ('Pending' as const) },
    };
  });

const setOf = (replicas: number, spec: Partial<StatefulSet['spec']> = {}): StatefulSet => ({
  metadata: { name: 'web' },
  spec: { replicas, selector: {}, template: { spec: { containers: [] } }, ...spec },
});
const rolling = (partition: number, maxUnavailable?: number | string) => ({
  updateStrategy: {
    type: 'RollingUpdate' as const,
    rollingUpdate: { partition, ...(maxUnavailable === undefined ? {} : { maxUnavailable }) },
  },
});
const parallel = { podManagementPolicy: 'Parallel' as const };

describe('the next step of a set', () => {
  test.each([
    // what, set, pods, same revision?, ordinals made, pods deleted
    ['makes the lowest missing pod', setOf(3), '', true, ['0'], []],
    ['waits until it is ready', setOf(3), 'p', true, [], []],
    ['goes on then', setOf(3), 'r', true, ['1'], []],
    ['fills a gap first', setOf(3), 'r.r', true, ['1'], []],
    ['deletes a failed pod, to make it again', setOf(3), 'rfr', true, [], ['web-1']],
    ['waits for one that is going', setOf(3), 'rtr', true, [], []],
    ['shrinks from the top', setOf(1), 'rrr', true, [], ['web-2']],
    ['shrinks nothing while a lower pod is not well', setOf(1), 'prr', true, [], []],
    ['lets the one that is not well go', setOf(1), 'rrp', true, [], ['web-2']],
    ['waits for a lower one that is not well', setOf(1), 'rpp', true, [], []],
    ['makes and deletes all at once in parallel', setOf(3, parallel), 'r..rr', true, ['1', '2'], ['web-4', 'web-3']],
    ['starts where it is told', setOf(2, { ordinals: { start: 5 } }), '', true, ['5'], []],
    ['moves to another start', setOf(2, { ordinals: { start: 1 } }), 'rrr', true, [], ['web-0']],
    ['replaces the highest outdated pod', setOf(3, rolling(0)), 'rrr', false, [], ['web-2']],
    ['waits for the new one', setOf(3, rolling(0)), 'rrP', false, [], []],
    ['then takes the next', setOf(3, rolling(0)), 'rrR', false, [], ['web-1']],
    ['stops at the partition', setOf(3, rolling(2)), 'rrR', false, [], []],
    ['makes pods below the partition from the old template', setOf(3, rolling(2)), 'r.R', false, ['1 old'], []],
    ['and those above from the new', setOf(3, rolling(2)), 'rr.', false, ['2'], []],
    ['replaces several where several may be missing', setOf(4, rolling(0, 2)), 'rrrr', false, [], ['web-3', 'web-2']],
    ['counts what is missing already', setOf(4, { ...rolling(0, 2), ...parallel }), 'rrrP', false, [], ['web-2']],
    ['takes a share as a number', setOf(4, rolling(0, '50%')), 'rrrr', false, [], ['web-3', 'web-2']],
    [
      'replaces nothing by itself with OnDelete',
      setOf(2, { updateStrategy: { type: 'OnDelete' } }),
      'rr',
      false,
      [],
      [],
    ],
    ['but makes new pods new', setOf(2, { updateStrategy: { type: 'OnDelete' } }), 'r.', false, ['1'], []],
  ] as const)('%s', (_what, set, letters, same, made, deleted) => {
    const plan = planPods(set, podsOf(letters), { current: 'old', update: same ? 'old' : 'new' }, Date.now());
    expect(plan.create.map(({ ordinal, revision }) => `${ordinal}${revision === 'current' ? ' old' : ''}`)).toEqual(
      made,
    );
    expect(plan.remove.map(({ metadata }) => metadata.name)).toEqual(deleted);
  });
});

test.each([
  ['Retain', 'Retain', false, []],
  ['Delete', 'Retain', true, ['set']],
  ['Retain', 'Delete', false, []],
  ['Retain', 'Delete', true, ['pod']],
  ['Delete', 'Delete', false, ['set']],
  ['Delete', 'Delete', true, ['pod']],
] as const)(
  'a claim (whenDeleted %s, whenScaled %s, too many: %s) belongs to %j',
  (whenDeleted, whenScaled, surplus, to) => {
    const reference = (uid: string) => ({ apiVersion: 'v1', kind: 'X', name: uid, uid });
    const set = setOf(1, { persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } });
    const references = { set: reference('set'), pod: reference('pod') };
    const before = [reference('other'), reference('pod')];
    expect(claimOwners(set, before, references, surplus).map(({ uid }) => uid)).toEqual(['other', ...to]);
  },
);

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers();
    await c.runPods();
  });
  afterAll(() => c.stop());

  const namespace = 'default';
  const make = (name: string, spec: Partial<StatefulSet['spec']> = {}) =>
    c.client.create(StatefulSet, {
      metadata: { name, namespace },
      spec: {
        replicas: 2,
        serviceName: 'db',
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'x:1' }] } },
        ...spec,
      },
    });
  const status = async (name: string) => (await c.client.get(StatefulSet, { namespace, name })).status;
  const imagesOf = async (app: string) =>
    Object.fromEntries((await c.podsOf(app)).map(({ metadata, spec }) => [metadata.name, spec.containers[0]!.image]));

  test('a set has pods with names, claims, and a history to go back to', async () => {
    await make('db', {
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
      persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete' },
    });
    await eventually(async () => expect(await status('db')).toMatchObject({ readyReplicas: 2, currentReplicas: 2 }));
    const pod = await c.client.get(Pod, { namespace, name: 'db-1' });
    expect(pod.spec).toMatchObject({ hostname: 'db-1', subdomain: 'db' });
    expect(pod.metadata.labels).toMatchObject({
      'statefulset.kubernetes.io/pod-name': 'db-1',
      'apps.kubernetes.io/pod-index': '1',
    });
    expect(pod.spec.volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } });
    const claims = async () =>
      (await c.client.list(PersistentVolumeClaim, { namespace })).items.map(({ metadata }) => metadata.name);
    expect(await claims()).toEqual(['data-db-0', 'data-db-1']);

    const first = (await status('db'))?.updateRevision;
    const image = (name: string) => ({ spec: { template: { spec: { containers: [{ name: 'c', image: name }] } } } });
    await c.client.patch(StatefulSet, { namespace, name: 'db' }, image('x:2'));
    await eventually(async () => expect(await imagesOf('db')).toEqual({ 'db-0': 'x:2', 'db-1': 'x:2' }));
    await eventually(async () => expect((await status('db'))?.currentRevision).not.toBe(first));
    await c.client.patch(StatefulSet, { namespace, name: 'db' }, image('x:1'));
    await eventually(async () =>
      expect(await status('db')).toMatchObject({ currentRevision: first, updatedReplicas: 2 }),
    );
    const { items } = await c.client.list(ControllerRevision, { namespace });
    expect(items.map(({ revision }) => revision).sort()).toEqual([2, 3]);

    await c.client.patch(StatefulSet, { namespace, name: 'db' }, { spec: { replicas: 1 } });
    await eventually(async () => expect(await claims()).toEqual(['data-db-0']));
  });

  test('scaled down while a pod is being replaced, a set lets go of its claim; scaled up again in time, it keeps it', async () => {
    const spec = { accessModes: ['ReadWriteOnce' as const], resources: { requests: { storage: '1Gi' } } };
    const names = ['gives', 'keeps'];
    const claimOf = (name: string) => ({ namespace, name: `data-${name}-1` });
    const uids = new Map<string, string>();
    for (const name of names) {
      await make(name, {
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec }],
        persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete' },
      });
      await eventually(async () => expect((await status(name))?.readyReplicas).toBe(2));
      uids.set(name, (await c.client.get(PersistentVolumeClaim, claimOf(name))).metadata.uid);
      // Its kubelet has not let it go yet.
      await c.client.patch(Pod, { namespace, name: `${name}-1` }, { metadata: { finalizers: ['example.com/hold'] } });
      await c.client.delete(Pod, { namespace, name: `${name}-1` });
      await c.client.patch(StatefulSet, { namespace, name }, { spec: { replicas: 1 } });
      await eventually(async () => {
        const { metadata } = await c.client.get(PersistentVolumeClaim, claimOf(name));
        expect(metadata.ownerReferences?.map(({ kind }) => kind)).toEqual(['Pod']);
      });
    }
    await c.client.patch(StatefulSet, { namespace, name: 'keeps' }, { spec: { replicas: 2 } });
    await eventually(async () =>
      expect((await c.client.get(PersistentVolumeClaim, claimOf('keeps'))).metadata.ownerReferences ?? []).toEqual([]),
    );
    for (const name of names)
      await c.client.patch(Pod, { namespace, name: `${name}-1` }, { metadata: { finalizers: null } });
    await eventually(async () => {
      const { items } = await c.client.list(PersistentVolumeClaim, { namespace });
      const own = items.filter(({ metadata }) => names.some((name) => metadata.name === `data-${name}-1`));
      expect(own.map(({ metadata }) => metadata.uid)).toEqual([uids.get('keeps')]);
      expect((await status('keeps'))?.readyReplicas).toBe(2);
    });
  });

  test('a canary stays above the partition, and an update goes through when the partition falls', async () => {
    await make('canary', { replicas: 3, podManagementPolicy: 'Parallel', ...rolling(2) });
    await eventually(async () => expect((await status('canary'))?.readyReplicas).toBe(3));
    await c.client.patch(
      StatefulSet,
      { namespace, name: 'canary' },
      { spec: { template: { spec: { containers: [{ name: 'c', image: 'x:2' }] } } } },
    );
    await eventually(async () =>
      expect(await status('canary')).toMatchObject({ updatedReplicas: 1, readyReplicas: 3 }),
    );
    expect(await imagesOf('canary')).toEqual({ 'canary-0': 'x:1', 'canary-1': 'x:1', 'canary-2': 'x:2' });
    await c.client.patch(StatefulSet, { namespace, name: 'canary' }, { spec: rolling(0) });
    await eventually(async () =>
      expect(await imagesOf('canary')).toEqual({ 'canary-0': 'x:2', 'canary-1': 'x:2', 'canary-2': 'x:2' }),
    );
  });

  test('an evicted pod is made again under its name', async () => {
    await make('again', { replicas: 1 });
    await eventually(async () => expect((await status('again'))?.readyReplicas).toBe(1));
    const { metadata } = await c.client.get(Pod, { namespace, name: 'again-0' });
    await c.client.patch(Pod, metadata, { status: { phase: 'Failed', reason: 'Evicted' } }, { subresource: 'status' });
    await eventually(async () => {
      const pod = await c.client.get(Pod, { namespace, name: 'again-0' });
      expect(pod.metadata.uid).not.toBe(metadata.uid);
      expect((await status('again'))?.readyReplicas).toBe(1);
    });
  });

  test('a pod gets back the labels of its identity, and one that waits a claim that was deleted', async () => {
    const w = await startControllers({ controllers: ['stateful-set'] });
    const spec = { accessModes: ['ReadWriteOnce' as const], resources: { requests: { storage: '1Gi' } } };
    await w.client.create(StatefulSet, {
      metadata: { name: 'kept', namespace },
      spec: {
        replicas: 1,
        serviceName: 'kept',
        selector: { matchLabels: { app: 'kept' } },
        template: { metadata: { labels: { app: 'kept' } }, spec: { containers: [{ name: 'c', image: 'x:1' }] } },
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec }],
      },
    });
    const labels = { 'statefulset.kubernetes.io/pod-name': null, 'apps.kubernetes.io/pod-index': '7' };
    const ref = { namespace, name: 'kept-0' };
    await eventually(() => w.client.get(Pod, ref));
    await w.client.patch(Pod, ref, { metadata: { labels } });
    await eventually(async () =>
      expect((await w.client.get(Pod, ref)).metadata.labels).toMatchObject({
        'statefulset.kubernetes.io/pod-name': 'kept-0',
        'apps.kubernetes.io/pod-index': '0',
      }),
    );
    const data = { namespace, name: 'data-kept-0' };
    const { metadata } = await w.client.get(PersistentVolumeClaim, data);
    await w.client.patch(PersistentVolumeClaim, data, { metadata: { finalizers: null } });
    await w.client.delete(PersistentVolumeClaim, data);
    await eventually(async () =>
      expect((await w.client.get(PersistentVolumeClaim, data)).metadata.uid).not.toBe(metadata.uid),
    );
    await w.stop();
  });

  test('the scale subresource resizes it', async () => {
    await make('scaled', { replicas: 1 });
    const path = `/apis/apps/v1/namespaces/${namespace}/statefulsets/scaled/scale`;
    const scale = await c.client.raw<{ spec: { replicas: number } }>('GET', path);
    await c.client.raw('PUT', path, { ...scale, spec: { replicas: 3 } });
    await eventually(async () => expect((await status('scaled'))?.readyReplicas).toBe(3));
  });
});
