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

test('an Eviction of another version is refused', async () => {
  const { status, json } = await evict('other', 'policy/v2');
  expect([status, json['message']]).toEqual([
    400,
    'the API version in the data (policy/v2) does not match the expected API version (policy/v1)',
  ]);
});
