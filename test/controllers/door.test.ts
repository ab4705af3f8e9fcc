import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { Deployment } from '../../api/kinds/deployment.ts';
import { openDoor } from '../../client/door.ts';
import { Figures, options } from '../../controllers/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { eventually } from '../eventually.ts';
import { makeCa } from '../pki.ts';
import { adminToken } from '../apiserver/harness.ts';
import { deployment, startControllers } from './harness.ts';

describe('the figures of a queue', () => {
  test('count what is added, waits, is worked on and comes again', async () => {
    let now = 0;
    const figures = new Figures(() => now);
    const queue = figures.watch('job');
    queue.added('a');
    queue.added('b');
    now = 2000;
    queue.taken('a');
    now = 5000;
    queue.retried('a');
    const text = await figures.registry.metrics();
    for (const line of [
      'workqueue_adds_total{name="job"} 2',
      'workqueue_retries_total{name="job"} 1',
      'workqueue_depth{name="job"} 1',
      'workqueue_unfinished_work_seconds{name="job"} 3',
      'workqueue_longest_running_processor_seconds{name="job"} 3',
      'workqueue_queue_duration_seconds_sum{name="job"} 2',
    ])
      expect(text).toContain(line);
    queue.done('a');
    expect(await figures.registry.metrics()).toContain('workqueue_work_duration_seconds_sum{name="job"} 3');
  });

  test('tell which controller hangs', () => {
    let now = 0;
    const figures = new Figures(() => now);
    const queue = figures.watch('job');
    figures.watch('deployment');
    queue.added('a');
    queue.taken('a');
    now = 300_000;
    expect(figures.checks().map(({ problem }) => problem)).toEqual([undefined, undefined]);
    now = 301_000;
    expect(figures.checks()).toEqual([
      { name: 'job', problem: 'one key has been worked on for 301 seconds' },
      { name: 'deployment', problem: undefined },
    ]);
  });
});

describe('the port of the controllers', () => {
  let w: Awaited<ReturnType<typeof startControllers>>;
  let door: Awaited<ReturnType<typeof openDoor>>;
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const given = { ...defaultsOf(options), bindAddress: '127.0.0.1' };
  const rooms = () => ({ name: 'km-test', registry: w.figures.registry, checks: () => w.figures.checks() });
  beforeAll(async () => {
    w = await startControllers();
    door = await openDoor(given, rooms(), { client: w.own, log: silent, signal: w.signal });
  });
  afterAll(async () => {
    await agent.close();
    await w.stop();
  });
  const ask = async (path: string, token?: string, method: 'GET' | 'POST' = 'GET') => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const { statusCode, body } = await agent.request({
      origin: `https://127.0.0.1:${door.port}`,
      path,
      method,
      headers,
    });
    return [statusCode, await body.text()] as const;
  };

  test('says to everybody how the controllers are, each or all', async () => {
    expect(await ask('/healthz')).toEqual([200, 'ok']);
    expect(await ask('/healthz/deployment')).toEqual([200, 'ok']);
    expect(await ask('/healthz/nonsense')).toEqual([404, 'there is no check nonsense']);
    const [code, text] = await ask('/readyz?verbose&exclude=job');
    expect([code, text.split('\n').at(-1)]).toEqual([200, 'readyz check passed']);
    expect(text).toContain('[+]deployment ok\n');
    expect(text).not.toContain('[+]job ok');
    expect((await ask('/healthz', undefined, 'POST'))[0]).toBe(405);
  });

  test('tells its figures to whom the apiserver lets', async () => {
    await w.client.create(Deployment, deployment('counted', 1));
    expect(await ask('/metrics')).toEqual([401, 'Unauthorized']);
    expect(await ask('/metrics', 'no-token')).toEqual([401, 'Unauthorized']);
    // The controllers' own user may do much, but not this.
    expect(await ask('/metrics', 'controller-token')).toEqual([
      403,
      'User "system:kube-controller-manager" cannot get path "/metrics"',
    ]);
    await eventually(async () => {
      const [code, text] = await ask('/metrics', adminToken);
      expect(code).toBe(200);
      expect(text).toMatch(/^workqueue_adds_total\{name="deployment"\} [1-9]/m);
      expect(text).toMatch(/^workqueue_depth\{name="garbage-collector"\} \d/m);
    });
    expect((await ask('/nowhere', adminToken))[0]).toBe(404);
  });

  test('shows new callers a certificate that has changed, and goes on with the old one while the new is unreadable', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'km-door-'));
    const [tlsCertFile, tlsPrivateKeyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    const ca = await makeCa();
    const put = async (name: string) => {
      const { cert, key } = await ca.issue(name);
      writeFileSync(tlsPrivateKeyFile, key);
      writeFileSync(tlsCertFile, cert);
    };
    await put('first');
    const files = { ...given, tlsCertFile, tlsPrivateKeyFile };
    const own = await openDoor(files, rooms(), { client: w.own, log: silent, signal: w.signal });
    const shown = async () => {
      const socket = connect({ port: own.port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return subject.CN;
    };
    expect(await shown()).toBe('first');
    writeFileSync(tlsCertFile, 'no certificate');
    expect(await shown()).toBe('first');
    await put('second');
    await eventually(async () => expect(await shown()).toBe('second'), 20_000);
    await own.close();
    rmSync(dir, { recursive: true });
  }, 40_000);

  test('a port that is taken is named', async () => {
    const again = openDoor({ ...given, port: door.port }, rooms(), {
      client: w.own,
      log: silent,
      signal: w.signal,
    });
    await expect(again).rejects.toThrow(`port ${door.port} is taken`);
  });
});
