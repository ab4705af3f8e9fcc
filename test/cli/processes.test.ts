import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Agent, fetch } from 'undici';
import { freePort } from '../../cli/ports.ts';
import { startEtcd, type EtcdProcess } from '../apiserver/etcd-process.ts';
import { eventually } from '../eventually.ts';
import { makeCa } from '../pki.ts';

const km = join(process.cwd(), 'cli/km.ts');
const dir = mkdtempSync(join(tmpdir(), 'km-processes-'));
let etcd: EtcdProcess;
let server: ChildProcess;
let url: string;
let pem: string;
let flags: string[];

/** A connection of its own for each question, so that every process gets some. */
async function ask(path: string, init: { method?: string; body?: string } = {}) {
  const dispatcher = new Agent({ connect: { ca: pem } });
  const headers = { authorization: 'Bearer secret', 'content-type': 'application/json' };
  const answer = await fetch(`${url}${path}`, { ...init, headers, dispatcher });
  const text = await answer.text();
  await dispatcher.close();
  return { status: answer.status, text };
}

const children = (): number[] =>
  readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

beforeAll(async () => {
  etcd = await startEtcd();
  const ca = await makeCa();
  const serving = await ca.issue('kubernetes');
  const write = (name: string, text: string) => (writeFileSync(join(dir, name), text), join(dir, name));
  const port = await freePort();
  pem = ca.pem;
  url = `https://127.0.0.1:${port}`;
  flags = ['apiserver', '--port', String(port), '--processes', '2', '--identity-lease-renew-interval', '1s'];
  flags.push('--tls-cert-file', write('cert.pem', serving.cert), '--tls-key-file', write('key.pem', serving.key));
  flags.push('--token-auth-file', write('tokens', 'secret,admin,1,"system:masters"\n'));
  server = spawn(process.execPath, [km, ...flags, '--etcd-servers', etcd.url], { stdio: ['ignore', 'ignore', 'pipe'] });
  await eventually(async () => expect((await ask('/readyz')).status).toBe(200), 40_000);
}, 60_000);
afterAll(async () => {
  if (server.exitCode === null) server.kill('SIGKILL');
  await etcd.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('two processes serve behind one port, and show their figures as one', async () => {
  expect(children()).toHaveLength(2);
  const path = '/api/v1/namespaces/default/configmaps';
  for (let i = 0; i < 6; i++)
    expect((await ask(path, { method: 'POST', body: JSON.stringify({ metadata: { name: `c${i}` } }) })).status).toBe(
      201,
    );
  expect(JSON.parse((await ask(path)).text)).toMatchObject({ items: { length: 6 } });
  await eventually(async () => {
    const { text } = await ask('/metrics');
    const line = text.split('\n').find((one) => /^apiserver_request_total.*"POST".*"configmaps"/.test(one));
    expect(line).toMatch(/code="201".* 6$/);
    // Ours, and those that tell how users are known and since when uses of tokens are noted.
    expect(text).toMatch(/^apiserver_storage_objects\{resource="configmaps"\} 8$/m);
  });
});

test('both are one server to the cluster: one lease tells of them', async () => {
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
  const read = async () => {
    const { items } = JSON.parse((await ask(leases)).text);
    expect(items).toHaveLength(1);
    return items[0];
  };
  const { metadata, spec } = await eventually(read);
  // One of them renews it, and the other takes it for its own.
  await eventually(async () => expect((await read()).spec.renewTime).not.toBe(spec.renewTime), 20_000);
  const later = await read();
  expect([later.metadata.uid, later.spec.holderIdentity]).toEqual([metadata.uid, spec.holderIdentity]);
}, 30_000);

test('a process that is killed is started again, and the other serves meanwhile', async () => {
  const [victim, other] = children();
  process.kill(victim!, 'SIGKILL');
  await eventually(async () => expect((await ask('/readyz')).status).toBe(200));
  await eventually(() => {
    expect(children()).toHaveLength(2);
    expect(children()).toContain(other);
    expect(children()).not.toContain(victim);
  });
});

test('a stop ends them all', async () => {
  const pids = children();
  server.kill('SIGTERM');
  const [code] = (await once(server, 'exit')) as [number];
  expect(code).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('what keeps one process from starting ends the server with its words', async () => {
  const refused = promisify(execFile)(process.execPath, [km, ...flags]);
  await expect(refused).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('--etcd-servers') });
  const broken = [km, ...flags, '--etcd-servers', etcd.url, '--client-ca-file', '/nowhere'];
  await expect(promisify(execFile)(process.execPath, broken)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/nowhere[\s\S]*ended before it was ready/),
  });
});
