import { randomInt } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { request } from 'undici';
import type { Client } from '../../client/client.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { options, start, type Proxy } from '../../proxy/index.ts';
import { Sync } from '../../proxy/sync.ts';
import type { Changes } from '../../proxy/rules.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { servicePort } from './plans.ts';

const range = `127.${randomInt(200, 250)}`;
const pod = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi'));
let server: TestServer;
let client: Client;
let proxy: Proxy;
const stopping = new AbortController();

beforeAll(async () => {
  await new Promise<void>((done) => pod.listen(0, '127.0.0.1', done));
  server = await startServer({ serviceCidr: [`${range}.0.0/16`] });
  client = server.client();
  proxy = await start(
    {
      ...defaultsOf(options),
      mode: 'userspace',
      hostnameOverride: 'here',
      nodeportAddresses: ['127.0.0.1/32'],
      healthzBindAddress: '127.0.0.1:0',
      metricsBindAddress: '127.0.0.1:0',
    },
    { client, log: silent, signal: stopping.signal },
  );
});
afterAll(async () => {
  stopping.abort();
  await proxy?.closed;
  await server.stop();
  pod.close();
});

const get = async (url: string) => {
  const { statusCode, body } = await request(`http://${url}`);
  return { code: statusCode, text: await body.text() };
};
const make = (path: string, object: object) => server.call('POST', path, object);
const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

test('follows the cluster: an endpoint comes and goes, and a health-check node port tells of it while it is ready', async () => {
  const nodePort = 30_000 + randomInt(2700);
  const { json } = await make('/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: {
      type: 'LoadBalancer',
      clusterIP: `${range}.0.10`,
      externalTrafficPolicy: 'Local',
      ports: [{ port: 8000, nodePort }],
    },
  });
  const health = String(json['spec']!['healthCheckNodePort']);
  await eventually(async () => expect(await get(`127.0.0.1:${health}/healthz`)).toMatchObject({ code: 503 }));
  const slice = {
    metadata: { name: 'web-x', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], nodeName: 'here' }],
    ports: [{ name: '', port: (pod.address() as AddressInfo).port }],
  };
  await make(slices, slice);
  await eventually(async () => expect(await get(`${range}.0.10:8000`)).toEqual({ code: 200, text: 'hi' }));
  expect((await get(`127.0.0.1:${nodePort}`)).text).toBe('hi');
  const { code, text } = await get(`127.0.0.1:${health}/healthz`);
  expect([code, JSON.parse(text)]).toEqual([
    200,
    { service: { namespace: 'default', name: 'web' }, localEndpoints: 1, serviceProxyHealthy: true },
  ]);
  await server.call('PUT', `${slices}/web-x`, {
    ...slice,
    endpoints: [{ ...slice.endpoints[0], conditions: { ready: false, serving: true, terminating: true } }],
  });
  await eventually(async () => expect((await get(`127.0.0.1:${health}/healthz`)).code).toBe(503));
  expect((await get(`127.0.0.1:${nodePort}`)).text).toBe('hi');
  await server.call('DELETE', `${slices}/web-x`);
  await eventually(() => expect(get(`${range}.0.10:8000`)).rejects.toMatchObject({ code: 'ECONNREFUSED' }));
  await server.call('DELETE', '/api/v1/namespaces/default/services/web');
  await eventually(() => expect(get(`127.0.0.1:${health}/healthz`)).rejects.toMatchObject({ code: 'ECONNREFUSED' }));
});

test('tells of itself as kube-proxy does', async () => {
  const healthz = await get(`127.0.0.1:${proxy.healthzPort}/healthz`);
  expect([healthz.code, JSON.parse(healthz.text)]).toMatchObject([200, { nodeEligible: true }]);
  expect((await get(`127.0.0.1:${proxy.healthzPort}/livez`)).code).toBe(200);
  expect((await get(`127.0.0.1:${proxy.metricsPort}/proxyMode`)).text).toBe('userspace');
  const { text } = await get(`127.0.0.1:${proxy.metricsPort}/metrics`);
  expect(text).toMatch(/^kubeproxy_sync_proxy_rules_duration_seconds_count [1-9]/m);
  expect(text).toMatch(/^kubeproxy_sync_proxy_rules_last_timestamp_seconds [1-9]/m);
  expect((await get(`127.0.0.1:${proxy.metricsPort}/elsewhere`)).code).toBe(404);
});

test('what a writer cannot do at all, and what it refuses, is tried again until it is in place', async () => {
  const writes: string[][] = [];
  const answers = [
    () => Promise.reject(new Error('there is no nft')),
    () => Promise.resolve([{ key: 'default/web:/TCP', reason: 'no room' }]),
    () => Promise.resolve([]),
  ];
  const apply = (changes: Changes) => {
    writes.push([...changes.keys()]);
    return answers[writes.length - 1]!();
  };
  const nothing = () => Promise.resolve();
  let failures = 0;
  const sync = new Sync({
    writer: { apply, close: nothing, cleanup: nothing },
    portsOf: () => [servicePort()],
    written: nothing,
    failed: (count) => (failures += count),
    log: silent,
    retryMs: 10,
  });
  sync.mark('default/web');
  const ending = new AbortController();
  const ended = sync.follow(ending.signal);
  await eventually(() => expect(writes).toEqual(Array(3).fill(['default/web:/TCP'])));
  await eventually(() => expect(sync.waitingSince).toBeUndefined());
  expect(failures).toBe(2);
  ending.abort();
  await ended;
});
