import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { kind } from '../../api/kind.ts';
import { ClusterRole } from '../../api/kinds/cluster-role.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import { Event } from '../../api/kinds/event.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import type { KubeObject } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());

const Widget = kind<KubeObject>({
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
});
const gone = async (object: Promise<unknown>) => isNotFound(await object.catch((e: unknown) => e));

test('custom resources own and are owned, and go with their namespace', async () => {
  const schema = { openAPIV3Schema: { type: 'object' } };
  await c.client.create(CustomResourceDefinition, {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { kind: 'Widget', plural: 'widgets' },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  } as CustomResourceDefinition);
  await c.client.create(Namespace, { metadata: { name: 'room' } });
  const namespace = 'room';
  const make = (name: string, owner?: { name: string; uid: string }) => {
    const ownerReferences = owner
      ? [{ apiVersion: 'example.com/v1', kind: 'Widget', name: owner.name, uid: owner.uid }]
      : [];
    return c.client.create(Widget, { metadata: { name, namespace, ownerReferences } });
  };
  const top = await eventually(() => make('top'));
  const middle = await make('middle', top.metadata);
  const { name, uid } = middle.metadata;
  const ownerReferences = [{ apiVersion: 'example.com/v1', kind: 'Widget', name, uid }];
  await c.client.create(ConfigMap, { metadata: { name: 'bottom', namespace, ownerReferences } });
  const other = await make('other');
  await c.client.delete(Widget, top.metadata);
  await eventually(async () => {
    expect(await gone(c.client.get(Widget, middle.metadata))).toBe(true);
    expect(await gone(c.client.get(ConfigMap, { namespace, name: 'bottom' }))).toBe(true);
  });
  expect((await c.client.get(Widget, other.metadata)).metadata.uid).toBe(other.metadata.uid);

  await c.client.delete(Namespace, { name: namespace });
  await eventually(async () => expect(await gone(c.client.get(Namespace, { name: namespace }))).toBe(true));
  expect(await gone(c.client.get(Widget, other.metadata))).toBe(true);
});

test('objects that own each other in a circle all go, none waits for another for ever', async () => {
  const namespace = 'default';
  const made = await Promise.all(
    ['c1', 'c2', 'c3'].map((name) => c.client.create(ConfigMap, { metadata: { name, namespace } })),
  );
  for (const [i, { metadata }] of made.entries()) {
    const { name, uid } = made[(i + 2) % 3]!.metadata;
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name, uid, controller: true, blockOwnerDeletion: true };
    await c.client.patch(ConfigMap, metadata, { metadata: { ownerReferences: [owner] } });
  }
  await c.client.delete(ConfigMap, made[0]!.metadata, { propagationPolicy: 'Foreground' });
  for (const { metadata } of made)
    await eventually(async () => expect(await gone(c.client.get(ConfigMap, metadata))).toBe(true));
});

test('an owner in another namespace counts as gone; a cluster-wide object that names one in a namespace stays, with a warning', async () => {
  for (const name of ['here', 'there']) await c.client.create(Namespace, { metadata: { name } });
  const { metadata: owner } = await c.client.create(ConfigMap, { metadata: { name: 'owner', namespace: 'here' } });
  const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.uid, blockOwnerDeletion: true };
  const ownerReferences = [reference];
  const { metadata: role } = await c.client.create(ClusterRole, {
    metadata: { name: 'wide', ownerReferences },
    rules: [],
  });
  await c.client.create(ConfigMap, { metadata: { name: 'near', namespace: 'here', ownerReferences } });
  await c.client.create(ConfigMap, { metadata: { name: 'far', namespace: 'there', ownerReferences } });
  await eventually(async () =>
    expect(await gone(c.client.get(ConfigMap, { namespace: 'there', name: 'far' }))).toBe(true),
  );
  await eventually(async () => {
    const { items } = await c.client.list(Event, { fieldSelector: `involvedObject.uid=${role.uid}` });
    expect(items.map(({ type, reason }) => [type, reason])).toEqual([['Warning', 'OwnerRefInvalidNamespace']]);
  });
  // Whom it cannot own holds nobody up.
  await c.client.delete(ConfigMap, owner, { propagationPolicy: 'Foreground' });
  for (const name of ['near', 'owner'])
    await eventually(async () => expect(await gone(c.client.get(ConfigMap, { namespace: 'here', name }))).toBe(true));
  await c.client.patch(ClusterRole, role, { metadata: { labels: { looked: 'at' } } });
  expect((await c.client.get(ClusterRole, role)).metadata.uid).toBe(role.uid);
});
