import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicationController } from '../../api/kinds/replication-controller.ts';
import { ResourceQuota } from '../../api/kinds/resource-quota.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  c = await startControllers();
  await c.runPods();
});
afterAll(() => c.stop());

const make = (name: string, replicas: number, namespace = 'default') =>
  c.client.create(ReplicationController, {
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { app: name },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  });

describe('a replication controller', () => {
  test('keeps its pods, grows and shrinks, and takes them with it', async () => {
    await make('rc', 2);
    const ref = { namespace: 'default', name: 'rc' };
    await eventually(async () =>
      expect((await c.client.get(ReplicationController, ref)).status).toMatchObject({ replicas: 2, readyReplicas: 2 }),
    );
    await c.client.patch(ReplicationController, ref, { spec: { replicas: 1 } });
    await eventually(async () => expect(await c.podsOf('rc')).toHaveLength(1));
    await c.client.delete(ReplicationController, ref, { propagationPolicy: 'Foreground' });
    await eventually(async () => {
      expect(isNotFound(await c.client.get(ReplicationController, ref).catch((e: unknown) => e))).toBe(true);
      expect(await c.podsOf('rc')).toHaveLength(0);
    });
  });

  test('adopts matching pods and lets go of those that match no longer', async () => {
    const stray = await c.client.create(Pod, {
      metadata: { name: 'stray', namespace: 'default', labels: { app: 'adopts' } },
      spec: { containers: [{ name: 'c', image: 'x' }] },
    });
    const { metadata } = await make('adopts', 1);
    const owners = async () =>
      (await c.client.get(Pod, stray.metadata)).metadata.ownerReferences?.map(({ uid }) => uid) ?? [];
    await eventually(async () => expect(await owners()).toEqual([metadata.uid]));
    await c.client.patch(Pod, stray.metadata, { metadata: { labels: { app: 'other' } } });
    await eventually(async () => {
      expect(await owners()).toEqual([]);
      expect(await c.podsOf('adopts')).toHaveLength(1);
    });
  });

  test('says so when a quota is in its way, and no longer when it fits', async () => {
    const namespace = 'default';
    await c.client.create(ResourceQuota, { metadata: { name: 'few', namespace }, spec: { hard: { pods: '3' } } });
    await eventually(async () =>
      expect((await c.client.get(ResourceQuota, { namespace, name: 'few' })).status?.hard).toBeDefined(),
    );
    await make('many', 20);
    const failure = async () =>
      (await c.client.get(ReplicationController, { namespace, name: 'many' })).status?.conditions?.find(
        ({ type }) => type === 'ReplicaFailure',
      );
    await eventually(async () => {
      const condition = await failure();
      expect(condition?.reason).toBe('FailedCreate');
      expect(condition?.message).toContain('exceeded quota');
    });
    await c.client.patch(ReplicationController, { namespace, name: 'many' }, { spec: { replicas: 1 } });
    await eventually(async () => expect(await failure()).toBeUndefined());
  });
});
