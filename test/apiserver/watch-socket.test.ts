import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { adminToken, startServer, type Json, type TestServer } from './harness.ts';

const cms = '/api/v1/namespaces/default/configmaps';

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

/** The first `count` frames of a watch over a WebSocket. */
function frames(path: string, count: number, protocols: string[] = []): Promise<{ data: Buffer; binary: boolean }[]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${s.url.replace('https', 'wss')}${path}`, protocols, {
      ca: s.ca.pem,
      headers: { authorization: `Bearer ${adminToken}` },
    });
    const got: { data: Buffer; binary: boolean }[] = [];
    socket.on('message', (data: Buffer, binary) => {
      got.push({ data, binary });
      if (got.length === count) socket.close();
    });
    socket.once('error', reject).once('close', () => resolve(got));
  });
}

test('a watch over a WebSocket tells one event a frame, in text, in binary or in base64', async () => {
  const from = String((await s.call('GET', cms)).json['metadata']!['resourceVersion']);
  for (const name of ['a', 'b']) await s.call('POST', cms, { metadata: { name } });
  const path = `${cms}?watch=true&resourceVersion=${from}`;
  const names = (all: Buffer[]) =>
    all.map((data) => {
      const event = JSON.parse(data.toString()) as Json;
      return `${String(event['type'])} ${String(event['object']!['metadata']!['name'])}`;
    });
  const text = await frames(path, 2);
  expect(text.map(({ binary }) => binary)).toEqual([false, false]);
  expect(names(text.map(({ data }) => data))).toEqual(['ADDED a', 'ADDED b']);
  const binary = await frames(path, 2, ['binary.k8s.io']);
  expect(binary.map((frame) => frame.binary)).toEqual([true, true]);
  const base64 = await frames(path, 2, ['base64.binary.k8s.io']);
  expect(names(base64.map(({ data }) => Buffer.from(data.toString(), 'base64')))).toEqual(['ADDED a', 'ADDED b']);
});

test('a watch that may not be is refused before the upgrade, and it ends after its seconds', async () => {
  await expect(frames(`${cms}?watch=true&resourceVersion=x`, 1)).rejects.toThrow('400');
  expect(await frames(`${cms}?watch=true&resourceVersion=0&timeoutSeconds=1`, 99)).toHaveLength(2);
});
