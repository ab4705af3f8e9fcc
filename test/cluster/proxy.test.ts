import { type Server, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type TestCluster, startTestCluster, talkers } from './harness.ts';

let cluster: TestCluster;
let blackHole: Server;
const callers: string[] = [];

/** Takes every connection, answers none, and remembers what it was asked for. */
beforeAll(async () => {
  blackHole = createServer((socket) => {
    socket.on('error', () => undefined).once('data', (chunk) => callers.push(chunk.toString().split('\r\n')[0]!));
  });
  await new Promise<void>((resolve) => blackHole.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(blackHole.address() as AddressInfo).port}`;
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'grpc_proxy'];
  const proxies = {
    ...Object.fromEntries(names.map((name) => [name, url])),
    NO_PROXY: undefined,
    no_proxy: undefined,
    NODE_USE_ENV_PROXY: '1',
  };
  const pairs = [...names.map((name) => `${name}=${url}`), 'NODE_USE_ENV_PROXY=1', `PATH=${process.env.PATH}`];
  cluster = await startTestCluster({ env: proxies, flags: { scheduler: ['--executor-env', pairs.join(',')] } });
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  blackHole.close();
}, 60_000);

test('with every proxy variable set to a black hole and no NO_PROXY, pods run, logs and exec work', async () => {
  const { kubectl } = cluster;
  await kubectl.feed(talkers('behind', 4), 'apply', '-f', '-');
  await kubectl.run('rollout', 'status', 'deployment/behind', '--timeout=60s');
  expect(await kubectl.run('exec', 'deployment/behind', '--', 'echo', 'through')).toBe('through\n');
  expect(await kubectl.run('logs', 'deployment/behind', '--tail=1')).toMatch(/\d\d:\d\d:\d\d/);
  expect(callers).toEqual([]);
});
