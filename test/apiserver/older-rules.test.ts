import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { startServer, type TestServer } from './harness.ts';

const store = openEmbedded(':memory:');
const path = '/api/v1/namespaces/default/pods/old';
let server: TestServer;
beforeAll(async () => {
  const pod = {
    ...{ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'old', namespace: 'default', uid: 'u' } },
    spec: { containers: [{ name: 'c', image: 'i' }], hostname: 'Not_A_Label' },
    status: { phase: 'Pending' },
  };
  await store.put('/registry/core/pods/default/old', Buffer.from(JSON.stringify(pod)), 0);
  server = await startServer({}, { store });
});
afterAll(async () => {
  await server.stop();
  await store.close();
});

const patch = async (change: object, door = '') => {
  const { status, json } = await server.call('PATCH', `${path}${door}`, change, {
    'content-type': 'application/merge-patch+json',
  });
  return [status, json['message'] ?? ''];
};

test('an object that is older than a rule can be changed where it keeps the rules', async () => {
  expect(await patch({ status: { phase: 'Running' } }, '/status')).toEqual([200, '']);
  expect(await patch({ metadata: { labels: { a: 'b' }, finalizers: ['example.com/x'] } })).toEqual([200, '']);
  expect(await patch({ metadata: { finalizers: null } })).toEqual([200, '']);
  expect(await patch({ spec: { subdomain: 'Not_Either' } })).toEqual([
    422,
    expect.stringMatching(/^((?!spec\.hostname).)*spec\.subdomain: Invalid value: "Not_Either"((?!spec\.hostname).)*$/),
  ]);
});
