/**
 * Who leads? `leaders()` tells the address of the leading master, and each change of it.
 *
 *   zk://[user:password@]h1:2181,h2:2181/mesos   the masters' election in ZooKeeper, watched
 *   h1:5050,h2:5050                              asks each in turn where the leader is (GET /redirect), again and again
 *   h1:5050, http://h1:5050, https://h1          the same with one
 *   file:///etc/mesos/zk                         a file that holds one of these
 *
 * The address is a URL without path, `http://host:port`. A leader that was told may have gone meanwhile: whoever
 * connects follows redirects and comes back for the next.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'undici';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { chooseZooKeeper, type ZooKeeperClient } from './zookeeper-choose.ts';
import { leadersInZooKeeper } from './leader-zookeeper.ts';
import type { Tls } from './transport.ts';
import type { ConnectZooKeeper } from './zookeeper.ts';

export interface LeadersOptions {
  log: Logger;
  signal: AbortSignal;
  /** `http` unless told; of the masters that a spec names without a scheme. */
  scheme?: 'http' | 'https' | undefined;
  /** PEM of the CA of masters that speak TLS. */
  ca?: string | undefined;
  /** Milliseconds between two questions to plain masters; 2 s unless told. */
  interval?: number | undefined;
  /** Milliseconds of the ZooKeeper session; 10 s unless told, as in Mesos. */
  sessionTimeout?: number | undefined;
  /** For a ZooKeeper that speaks TLS; with it our own client is used. */
  zooKeeperTls?: Tls | undefined;
  /** Which ZooKeeper client; the native one, where there is one, unless told. */
  client?: ZooKeeperClient | undefined;
  /** Instead of choosing one. */
  connect?: ConnectZooKeeper | undefined;
}

export type LeaderSpec =
  | { kind: 'zookeeper'; servers: string[]; path: string; digest: string | undefined }
  | { kind: 'masters'; urls: string[] }
  | { kind: 'file'; path: string };

/** Throws an Error that says what would be right. */
export function parseLeaderSpec(spec: string, scheme: 'http' | 'https' = 'http'): LeaderSpec {
  const text = spec.trim();
  if (text.startsWith('file://')) return { kind: 'file', path: fileURLToPath(text) };
  if (text.startsWith('zk://')) return parseZooKeeper(text);
  const urls = text.split(',').map((part) => masterUrl(part.trim(), scheme));
  return { kind: 'masters', urls };
}

function parseZooKeeper(text: string): LeaderSpec {
  const match = /^zk:\/\/(?:([^@/]+)@)?([^@/]+)(\/.*)?$/.exec(text);
  const servers = match?.[2]?.split(',').map((part) => (/:\d+$/.test(part) ? part : `${part}:2181`)) ?? [];
  const digest = match?.[1];
  if (
    servers.length === 0 ||
    servers.some((s) => !/^(\[[\da-f:]+\]|[^:\s]+):\d{1,5}$/i.test(s)) ||
    digest?.includes(':') === false
  )
    throw new Error(`expected zk://[user:password@]host:port,host:port/path, got "${text.replace(/\/\/.*@/, '//…@')}"`);
  return { kind: 'zookeeper', servers, path: match?.[3]?.replace(/\/+$/, '') || '/', digest };
}

function masterUrl(text: string, scheme: string): string {
  const full = /^https?:\/\//.test(text) ? text : `${scheme}://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url || text === '' || url.hostname === '')
    throw new Error(`expected host:port or http(s)://host:port of a Mesos master, got "${text}"`);
  if (url.port === '' && !/^https?:\/\//.test(text)) url.port = '5050';
  return url.origin;
}

/**
 * The leading master now and after each change; undefined while none is known. One reader; ends with the signal.
 * Throws only for a spec that cannot be right.
 */
export async function* leaders(
  spec: string,
  options: LeadersOptions,
): AsyncGenerator<string | undefined, void, undefined> {
  let parsed = parseLeaderSpec(spec, options.scheme);
  if (parsed.kind === 'file') parsed = parseLeaderSpec(await readFile(parsed.path, 'utf8'), options.scheme);
  if (parsed.kind === 'file') throw new Error('the file that names the masters may not name another file');
  if (parsed.kind === 'masters') return yield* leadersAmong(parsed.urls, options);
  const connect = options.connect ?? (await chooseZooKeeper(options.zooKeeperTls ? 'own' : options.client));
  yield* leadersInZooKeeper(parsed, connect, options);
}

async function* leadersAmong(urls: readonly string[], options: LeadersOptions): AsyncGenerator<string | undefined> {
  const { interval = 2000, log, signal } = options;
  let told: string | undefined | null = null;
  while (!signal.aborted) {
    const found = await firstLeader(urls, options);
    if (found !== told) {
      log.info({ leader: found }, found === undefined ? 'No Mesos master leads' : 'A Mesos master leads');
      yield (told = found);
    }
    await delay(interval, signal).catch(() => undefined);
  }
}

async function firstLeader(urls: readonly string[], options: LeadersOptions): Promise<string | undefined> {
  for (const url of urls) {
    const leader = await askRedirect(url, options);
    if (leader !== undefined) return leader;
  }
  return undefined;
}

/** Where `GET /redirect` points: every master knows the leader, the leader points to itself. */
async function askRedirect(url: string, { ca, signal, log }: LeadersOptions): Promise<string | undefined> {
  const client = new Client(url, {
    headersTimeout: 5000,
    bodyTimeout: 5000,
    connect: { timeout: 5000, ...(ca === undefined ? {} : { ca }) },
  });
  try {
    const answer = await client.request({ method: 'GET', path: '/redirect', signal });
    await answer.body.text();
    const { location } = answer.headers;
    if (answer.statusCode !== 307 || typeof location !== 'string' || !URL.canParse(location, url)) return undefined;
    return new URL(location, url).origin;
  } catch (err) {
    if (!signal.aborted) log.debug({ err, master: url }, 'A Mesos master does not answer');
    return undefined;
  } finally {
    await client.destroy();
  }
}
