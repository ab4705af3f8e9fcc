import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { isAlreadyExists, isConflict } from '../../api/status.ts';
import { freePort } from '../../cli/ports.ts';
import { Client } from '../../client/client.ts';
import { Informer } from '../../client/informer.ts';
import { lead } from '../../client/lease.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { makeCa, type TestAuthority } from '../pki.ts';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { startSwitch, type TcpSwitch } from './tcp-switch.ts';

/** Seconds for which apiservers are killed; more of them by hand. */
const seconds = Number(process.env['KM_REPLICAS_SECONDS'] ?? 20);
const token = 'replica-token';
const dir = mkdtempSync(join(tmpdir(), 'km-replicas-'));
let ca: TestAuthority;
let etcd: EtcdProcess;
let replicas: Replica[];
let front: TcpSwitch;
let agent: Agent;

/** An apiserver in a process of its own, that can be killed and comes back on its port. */
class Replica {
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(port: number) {
    this.port = port;
  }

  async start(): Promise<void> {
    const file = (name: string) => join(dir, name);
    this.#child = spawn(
      process.execPath,
      [
        ...['cli/km.ts', 'apiserver', '--port', String(this.port), '--etcd-servers', etcd.url],
        ...['--tls-cert-file', file('server.pem'), '--tls-key-file', file('server.key')],
        ...['--token-auth-file', file('tokens.csv'), '--disable-admission-plugins', 'ServiceAccount'],
      ],
      { stdio: 'ignore' },
    );
    const origin = `https://127.0.0.1:${this.port}`;
    await eventually(async () => {
      const { statusCode, body } = await agent.request({ origin, path: '/readyz', method: 'GET' });
      await body.dump();
      expect(statusCode).toBe(200);
    }, 30_000);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

beforeAll(async () => {
  ca = await makeCa();
  agent = new Agent({ connect: { ca: ca.pem } });
  const serving = await ca.issue('kubernetes');
  writeFileSync(join(dir, 'server.pem'), serving.cert);
  writeFileSync(join(dir, 'server.key'), serving.key);
  writeFileSync(join(dir, 'tokens.csv'), `${token},admin,1,system:masters\n`);
  etcd = await startEtcd();
  replicas = [new Replica(await freePort()), new Replica(await freePort())];
  for (const replica of replicas) await replica.start();
  front = await startSwitch(replicas.map(({ port }) => port));
}, 60_000);
afterAll(async () => {
  await front.close();
  for (const replica of replicas) await replica.kill();
  await agent.destroy();
  await etcd.stop();
  rmSync(dir, { recursive: true, force: true });
}, 30_000);

const url = () => `https://127.0.0.1:${front.port}`;
const labels = { counter: 'true' };
const stretched = (seconds + 60) * 1000;

/** Kills one after the other, each only once the one before is back. */
async function killInTurn(signal: AbortSignal): Promise<number> {
  let kills = 0;
  while (!signal.aborted) {
    await pause(2000);
    const replica = replicas[kills % replicas.length]!;
    await replica.kill();
    await replica.start();
    kills += 1;
  }
  return kills;
}

/** Counts an object up as fast as it can be, whatever becomes of the answers; resolves with the last number. */
async function count(client: Client, name: string, signal: AbortSignal): Promise<number> {
  const ref = { namespace: 'default', name };
  const blank = { metadata: { ...ref, labels }, data: { n: '0' } };
  let last = -1;
  while (!signal.aborted || last < 1) {
    try {
      const current = last < 0 ? await client.create(ConfigMap, blank) : await client.get(ConfigMap, ref);
      last = Number(current.data!['n']);
      await client.update(ConfigMap, { ...current, data: { n: String(last + 1) } });
      last += 1;
    } catch (error) {
      if (isAlreadyExists(error)) last = 0;
      else if (!isConflict(error)) await pause(50);
    }
  }
  return eventually(async () => Number((await client.get(ConfigMap, ref)).data!['n']));
}

/** What a follower saw, by object. */
class Seen {
  readonly counts = new Map<string, number[]>();
  readonly versions = new Map<string, number[]>();

  note({ metadata, data }: V1ConfigMap | ConfigMap): void {
    const name = metadata!.name!;
    if (!this.counts.has(name)) this.counts.set(name, []);
    if (!this.versions.has(name)) this.versions.set(name, []);
    this.counts.get(name)!.push(Number(data!['n']));
    this.versions.get(name)!.push(Number(metadata!.resourceVersion));
  }

  /** Every number from 0 to the last, in order, each once. */
  expectAll(finals: ReadonlyMap<string, number>): void {
    for (const [name, last] of finals) {
      expect(this.counts.get(name)).toEqual(Array.from({ length: last + 1 }, (_, i) => i));
      const versions = this.versions.get(name)!;
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }
  }
}

function clientNodeInformer(seen: Seen): { stop: () => Promise<void> } {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'km', server: url(), caData: Buffer.from(ca.pem).toString('base64'), skipTLSVerify: false }],
    users: [{ name: 'admin', token }],
    contexts: [{ name: 'km', cluster: 'km', user: 'admin' }],
    currentContext: 'km',
  });
  const core = config.makeApiClient(CoreV1Api);
  const selector = 'counter=true';
  const informer = makeInformer(
    config,
    '/api/v1/namespaces/default/configmaps',
    () => core.listNamespacedConfigMap({ namespace: 'default', labelSelector: selector }),
    selector,
  );
  let isOver = false;
  informer.on('add', (object) => seen.note(object));
  informer.on('update', (object) => seen.note(object));
  informer.on('error', () => {
    if (!isOver) setTimeout(() => void informer.start(), 100);
  });
  void informer.start();
  return {
    stop: () => {
      isOver = true;
      return informer.stop();
    },
  };
}

test(
  'behind one address, of apiservers that are killed in turn no follower misses a change, nor sees one twice or late',
  async () => {
    const writer = new Client({ server: url(), ca: ca.pem, token });
    const over = new AbortController();
    const [theirs, ours] = [new Seen(), new Seen()];
    const follower = clientNodeInformer(theirs);
    const informer = new Informer(writer, ConfigMap, { namespace: 'default', labelSelector: 'counter=true' }, silent);
    informer.on((change) => {
      if (change.type !== 'deleted') ours.note(change.object);
    });
    await informer.start(over.signal);
    const time = AbortSignal.timeout(seconds * 1000);
    const names = ['a', 'b', 'c', 'd'];
    const [kills, ...finals] = await Promise.all([killInTurn(time), ...names.map((name) => count(writer, name, time))]);
    const wanted = new Map(names.map((name, i) => [name, finals[i]!]));
    try {
      expect(kills).toBeGreaterThan(1);
      for (const last of finals) expect(last).toBeGreaterThan(10);
      await eventually(() => {
        theirs.expectAll(wanted);
        ours.expectAll(wanted);
      }, 15_000);
    } finally {
      over.abort();
      await follower.stop();
      await writer.close();
    }
  },
  stretched,
);

test(
  'of three candidates exactly one leads at a time, while apiservers are killed',
  async () => {
    const stopping = new AbortController();
    const client = new Client({ server: url(), ca: ca.pem, token });
    const leading = new Set<string>();
    let most = 0;
    let terms = 0;
    const candidate = async (identity: string): Promise<void> => {
      const times = { leaseDuration: 3000, renewDeadline: 2000, retryPeriod: 300 };
      while (!stopping.signal.aborted) {
        const { lost, release } = await lead({
          ...{ client, name: 'replicas', identity, log: silent, signal: stopping.signal },
          ...times,
        });
        leading.add(identity);
        terms += 1;
        most = Math.max(most, leading.size);
        // Whoever leads steps down after a while, so that the others have their turn.
        await Promise.race([once(lost, 'abort'), pause(1500)]);
        leading.delete(identity);
        await release().catch(() => undefined);
      }
    };
    const candidates = ['x', 'y', 'z'].map((identity) => candidate(identity).catch(() => undefined));
    const kills = await killInTurn(AbortSignal.timeout((seconds / 2) * 1000));
    await eventually(() => expect(leading.size).toBe(1), 10_000);
    stopping.abort();
    await Promise.all(candidates);
    await client.close();
    expect(kills).toBeGreaterThan(0);
    expect(terms).toBeGreaterThan(1);
    expect(most).toBe(1);
  },
  stretched,
);
