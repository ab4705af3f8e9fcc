import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type TestServer, startServer } from './harness.ts';

const pods = '/api/v1/namespaces/default/pods';
let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

async function evict(name: string, apiVersion: string) {
  await server.call('POST', pods, { metadata: { name }, spec: { containers: [{ name: 'c', image: 'c' }] } });
  return server.call('POST', `${pods}/${name}/eviction`, { apiVersion, kind: 'Eviction', metadata: { name } });
}

// kubectl before 1.22 drains with policy/v1beta1.
test.each(['policy/v1', 'policy/v1beta1'])('an Eviction is taken under %s', async (apiVersion) => {
  const name = apiVersion.replace('/', '-');
  expect(await evict(name, apiVersion)).toMatchObject({ status: 201, json: { kind: 'Status', status: 'Success' } });
  expect((await server.call('GET', `${pods}/${name}`)).status).toBe(404);
});

test('the pod says why it ends, unless it was only asked whether it might', async () => {
  const metadata = { name: 'held', finalizers: ['example.com/held'] };
  const { json } = await server.call('POST', pods, { metadata, spec: { containers: [{ name: 'c', image: 'c' }] } });
  const { resourceVersion } = json['metadata']!;
  const evictWith = (deleteOptions: object) =>
    server.call('POST', `${pods}/held/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata,
      deleteOptions,
    });
  const conditions = async () => (await server.call('GET', `${pods}/held`)).json['status']!['conditions'];
  expect((await evictWith({ dryRun: ['All'] })).status).toBe(201);
  expect((await evictWith({ preconditions: { resourceVersion: '1' } })).status).toBe(409);
  expect(await conditions()).toBeUndefined();
  expect((await evictWith({ preconditions: { resourceVersion } })).status).toBe(201);
  expect(await conditions()).toMatchObject([
    { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' },
  ]);
});

test('an Eviction of another version is refused', async () => {
  const { status, json } = await evict('other', 'policy/v2');
  expect([status, json['message']]).toEqual([
    400,
    'the API version in the data (policy/v2) does not match the expected API version (policy/v1)',
  ]);
});
