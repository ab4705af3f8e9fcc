import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { openEtcd, type EtcdOptions } from '../../apiserver/etcd.ts';
import type { Store } from '../../apiserver/store.ts';
import { silent } from '../../lib/log.ts';
import { program } from '../cli/run-km.ts';
import { eventually } from '../eventually.ts';
import { stopChild } from '../executor/daemons.ts';
import { makeCa } from '../pki.ts';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { startServer } from './harness.ts';
import { storeSuite } from './store.suite.ts';

jest.setTimeout(15_000);

const dir = mkdtempSync(join(tmpdir(), 'km-etcd-secure-'));
const files = { ca: '', cert: '', key: '', clientCert: '', clientKey: '' };
let etcd: EtcdProcess;
let access: EtcdOptions;
let count = 0;

const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

/** etcdctl never waits: neither for etcd nor for somebody to type. */
function etcdctl(...args: string[]): void {
  const tls = ['--cacert', files.ca, '--cert', files.clientCert, '--key', files.clientKey];
  const patience = ['--dial-timeout=2s', '--command-timeout=4s'];
  execFileSync('etcdctl', ['--endpoints', etcd.url, ...tls, ...patience, ...args], {
    env: { ...process.env, ETCDCTL_API: '3' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 6000,
  });
}

const open = (changed: Partial<EtcdOptions> = {}): Store => openEtcd({ ...access, ...changed });

/** What a store is told that may not, the second time as the first: a refusal must not wear the client out. */
async function refusal(changed: Partial<EtcdOptions>): Promise<string> {
  const store = open(changed);
  const ask = () =>
    store.get('/registry/a').then(
      () => '',
      (error: Error) => error.message,
    );
  const first = await ask();
  const second = await ask();
  await store.close();
  return first === second ? first : `${first}, and then ${second}`;
}

beforeAll(async () => {
  const ca = await makeCa();
  const [serving, client] = [await ca.issue('etcd'), await ca.issue('km-apiserver')];
  Object.assign(files, {
    ca: file('ca.pem', ca.pem),
    cert: file('etcd.pem', serving.cert),
    key: file('etcd.key', serving.key),
    clientCert: file('client.pem', client.cert),
    clientKey: file('client.key', client.key),
  });
  etcd = await startEtcd(files);
  access = {
    endpoints: [etcd.url],
    ca: Buffer.from(ca.pem),
    cert: Buffer.from(client.cert),
    key: Buffer.from(client.key),
    user: 'root',
    password: 'secret',
    log: silent,
  };
});
afterAll(async () => {
  await etcd.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('a password is no harm where etcd asks for none', async () => {
  expect(await refusal({})).toBe('');
  expect(await refusal({ user: '' })).toBe('');
});

test('who shows no certificate of the CA, or does not know the CA, reads why there is no connection', async () => {
  const other = await (await makeCa('other')).issue('km-apiserver');
  expect(await refusal({ cert: undefined, key: undefined })).toMatch(/connection to etcd was lost: .*certificate/);
  expect(await refusal({ cert: Buffer.from(other.cert), key: Buffer.from(other.key) })).toMatch(
    /certificate|unknown ca/,
  );
  expect(await refusal({ ca: undefined })).toMatch(/cannot reach etcd .*verify the first certificate/);
});

describe('with passwords', () => {
  beforeAll(() => {
    etcdctl('user', 'add', 'root:secret');
    etcdctl('user', 'grant-role', 'root', 'root');
    etcdctl('user', 'add', 'poor:secret');
    etcdctl('auth', 'enable');
  });

  storeSuite('etcd over TLS, with a password,', async () => ({ store: open(), prefix: `/registry/s${count++}/` }));

  test('a wrong one, an unknown user and one without rights are refused in words', async () => {
    expect(await refusal({ password: 'wrong' })).toMatch(
      /etcd does not accept the user "root": .*authentication failed/,
    );
    expect(await refusal({ user: 'nobody' })).toMatch(/etcd does not accept the user "nobody"/);
    expect(await refusal({ user: 'poor' })).toMatch(/etcd does not let us in: .*permission denied/);
  });

  test('km apiserver with a wrong password says so and waits; it shows the password to nobody', async () => {
    const password = 'not-the-one-that-etcd-knows';
    const etcdFlags = [
      ...['--etcd-servers', etcd.url, '--etcd-ca-file', files.ca, '--etcd-cert-file', files.clientCert],
      ...['--etcd-key-file', files.clientKey, '--etcd-user', 'root'],
      ...['--etcd-password-file', file('wrong-password', `${password}\n`)],
    ];
    const serving = ['--port', '0', '--tls-cert-file', files.cert, '--tls-key-file', files.key];
    const args = [program, 'apiserver', ...serving, ...etcdFlags, '--log-level', 'trace'];
    const child = spawn(process.execPath, args, { stdio: 'pipe' });
    try {
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += String(bytes)));
      await eventually(
        () => expect(said).toMatch(/etcd does not accept the user \\"root\\": [^\n]*authentication failed/),
        40_000,
      );
      expect(said).not.toContain(password);
      expect(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')).not.toContain(password);
      expect(child.exitCode).toBeNull();
    } finally {
      await stopChild(child);
    }
  }, 60_000);

  test('calls and watches go on when etcd has forgotten who is logged in, or its users change', async () => {
    const store = open();
    const stop = new AbortController();
    const first = await store.put('/registry/login/a', Buffer.from('1'), 0);
    if (!first.ok) throw new Error('not written');
    const watch = store.watch('/registry/login/', first.revision, stop.signal)[Symbol.asyncIterator]();
    const keyOfNext = async () => {
      for (;;) {
        const { value, done } = await watch.next();
        if (done) return undefined;
        for (const change of value.events) if (change.type === 'put') return change.item.key;
      }
    };
    await etcd.kill();
    await etcd.restart();
    await store.put('/registry/login/b', Buffer.from('2'), 0);
    expect(await keyOfNext()).toBe('/registry/login/b');
    etcdctl('--user', 'root:secret', 'user', 'add', 'another:secret');
    await Promise.all(Array.from({ length: 8 }, () => store.get('/registry/login/a')));
    await store.put('/registry/login/c', Buffer.from('3'), 0);
    expect(await keyOfNext()).toBe('/registry/login/c');
    stop.abort();
    await store.close();
  });

  test('the apiserver serves from it, with the password from a file', async () => {
    const etcdPasswordFile = file('password', 'secret\n');
    const server = await startServer({
      etcdServers: [etcd.url],
      etcdCaFile: files.ca,
      etcdCertFile: files.clientCert,
      etcdKeyFile: files.clientKey,
      etcdUser: 'root',
      etcdPasswordFile,
    });
    try {
      const made = await server.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' } });
      expect(made.status).toBe(201);
      expect((await server.call('GET', '/readyz')).status).toBe(200);
    } finally {
      await server.stop();
    }
  });
});
