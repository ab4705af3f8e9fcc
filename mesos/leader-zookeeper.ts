/**
 * The election of the masters: under one path each has an ephemeral, sequential node `json.info_0000000012`;
 * the lowest number leads, and the node's data says where it is.
 */
import { Channel } from '../lib/channel.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import type { Tls } from './transport.ts';
import { ZooKeeperError, type ConnectZooKeeper, type ZooKeeper } from './zookeeper.ts';

export interface Election {
  servers: string[];
  path: string;
  digest: string | undefined;
}
interface Options {
  log: Logger;
  signal: AbortSignal;
  scheme?: 'http' | 'https' | undefined;
  sessionTimeout?: number | undefined;
  zooKeeperTls?: Tls | undefined;
}

export const electionPrefix = 'json.info_';

/** The node that leads, among the children of the election's path. */
export function leadingNode(children: readonly string[]): string | undefined {
  return children
    .filter((name) => /^json\.info_\d{10}$/.test(name))
    .sort()
    .at(0);
}

/** One session after another: after an expiry a new one begins. */
export async function* leadersInZooKeeper(
  election: Election,
  connect: ConnectZooKeeper,
  options: Options,
): AsyncGenerator<string | undefined, void, undefined> {
  const { log, signal } = options;
  let told: string | undefined | null = null;
  while (!signal.aborted) {
    for await (const leader of oneSession(election, connect, options)) {
      if (leader === told) continue;
      log.info({ leader }, leader === undefined ? 'No Mesos master leads' : 'A Mesos master leads');
      yield (told = leader);
    }
    await delay(500, signal).catch(() => undefined);
  }
}

async function* oneSession(
  election: Election,
  connect: ConnectZooKeeper,
  options: Options,
): AsyncGenerator<string | undefined> {
  const { log, signal, sessionTimeout = 10_000 } = options;
  const found = new Channel<string | undefined>();
  let watching = false;
  const look = () => void watchLeader(zk, election.path, options, look).then((leader) => found.push(leader), failed);
  const failed = (err: unknown) => {
    watching = false;
    if (!(err instanceof ZooKeeperError)) return found.end(err as Error);
    log.debug({ err }, 'ZooKeeper was asked in vain');
    // After a broken connection the next state change asks again; everything else is worth another try.
    if (err.code !== 'connection-lost') setTimeout(() => begin(), 500).unref();
  };
  const begin = () => {
    if (watching || zk.state !== 'connected') return;
    watching = true;
    look();
  };
  // Each fault is told once: connections are tried many times a second.
  const faults = new Set<string>();
  const zk = connect({
    servers: election.servers,
    sessionTimeout,
    digest: election.digest,
    tls: options.zooKeeperTls,
    onFault: (err) => {
      if (!faults.has(err.message)) log.warn({ err }, 'A ZooKeeper cannot be talked to; trying again');
      faults.add(err.message);
    },
    onState: (state) => {
      log.debug({ state }, 'The ZooKeeper session changed');
      if (state === 'connected') {
        faults.clear();
        begin();
      }
      if (state === 'unauthenticated') log.error('ZooKeeper refuses the user or password of the zk:// address');
      if (state === 'expired' || state === 'unauthenticated' || state === 'closed') found.end();
    },
  });
  // Also when nobody reads at the moment: no session outlives the signal.
  const stop = () => {
    found.end();
    void zk.close();
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    begin();
    yield* found;
  } finally {
    signal.removeEventListener('abort', stop);
    await zk.close();
  }
}

/** Reads the leader and leaves a watch that calls `changed` once. */
async function watchLeader(
  zk: ZooKeeper,
  path: string,
  { scheme = 'http', log }: Options,
  changed: () => void,
): Promise<string | undefined> {
  for (;;) {
    const children = await childrenOrMissing(zk, path, changed);
    const node = children && leadingNode(children);
    if (node === undefined) return undefined;
    try {
      const data = await zk.get(`${path === '/' ? '' : path}/${node}`);
      return addressOf(data, scheme);
    } catch (error) {
      if (error instanceof SyntaxError) {
        log.warn({ err: error, node }, 'What a Mesos master wrote into ZooKeeper cannot be read');
        return undefined;
      }
      // A node that left between the two questions: ask again who leads now.
      if (!(error instanceof ZooKeeperError) || error.code !== 'no-node') throw error;
    }
  }
}

async function childrenOrMissing(zk: ZooKeeper, path: string, changed: () => void): Promise<string[] | undefined> {
  for (;;) {
    try {
      return await zk.children(path, changed);
    } catch (error) {
      if (!(error instanceof ZooKeeperError) || error.code !== 'no-node') throw error;
    }
    // The masters make the path when the first of them comes up.
    if (!(await zk.exists(path, changed))) return undefined;
  }
}

/** MasterInfo in the JSON of v0: `{"address":{"hostname","ip","port"},"hostname","pid","port",…}`. Throws SyntaxError. */
export function addressOf(data: Uint8Array, scheme: string): string {
  const info = JSON.parse(Buffer.from(data).toString('utf8')) as {
    address?: { ip?: string; hostname?: string; port?: number };
    hostname?: string;
    port?: number;
  };
  const host = info.address?.ip ?? info.address?.hostname ?? info.hostname;
  const port = info.address?.port ?? info.port;
  if (host === undefined || port === undefined) throw new SyntaxError('no address in the MasterInfo');
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
