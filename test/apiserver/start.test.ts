import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import type { Logger } from '../../lib/log.ts';
import { Client } from '../../client/client.ts';
import { makeCa } from '../pki.ts';
import { eventually } from '../eventually.ts';
import { startEtcd } from './etcd-process.ts';
import { startServer } from './harness.ts';

jest.setTimeout(30_000);

/** A log whose lines can be counted. */
function recorded(): { log: Logger; lines: () => { msg: string; reason?: string }[] } {
  const lines: string[] = [];
  return {
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
    lines: () => lines.map((line) => JSON.parse(line) as { msg: string; reason?: string }),
  };
}

test('a start waits for an etcd that comes later, and says once what it waits for', async () => {
  const etcd = await startEtcd();
  try {
    await etcd.kill();
    const { log, lines } = recorded();
    const starting = startServer({ etcdServers: [etcd.url] }, { log });
    await eventually(() => expect(lines()).toHaveLength(1));
    expect(lines()[0]).toMatchObject({ msg: 'waiting for the store' });
    expect(lines()[0]!.reason).toMatch(/cannot reach etcd .*ECONNREFUSED/);
    await etcd.restart();
    const server = await starting;
    expect((await server.call('GET', '/api/v1/namespaces/default')).status).toBe(200);
    expect(lines().map(({ msg }) => msg)).toEqual([
      'waiting for the store',
      'has read what the store holds',
      'the store answers',
    ]);
    await server.stop();
  } finally {
    await etcd.stop();
  }
});

test('certificates that change are shown to new callers; what cannot be used is told, and nothing changes', async () => {
  const { log, lines } = recorded();
  const server = await startServer({}, { log });
  const path = (name: string) => join(server.dir, name);
  /** The number of the certificate that a new connection sees; a call that a certificate of `ca` is shown for says who it is. */
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', ca: server.ca.pem }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.end();
      });
      socket.once('error', reject);
    });
  const whoAmI = async (cert: string, key: string) => {
    const client = new Client({ server: server.url, ca: server.ca.pem, cert, key });
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
    const answer = client.raw<{ status: { userInfo: { username: string } } }>(
      'POST',
      '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body,
    );
    return answer.then(({ status }) => status.userInfo.username).finally(() => client.close());
  };
  const first = await shown();
  const next = await server.ca.issue('kubernetes');
  const stranger = await makeCa();
  const guest = await stranger.issue('guest');
  await expect(whoAmI(guest.cert, guest.key)).rejects.toThrow();

  writeFileSync(path('server.pem'), next.cert);
  await eventually(() => expect(lines().map(({ msg }) => msg)).toContain(unusable));
  expect(await shown()).toBe(first);
  writeFileSync(path('server.key'), next.key);
  await eventually(async () => expect(await shown()).not.toBe(first));
  writeFileSync(path('ca.pem'), `${server.ca.pem}\n${stranger.pem}`);
  await eventually(async () => expect(await whoAmI(guest.cert, guest.key)).toBe('guest'));
  expect((await server.call('GET', '/api/v1/namespaces/default')).status).toBe(200);
  await server.stop();
});
const unusable = 'changed certificates cannot be used; going on with those of before';

test('a start that waits ends with its signal', async () => {
  const stop = new AbortController();
  const { log, lines } = recorded();
  const starting = startServer({ etcdServers: ['http://127.0.0.1:1'] }, { log, signal: stop.signal });
  const ended = expect(starting).rejects.toThrow('enough');
  await eventually(() => expect(lines()).toHaveLength(1));
  stop.abort(new Error('enough'));
  await ended;
});

test('while etcd hangs requests are refused in time, and served when it goes on', async () => {
  const etcd = await startEtcd();
  const server = await startServer({ etcdServers: [etcd.url] });
  try {
    process.kill(etcd.pid()!, 'SIGSTOP');
    const written = await server.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'slow' } });
    expect(written.json).toMatchObject({ kind: 'Status', code: 504, reason: 'Timeout' });
    const cached = await server.call('GET', '/api/v1/namespaces/default?resourceVersion=0');
    expect(cached.status).toBe(200);
    expect((await server.call('GET', '/readyz')).status).toBe(500);
    process.kill(etcd.pid()!, 'SIGCONT');
    await eventually(async () => expect((await server.call('GET', '/readyz')).status).toBe(200));
  } finally {
    process.kill(etcd.pid()!, 'SIGCONT');
    await server.stop();
    await etcd.stop();
  }
});

test('servers that start at once on an empty etcd all come up, and answer the same', async () => {
  const etcd = await startEtcd();
  const servers = await Promise.all(Array.from({ length: 4 }, () => startServer({ etcdServers: [etcd.url] })));
  const answers = await Promise.all(
    servers.map(({ call }) => call('GET', '/api/v1/namespaces/default/services/kubernetes')),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(new Set(answers.map(({ json }) => json['metadata']!['uid'])).size).toBe(1);
  await Promise.all(servers.map((server) => server.stop()));
  await etcd.stop();
});
