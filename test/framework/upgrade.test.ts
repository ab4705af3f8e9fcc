import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import type { Client } from '../../client/client.ts';
import { Informer } from '../../client/informer.ts';
import { followUpgrade } from '../../framework/upgrade.ts';
import { kubernetesVersion } from '../../lib/build.ts';
import { silent } from '../../lib/log.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';

let server: TestServer;
let client: Client;
const stopping = new AbortController();
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(async () => {
  stopping.abort();
  await server.stop();
});

const runs = (name: string, kubeletVersion: string) =>
  client.patch(
    Node,
    { name },
    { status: { nodeInfo: { kubeletVersion } } },
    { type: 'strategic', subresource: 'status' },
    stopping.signal,
  );

test('an upgrade is told of until the last executor is of our version, and only of executors that run', async () => {
  const old = 'v1.36.0+km.0.0.1';
  const ran = { [annotations.kubeletCertificate]: '00' };
  for (const [name, mark, version] of [
    ['new', ran, kubernetesVersion],
    ['old', ran, old],
    ['older', ran, old],
    ['none', {}, old],
    ['foreign', ran, old],
  ] as const) {
    await client.create(Node, { metadata: { name, annotations: mark }, spec: {} });
    await runs(name, version);
  }
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const nodes = new Informer(client, Node, {}, silent);
  await nodes.start(stopping.signal);
  followUpgrade(nodes, ({ metadata }) => metadata.name !== 'foreign', log);
  const told = () => lines.map(({ msg, upgraded, executors }) => [msg, upgraded, executors]);
  const goesOn = 'executors are of another version than ours';
  expect(told()).toEqual([[goesOn, 1, 3]]);
  await runs('old', kubernetesVersion);
  await eventually(() => expect(told().slice(1)).toEqual([[goesOn, 2, 3]]));
  await client.delete(Node, { name: 'older' });
  await eventually(() => expect(told().slice(2)).toEqual([['every executor is of our version', 2, 2]]));
  await client.create(Node, { metadata: { name: 'newest', annotations: ran }, spec: {} });
  await runs('newest', kubernetesVersion);
  await eventually(() => expect([...nodes.list()].map(({ metadata }) => metadata.name)).toContain('newest'));
  expect(told()).toHaveLength(3);
});
