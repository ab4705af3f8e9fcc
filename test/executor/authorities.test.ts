import type { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Client } from '../../client/client.ts';
import { followAuthorities } from '../../executor/authorities.ts';
import { silent } from '../../lib/log.ts';
import { type TestServer, adminToken, startServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { makeCa } from '../pki.ts';

let server: TestServer;
const stopping = new AbortController();
beforeAll(async () => {
  const user = (token: string, name: string, groups: string[]) => ({ token, user: { name, groups } });
  const tokens = [
    user(adminToken, 'admin', ['system:masters']),
    user('executor-token', 'system:bootstrap:executor', ['system:nodes']),
  ];
  server = await startServer({}, { tokens });
}, 60_000);
afterAll(async () => {
  stopping.abort();
  await server?.stop();
});

test('an executor follows the CA that is published and which of it signs, as long as it has something in common with the one before', async () => {
  const pems = [server.ca, await makeCa('next'), await makeCa('foreign')].map(({ pem }) => `${pem.trim()}\n`);
  const [ours = '', next = '', foreign = ''] = pems;
  const heard: string[] = [];
  const executor = new Client({ server: server.url, ca: ours, token: 'executor-token' });
  const admin = server.client();
  const publish = (ca: string) =>
    admin.apply(
      ConfigMap,
      { metadata: { namespace: 'kube-system', name: 'kube-root-ca.crt' }, data: { 'ca.crt': ca } },
      { fieldManager: 'test', force: true },
    );
  const changed = (ca: string, signer: X509Certificate) => {
    executor.trust(ca);
    expect(ca.startsWith(signer.toString())).toBe(true);
    heard.push(ca);
  };
  followAuthorities(executor, ours, changed, { signal: stopping.signal, log: silent });
  await publish(ours);
  await publish(foreign);
  await publish('no certificate at all');
  await publish(ours + next);
  await eventually(() => expect(heard).toEqual([ours + next]));
  expect((await executor.get(ConfigMap, { namespace: 'kube-system', name: 'kube-root-ca.crt' })).data).toBeDefined();
  await publish(`${next}${ours}`);
  await eventually(() => expect(heard).toEqual([ours + next, next + ours]));
  await publish(next);
  await eventually(() => expect(heard).toEqual([ours + next, next + ours, next]));
  // This server's certificate is still of the CA that is no longer trusted: nothing of ours reaches it any more.
  await expect(executor.get(ConfigMap, { namespace: 'kube-system', name: 'kube-root-ca.crt' })).rejects.toThrow(
    /certificate/,
  );
  await executor.close();
  await admin.close();
}, 30_000);

test('a node may read that ConfigMap, and no other that none of its pods names', async () => {
  const node = new Client({ server: server.url, ca: server.ca.pem, token: 'executor-token' });
  const read = (namespace: string, name: string) => node.get(ConfigMap, { namespace, name });
  expect((await read('kube-system', 'kube-root-ca.crt')).metadata.name).toBe('kube-root-ca.crt');
  for (const [namespace, name] of [
    ['kube-system', 'extension-apiserver-authentication'],
    ['default', 'kube-root-ca.crt'],
  ] as const)
    await expect(read(namespace, name)).rejects.toMatchObject({ code: 403 });
  await node.close();
});
