import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { isNotFound } from '../../api/status.ts';
import { deletionConditions } from '../../controllers/namespace.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (w = await startControllers({ controllers: ['namespace', 'stateful-set'] })));
afterAll(() => w.stop());

const ok = [
  'NamespaceDeletionDiscoveryFailure False All resources successfully discovered',
  'NamespaceDeletionGroupVersionParsingFailure False All legacy kube types successfully parsed',
];
const said = (conditions: ReturnType<typeof deletionConditions>) =>
  conditions.map(({ type, status, message }) => `${type} ${status} ${message}`);

test('a namespace that cannot be emptied says why in the words of Kubernetes', () => {
  const left = [
    { kind: { plural: 'pods', group: '' }, count: 2, finalizers: ['z/z', 'a/a'] },
    { kind: { plural: 'deployments', group: 'apps' }, count: 1, finalizers: ['z/z'] },
  ];
  expect(said(deletionConditions(left, [new Error('no'), new Error('never')]))).toEqual([
    ...ok,
    'NamespaceDeletionContentFailure True Failed to delete all resource types, 2 remaining: never, no',
    'NamespaceContentRemaining True Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances',
    'NamespaceFinalizersRemaining True Some content in the namespace has finalizers remaining: a/a in 1 resource instances, z/z in 2 resource instances',
  ]);
  expect(said(deletionConditions([], []))).toEqual([
    ...ok,
    'NamespaceDeletionContentFailure False All content successfully deleted, may be waiting on finalization',
    'NamespaceContentRemaining False All content successfully removed',
    'NamespaceFinalizersRemaining False All content-preserving finalizers finished',
  ]);
});

test('a namespace whose content is held tells so, and goes when it is let go', async () => {
  await w.client.create(Namespace, { metadata: { name: 'held' } });
  const ref = { namespace: 'held', name: 'kept' };
  await w.client.create(ConfigMap, { metadata: { ...ref, finalizers: ['example.com/keep'] } });
  await w.client.delete(Namespace, { name: 'held' });
  await eventually(async () => {
    const { conditions = [] } = (await w.client.get(Namespace, { name: 'held' })).status ?? {};
    expect(conditions.map(({ type, status, reason }) => [type, status, reason])).toEqual([
      ['NamespaceDeletionDiscoveryFailure', 'False', 'ResourcesDiscovered'],
      ['NamespaceDeletionGroupVersionParsingFailure', 'False', 'ParsedGroupVersions'],
      ['NamespaceDeletionContentFailure', 'False', 'ContentDeleted'],
      ['NamespaceContentRemaining', 'True', 'SomeResourcesRemain'],
      ['NamespaceFinalizersRemaining', 'True', 'SomeFinalizersRemain'],
    ]);
  });
  await w.client.patch(ConfigMap, ref, { metadata: { finalizers: null } });
  await eventually(async () =>
    expect(await w.client.get(Namespace, { name: 'held' }).then(() => false, isNotFound)).toBe(true),
  );
});

test('a pod of a StatefulSet gets back the labels that say who it is', async () => {
  const labels = { app: 'named' };
  await w.client.create(StatefulSet, {
    metadata: { name: 'named', namespace: 'default' },
    spec: {
      replicas: 1,
      serviceName: 'named',
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'busybox:1' }] } },
    },
  });
  const ref = { namespace: 'default', name: 'named-0' };
  await eventually(() => w.client.get(Pod, ref));
  const taken = { 'statefulset.kubernetes.io/pod-name': 'another', 'apps.kubernetes.io/pod-index': null };
  await w.client.patch(Pod, ref, { metadata: { labels: taken } });
  await eventually(async () =>
    expect((await w.client.get(Pod, ref)).metadata.labels).toMatchObject({
      'statefulset.kubernetes.io/pod-name': 'named-0',
      'apps.kubernetes.io/pod-index': '0',
    }),
  );
});
