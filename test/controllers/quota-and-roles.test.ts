import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ClusterRole } from '../../api/kinds/cluster-role.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ResourceQuota } from '../../api/kinds/resource-quota.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());

const namespace = 'default';
const pod = (name: string) => ({
  metadata: { name, namespace },
  spec: { containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '250m', memory: '64Mi' } } }] },
});

test('what a namespace uses of its quota is counted, and freed when pods end or go', async () => {
  for (const name of ['a', 'b']) await c.client.create(Pod, pod(name));
  const hard = { pods: '3', 'requests.cpu': '1', 'requests.memory': '1Gi', 'count/deployments.apps': '1' };
  await c.client.create(ResourceQuota, { metadata: { name: 'q', namespace }, spec: { hard } });
  const used = async () => (await c.client.get(ResourceQuota, { namespace, name: 'q' })).status?.used;
  const expected = (pods: number) => ({
    pods: String(pods),
    'requests.cpu': ['0', '250m', '500m', '750m'][pods],
    'requests.memory': ['0', '64Mi', '128Mi', '192Mi'][pods],
    'count/deployments.apps': '0',
  });
  await eventually(async () => expect(await used()).toEqual(expected(2)));
  await eventually(() => c.client.create(Pod, pod('c')));
  await expect(c.client.create(Pod, pod('d'))).rejects.toThrow(
    /exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3/,
  );
  await c.client.patch(Pod, { namespace, name: 'a' }, { status: { phase: 'Succeeded' } }, { subresource: 'status' });
  await eventually(async () => expect(await used()).toEqual(expected(2)));
  await c.client.delete(Pod, { namespace, name: 'b' });
  await eventually(async () => expect(await used()).toEqual(expected(1)));
  await c.client.create(Pod, pod('d'));
  await eventually(async () => expect(await used()).toEqual(expected(2)));
});

describe('aggregated roles', () => {
  const label = (role: string) => ({ [`rbac.authorization.k8s.io/aggregate-to-${role}`]: 'true' });
  const rule = { verbs: ['get'], apiGroups: ['example.com'], resources: ['things'] };
  const rulesOf = async (name: string) => (await c.client.get(ClusterRole, { name })).rules;

  test('gain the rules of a role that joins, also through others, and lose them with it', async () => {
    await c.client.create(ClusterRole, { metadata: { name: 'things', labels: label('view') }, rules: [rule] });
    for (const name of ['view', 'edit', 'admin'])
      await eventually(async () => expect(await rulesOf(name)).toContainEqual(rule));
    await c.client.delete(ClusterRole, { name: 'things' });
    for (const name of ['view', 'edit', 'admin'])
      await eventually(async () => expect(await rulesOf(name)).not.toContainEqual(rule));
  });
});
