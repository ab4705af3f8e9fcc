import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Client } from '../../client/client.ts';
import { type Access, delegatedAccess } from '../../executor/access.ts';
import { type TestServer, adminToken, startServer } from '../apiserver/harness.ts';

let server: TestServer;
let client: Client;
let access: Access;
beforeAll(async () => {
  const user = (token: string, name: string, groups: string[] = []) => ({ token, user: { name, groups } });
  const tokens = [
    user(adminToken, 'admin', ['system:masters']),
    user('node-token', 'system:node:n1', ['system:nodes']),
    user('scraper-token', 'scraper', ['watchers']),
  ];
  server = await startServer({}, { tokens });
  client = server.client('node-token');
  access = delegatedAccess(client, 'n1', new AbortController().signal);
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const rules = [{ apiGroups: [''], resources: ['nodes/metrics', 'nodes/stats'], verbs: ['get'] }];
  await server.call('POST', `${rbac}/clusterroles`, { metadata: { name: 'scrape' }, rules });
  await server.call('POST', `${rbac}/clusterrolebindings`, {
    metadata: { name: 'scrape' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'scrape' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'watchers' }],
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

test('a node asks the apiserver whose token it is, and what its owner may', async () => {
  expect(await access.reviewToken('nobody')).toBeUndefined();
  const caller = (await access.reviewToken('scraper-token'))!;
  expect(caller).toMatchObject({ name: 'scraper', groups: expect.arrayContaining(['watchers']) });
  const may = (subresource: string, verb = 'get') => access.may(caller, { verb, subresource });
  expect(await Promise.all([may('metrics'), may('stats'), may('proxy'), may('metrics', 'create')])).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('answers are remembered while the apiserver is away; what is not known is refused as unavailable', async () => {
  const caller = (await access.reviewToken('scraper-token'))!;
  expect(await access.may(caller, { verb: 'get', subresource: 'metrics' })).toBe(true);
  await client.close();
  expect(await access.may(caller, { verb: 'get', subresource: 'metrics' })).toBe(true);
  await expect(access.may(caller, { verb: 'get', subresource: 'log' })).rejects.toMatchObject({ code: 503 });
});
