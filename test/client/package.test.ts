import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import type { Client } from '../../client/client.ts';
import { type TestServer, startServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';

const example = 'docs/examples/greeter.ts';
const namespace = 'default';
let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(async () => {
  await server.stop();
});

test('the guide shows the example that is run here', () => {
  expect(readFileSync('docs/client.md', 'utf8')).toContain(`\`\`\`ts\n${readFileSync(example, 'utf8')}\`\`\``);
});

test('the example controller greets, and greets again what was taken back', async () => {
  const child = spawn(process.execPath, [example], {
    env: { ...process.env, KUBECONFIG: server.kubeconfig, NODE_ENV: 'development' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await client.create(ConfigMap, { metadata: { name: 'world', namespace, labels: { greet: 'world' } } });
    const greeting = { namespace, name: 'world-greeting' };
    const text = async () => (await client.get(ConfigMap, greeting)).data?.['text'];
    await eventually(async () => expect(await text()).toBe('Hello, world!'), 30_000);
    await client.delete(ConfigMap, greeting);
    await eventually(async () => expect(await text()).toBe('Hello, world!'));
    await client.patch(ConfigMap, { namespace, name: 'world' }, { metadata: { labels: { greet: 'moon' } } });
    await eventually(async () => expect(await text()).toBe('Hello, moon!'));
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a field that another manager applied is a conflict, until it is taken by force', async () => {
  const map = (text: string) => ({ metadata: { name: 'applied', namespace }, data: { text } });
  await client.apply(ConfigMap, map('one'), { fieldManager: 'one' });
  const other = client.apply(ConfigMap, map('two'), { fieldManager: 'two' });
  await expect(other).rejects.toMatchObject({ code: 409 });
  const taken = await client.apply(ConfigMap, map('two'), { fieldManager: 'two', force: true });
  expect(taken.data).toEqual({ text: 'two' });
});

test('pages show all objects, each once', async () => {
  const names = Array.from({ length: 7 }, (_, i) => `paged-${i}`);
  for (const name of names) await client.create(ConfigMap, { metadata: { name, namespace, labels: { paged: '' } } });
  const seen: string[][] = [];
  for await (const { items } of client.pages(ConfigMap, { namespace, labelSelector: 'paged', limit: 3 }))
    seen.push(items.map(({ metadata }) => metadata.name));
  expect(seen.map((page) => page.length)).toEqual([3, 3, 1]);
  expect(seen.flat()).toEqual(names);
});
