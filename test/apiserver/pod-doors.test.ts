import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startServer, type TestServer } from './harness.ts';

const pods = '/api/v1/namespaces/default/pods';
const merge = { 'content-type': 'application/strategic-merge-patch+json' };

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
  const resources = { requests: { cpu: '100m' }, limits: { cpu: '200m' } };
  await s.call('POST', pods, { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i', resources }] } });
});
afterAll(() => s.stop());

test('ephemeral containers are added through their own door, and only there', async () => {
  const added = { spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox' }], nodeName: 'elsewhere' } };
  expect((await s.call('PATCH', `${pods}/p`, added, merge)).json).toMatchObject({ code: 422, reason: 'Invalid' });
  const patched = await s.call('PATCH', `${pods}/p/ephemeralcontainers`, added, merge);
  expect(patched.json).toMatchObject({ kind: 'Pod', spec: { ephemeralContainers: [{ name: 'debug' }] } });
  expect(patched.json['spec']!['nodeName']).toBeUndefined();
  const without = { ...patched.json, spec: { ...patched.json['spec'], ephemeralContainers: [] } };
  expect((await s.call('PUT', `${pods}/p/ephemeralcontainers`, without)).json).toMatchObject({
    code: 422,
    message: expect.stringContaining('existing ephemeral containers "debug" may not be removed'),
  });
});

test('cpu and memory are resized through their own door; what else is sent stays as it is', async () => {
  const wanted = { spec: { containers: [{ name: 'c', image: 'other', resources: { limits: { cpu: '300m' } } }] } };
  const resized = await s.call('PATCH', `${pods}/p/resize`, wanted, merge);
  expect(resized.json['spec']!['containers']![0]).toMatchObject({
    image: 'i',
    resources: { requests: { cpu: '100m' }, limits: { cpu: '300m' } },
  });
  const both = { limits: { cpu: '300m', memory: '1Gi' }, requests: { cpu: '300m', memory: '1Gi' } };
  const guaranteed = { spec: { containers: [{ name: 'c', resources: both }] } };
  expect((await s.call('PATCH', `${pods}/p/resize`, guaranteed, merge)).json).toMatchObject({
    code: 422,
    message: expect.stringContaining('Pod QOS Class may not change as a result of resizing'),
  });
});
