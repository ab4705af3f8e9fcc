import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Deployment } from '../../api/kinds/deployment.ts';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../../api/kinds/endpoints.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { Service } from '../../api/kinds/service.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { deployment, startControllers } from './harness.ts';

let world: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (world = await startControllers()));
afterAll(() => world.stop());

const ref = (name: string) => ({ namespace: 'default', name });
const setsOf = async (app: string) => (await world.client.list(ReplicaSet, { labelSelector: `app=${app}` })).items;

describe('a deployment', () => {
  test('makes as many pods as it says, and follows its replicas up and down', async () => {
    const { client, podsOf } = world;
    await client.create(Deployment, deployment('size', 5));
    await eventually(async () => expect(await podsOf('size')).toHaveLength(5));
    await client.patch(Deployment, ref('size'), { spec: { replicas: 2 } });
    await eventually(async () => expect(await podsOf('size')).toHaveLength(2));
    await client.patch(Deployment, ref('size'), { spec: { replicas: 4 } });
    await eventually(async () => expect(await podsOf('size')).toHaveLength(4));
    expect(await setsOf('size')).toHaveLength(1);
  });

  test('replaces pods that were deleted or have failed', async () => {
    const { client, podsOf } = world;
    await client.create(Deployment, deployment('heal', 3));
    const [first, second] = await eventually(async () => {
      const pods = await podsOf('heal');
      expect(pods).toHaveLength(3);
      return pods;
    });
    await client.delete(Pod, first!.metadata);
    await client.patch(Pod, second!.metadata, { status: { phase: 'Failed' } }, { subresource: 'status' });
    await eventually(async () => {
      const alive = (await podsOf('heal')).filter(({ status }) => status?.phase !== 'Failed');
      expect(alive).toHaveLength(3);
      expect(alive.map(({ metadata }) => metadata.uid)).not.toContain(first!.metadata.uid);
    });
  });

  test('rolls to a new template without going below what must be available, and is complete then', async () => {
    const { client, podsOf, setReady } = world;
    await client.create(Deployment, deployment('roll', 4));
    const readyAll = async () => {
      for (const pod of await podsOf('roll')) if (pod.status?.phase !== 'Running') await setReady(pod.metadata.name);
    };
    await eventually(async () => {
      await readyAll();
      expect((await client.get(Deployment, ref('roll'))).status?.availableReplicas).toBe(4);
    });
    await client.patch(Deployment, ref('roll'), {
      spec: { template: { spec: { containers: [{ name: 'c', image: 'busybox:2' }] } } },
    });
    let fewest = Infinity;
    let most = 0;
    await eventually(async () => {
      const pods = await podsOf('roll');
      most = Math.max(most, pods.length);
      fewest = Math.min(fewest, pods.filter(({ status }) => status?.phase === 'Running').length);
      await readyAll();
      const { status } = await client.get(Deployment, ref('roll'));
      expect(status).toMatchObject({ replicas: 4, updatedReplicas: 4, availableReplicas: 4, observedGeneration: 2 });
      expect(status?.conditions?.find(({ type }) => type === 'Progressing')?.reason).toBe('NewReplicaSetAvailable');
    }, 20_000);
    expect(fewest).toBeGreaterThanOrEqual(3);
    expect(most).toBeLessThanOrEqual(5);
    const sets = await setsOf('roll');
    expect(sets.map(({ spec }) => spec.replicas).sort()).toEqual([0, 4]);
    expect(
      (await client.get(Deployment, ref('roll'))).metadata.annotations?.['deployment.kubernetes.io/revision'],
    ).toBe('2');
  });

  test('goes back to an old template with the set it had', async () => {
    const { client } = world;
    await client.create(Deployment, deployment('undo', 1, 'busybox:1'));
    await eventually(async () => expect(await setsOf('undo')).toHaveLength(1));
    const image = (name: string) =>
      client.patch(Deployment, ref('undo'), {
        spec: { template: { spec: { containers: [{ name: 'c', image: name }] } } },
      });
    await image('busybox:2');
    await eventually(async () => expect(await setsOf('undo')).toHaveLength(2));
    await image('busybox:1');
    await eventually(async () => {
      const revisions = (await setsOf('undo'))
        .map(({ metadata }) => metadata.annotations?.['deployment.kubernetes.io/revision'])
        .sort();
      expect(revisions).toEqual(['2', '3']);
    });
  });

  test('with Recreate starts nothing new before the old is gone', async () => {
    const { client, podsOf } = world;
    await client.create(Deployment, deployment('anew', 2, 'busybox:1', { strategy: { type: 'Recreate' } }));
    await eventually(async () => expect(await podsOf('anew')).toHaveLength(2));
    await client.patch(Deployment, ref('anew'), {
      spec: { template: { spec: { containers: [{ name: 'c', image: 'busybox:2' }] } } },
    });
    await eventually(async () => {
      const images = (await podsOf('anew')).map(({ spec }) => spec.containers[0]!.image);
      expect(images).toEqual(['busybox:2', 'busybox:2']);
    });
  });

  test('that is paused changes nothing until it is resumed', async () => {
    const { client } = world;
    await client.create(Deployment, deployment('pause', 1));
    await eventually(async () => expect(await setsOf('pause')).toHaveLength(1));
    await client.patch(Deployment, ref('pause'), {
      spec: { paused: true, template: { spec: { containers: [{ name: 'c', image: 'busybox:9' }] } } },
    });
    await eventually(async () =>
      expect((await client.get(Deployment, ref('pause'))).status?.observedGeneration).toBe(2),
    );
    expect(await setsOf('pause')).toHaveLength(1);
    await client.patch(Deployment, ref('pause'), { spec: { paused: false } });
    await eventually(async () => expect(await setsOf('pause')).toHaveLength(2));
  });

  test('deleted in the background takes its sets and pods with it, orphaned it leaves them', async () => {
    const { client, podsOf } = world;
    for (const name of ['gone', 'kept']) {
      await client.create(Deployment, deployment(name, 2));
      await eventually(async () => expect(await podsOf(name)).toHaveLength(2));
    }
    await client.delete(Deployment, ref('gone'), { propagationPolicy: 'Background' });
    await client.delete(Deployment, ref('kept'), { propagationPolicy: 'Orphan' });
    await eventually(async () => {
      expect(await podsOf('gone')).toHaveLength(0);
      expect(await setsOf('gone')).toHaveLength(0);
      expect(isNotFound(await client.get(Deployment, ref('kept')).catch((e: unknown) => e))).toBe(true);
    });
    expect(await podsOf('kept')).toHaveLength(2);
    expect((await setsOf('kept'))[0]?.metadata.ownerReferences ?? []).toEqual([]);
  });

  test('deleted in the foreground is there until its dependents are gone', async () => {
    const { client, podsOf } = world;
    await client.create(Deployment, deployment('last', 2));
    await eventually(async () => expect(await podsOf('last')).toHaveLength(2));
    await client.delete(Deployment, ref('last'), { propagationPolicy: 'Foreground' });
    await eventually(async () => {
      expect(isNotFound(await client.get(Deployment, ref('last')).catch((e: unknown) => e))).toBe(true);
    });
    expect(await setsOf('last')).toHaveLength(0);
    expect(await podsOf('last')).toHaveLength(0);
  });
});

describe('a replica set', () => {
  test('adopts matching pods that nobody owns, and lets go of those that match no longer', async () => {
    const { client, podsOf } = world;
    const stray = await client.create(Pod, {
      metadata: { name: 'stray', namespace: 'default', labels: { app: 'adopt' } },
      spec: { containers: [{ name: 'c', image: 'x' }] },
    });
    const { spec, metadata } = deployment('adopt', 2);
    const set = await client.create(ReplicaSet, { metadata, spec });
    await eventually(async () =>
      expect((await podsOf('adopt')).map(({ metadata: m }) => m.ownerReferences?.[0]?.uid)).toEqual([
        set.metadata.uid,
        set.metadata.uid,
      ]),
    );
    await client.patch(Pod, stray.metadata, { metadata: { labels: { app: 'other' } } });
    await eventually(async () => {
      expect((await client.get(Pod, stray.metadata)).metadata.ownerReferences ?? []).toEqual([]);
      expect(await podsOf('adopt')).toHaveLength(2);
    });
  });
});

describe('a namespace', () => {
  test('has a default service account, and takes everything with it when it is deleted', async () => {
    const { client } = world;
    await client.create(Namespace, { metadata: { name: 'room' } });
    await eventually(() => client.get(ServiceAccount, { namespace: 'room', name: 'default' }));
    await client.create(ConfigMap, { metadata: { name: 'held', namespace: 'room', finalizers: ['example.com/hold'] } });
    await client.create(Deployment, { ...deployment('d', 2), metadata: { name: 'd', namespace: 'room' } });
    await client.delete(Namespace, { name: 'room' });
    await eventually(async () => {
      const { status } = await client.get(Namespace, { name: 'room' });
      expect(status?.phase).toBe('Terminating');
      expect(status?.conditions?.find(({ type }) => type === 'NamespaceFinalizersRemaining')?.message).toContain(
        'example.com/hold in 1',
      );
    });
    await client.patch(ConfigMap, { namespace: 'room', name: 'held' }, { metadata: { finalizers: null } });
    await eventually(async () =>
      expect(isNotFound(await client.get(Namespace, { name: 'room' }).catch((e: unknown) => e))).toBe(true),
    );
    expect((await client.list(Pod, { namespace: 'room' })).items).toEqual([]);
  });
});

describe('a service', () => {
  test('has the endpoints of its ready pods, in both forms', async () => {
    const { client, podsOf, setReady } = world;
    await client.create(Deployment, deployment('web', 2));
    await client.create(Service, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    });
    const pods = await eventually(async () => {
      const found = await podsOf('web');
      expect(found).toHaveLength(2);
      return found;
    });
    await setReady(pods[0]!.metadata.name, 'default', '10.1.0.1');
    await eventually(async () => {
      const { subsets } = await client.get(Endpoints, ref('web'));
      expect(subsets).toMatchObject([
        {
          addresses: [{ ip: '10.1.0.1', targetRef: { name: pods[0]!.metadata.name } }],
          ports: [{ name: 'http', port: 8080 }],
        },
      ]);
    });
    await setReady(pods[1]!.metadata.name, 'default', '10.1.0.2');
    await eventually(async () => {
      const { items } = await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=web' });
      expect(items).toHaveLength(1);
      expect(items[0]!.endpoints.map(({ addresses }) => addresses[0]).sort()).toEqual(['10.1.0.1', '10.1.0.2']);
      expect(items[0]!.ports).toMatchObject([{ name: 'http', port: 8080, protocol: 'TCP' }]);
    });
    await client.delete(Service, ref('web'));
    await eventually(async () => {
      expect(isNotFound(await client.get(Endpoints, ref('web')).catch((e: unknown) => e))).toBe(true);
      expect((await client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=web' })).items).toEqual([]);
    });
  });
});

test('an object whose owner never existed is collected; one whose owner is of an unknown kind is left alone', async () => {
  const { client } = world;
  const owned = (name: string, kind: string) => ({
    metadata: {
      name,
      namespace: 'default',
      ownerReferences: [{ apiVersion: 'v1', kind, name: 'nobody', uid: '00000000-0000-4000-8000-000000000000' }],
    },
  });
  await client.create(ConfigMap, owned('unknown-kind', 'Widget'));
  await client.create(ConfigMap, owned('no-owner', 'ConfigMap'));
  await eventually(async () =>
    expect(isNotFound(await client.get(ConfigMap, ref('no-owner')).catch((e: unknown) => e))).toBe(true),
  );
  expect((await client.get(ConfigMap, ref('unknown-kind'))).metadata.name).toBe('unknown-kind');
});

test('an object of two owners, one of them deleted in the foreground, stays with the other and holds nobody up', async () => {
  const { client } = world;
  const make = (name: string, more: object = {}) =>
    client.create(ConfigMap, { metadata: { name, namespace: 'default', ...more } });
  const [leaving, staying] = [await make('leaving'), await make('staying')];
  const ownedBy = ({ metadata: { name, uid } }: typeof leaving, blockOwnerDeletion: boolean) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: name!,
    uid: uid!,
    blockOwnerDeletion,
  });
  await make('shared', { ownerReferences: [ownedBy(leaving, true), ownedBy(staying, false)] });
  await client.delete(ConfigMap, ref('leaving'), { propagationPolicy: 'Foreground' });
  await eventually(async () =>
    expect(isNotFound(await client.get(ConfigMap, ref('leaving')).catch((e: unknown) => e))).toBe(true),
  );
  const { metadata } = await client.get(ConfigMap, ref('shared'));
  expect(metadata.ownerReferences?.map(({ name }) => name)).toEqual(['staying']);
});
