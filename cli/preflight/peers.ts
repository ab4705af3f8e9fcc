import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { Agent, request } from 'undici';
import type { Logger } from '../../lib/log.ts';
import { type ProxyUse, noProxyOf, proxyFor } from '../../lib/no-proxy.ts';
import { leaders } from '../../mesos/leader.ts';
import { openSocket, zooKeeperTls } from '../../mesos/zookeeper-tls.ts';
import type { Tls } from '../../mesos/transport.ts';
import { type Finding, error, warning } from './findings.ts';
import type { Listen, Needs, Peers } from './needs.ts';

const patience = 3000;

const portOf = (url: URL): number => Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');

export interface Looked {
  findings: Finding[];
  /** Masters that lead now, where they are not among those named: their addresses are what is talked to. */
  leaders: Peers[];
}

/** Names that do not resolve, servers that do not answer, clocks that differ. What we are to serve ourselves is not asked. */
export async function checkPeers(peers: readonly Peers[], own: readonly Listen[], log: Logger): Promise<Looked> {
  const looked = await Promise.all(peers.map((some) => checkOneOf(some, own, log)));
  return {
    findings: looked.flatMap(({ findings }) => findings),
    leaders: looked.flatMap(({ leaders }) => leaders),
  };
}

async function checkOneOf({ what, urls, flag, masters }: Peers, own: readonly Listen[], log: Logger): Promise<Looked> {
  const asked = urls.filter((url) => !isOurs(new URL(url), own));
  const answers = await Promise.all(asked.map(async (url) => ({ url, why: await silence(new URL(url), masters) })));
  const some = answers.some(({ why }) => why === '');
  const silent = answers.filter(({ why }) => why !== '').map(({ url, why }) => told(url, why));
  const clocks = await Promise.all(answers.filter(({ why }) => why === '').map(({ url }) => checkClock(url)));
  const findings = [...silent, ...clocks.flat()];
  if (!masters || !some) return { findings, leaders: [] };
  const leader = await leaderOf(masters, log);
  if (leader === undefined) findings.push(warning['no-leader'](withoutPassword(masters.spec), flag));
  if (leader === undefined || urls.includes(leader)) return { findings, leaders: [] };
  const leading = { what: 'leading Mesos master', urls: [leader], flag };
  const further = await checkOneOf(leading, own, log);
  return { findings: [...findings, ...further.findings], leaders: [leading] };

  function told(url: string, why: string): Finding {
    if (some) return warning['peer-down'](what, url, flag, why);
    return why === 'ENOTFOUND' || why === 'EAI_AGAIN'
      ? error['name-unknown'](hostOf(new URL(url)), flag)
      : error['peer-silent'](what, url, flag, why);
  }
}

/** URL of the master that leads; undefined when none does within seconds. */
async function leaderOf(
  { spec, scheme, caFile, zooKeeper }: NonNullable<Peers['masters']>,
  log: Logger,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(2 * patience);
  try {
    const ca = caFile === '' ? undefined : readFileSync(caFile, 'utf8');
    const options = { log, signal, scheme, ca, zooKeeperTls: zooKeeperTls(zooKeeper) };
    for await (const leader of leaders(spec, options)) if (leader !== undefined) return leader;
  } catch (err) {
    log.debug({ err }, 'the leading master cannot be found');
  }
  return undefined;
}

const withoutPassword = (spec: string): string => spec.replace(/\/\/[^/@]*@/, '//…@');

function isOurs(url: URL, own: readonly Listen[]): boolean {
  const host = hostOf(url);
  const addresses = Object.values(networkInterfaces()).flatMap((some) => (some ?? []).map(({ address }) => address));
  const isHere = ['localhost', hostname(), ...addresses].includes(host);
  return isHere && own.some(({ port }) => port === portOf(url));
}

/** Why nothing answers there; '' when something does. */
async function silence(url: URL, masters: Peers['masters']): Promise<string> {
  let tls: Tls | undefined;
  try {
    if (masters && url.protocol === 'zk:') tls = zooKeeperTls(masters.zooKeeper);
  } catch {
    // Files that cannot be read are told as such.
  }
  return new Promise((resolve) => {
    const socket = openSocket({ host: hostOf(url), port: portOf(url) }, tls, () => end(''));
    const end = (why: string) => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(patience, () => end(`no answer in ${patience / 1000} s`));
    socket.once('error', (cause: NodeJS.ErrnoException) => end(cause.code ?? cause.message));
  });
}

/** Leases and tokens allow for little, certificates of ours for five minutes. */
const [skewed, wrong] = [3000, 5 * 60_000];

/** By the date in an answer; servers that give none tell nothing. */
async function checkClock(url: string): Promise<Finding[]> {
  if (!url.startsWith('http')) return [];
  // Only the date is read, and nothing is told: it does not matter who answers.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false, timeout: patience } });
  try {
    const answer = await request(new URL('/version', url), { dispatcher, signal: AbortSignal.timeout(patience) });
    await answer.body.dump();
    const date = Date.parse(String(answer.headers.date));
    const off = Math.abs(Date.now() - date);
    if (Number.isNaN(date) || off < skewed) return [];
    return [off < wrong ? warning['clock-skew'](off, url) : error['clock-wrong'](off, url)];
  } catch {
    return [];
  } finally {
    await dispatcher.destroy();
  }
}

/** Names of this machine that lead others astray. Debian gives a machine's own name the address 127.0.1.1. */
export async function checkNames(told: NonNullable<Needs['told']>): Promise<Finding[]> {
  const own = await addressesOf(hostname());
  const findings = await Promise.all(
    told
      .filter(({ host }) => !isIP(host) && host !== 'localhost')
      .map(async ({ host, flag }) => {
        const addresses = await addressesOf(host);
        const [first] = addresses;
        if (first === undefined) return [error['name-unknown'](host, flag)];
        return isLoopback(first) ? [error['told-loopback'](host, flag, first)] : [];
      }),
  );
  const ours =
    own[0] === undefined
      ? [warning['hostname-unknown'](hostname())]
      : isLoopback(own[0])
        ? [warning['hostname-loopback'](hostname(), own[0])]
        : [];
  return [...findings.flat(), ...(hostname() === 'localhost' ? [] : ours)];
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const addressesOf = (host: string): Promise<string[]> =>
  lookup(host, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => [],
  );

/** An address of control traffic that other programs would look for behind a proxy. */
export interface Proxied extends ProxyUse {
  url: string;
  flag: string;
}

export interface Proxies {
  /** NO_PROXY with everything that has to be in it. */
  noProxy: string;
  proxied: readonly Proxied[];
}

/** km never asks a proxy for control traffic; kubectl, etcdctl and curl do. */
export function proxiesOf(peers: readonly Peers[], env: Readonly<Record<string, string | undefined>>): Proxies {
  const proxied = peers.flatMap(({ urls, flag }) =>
    urls.flatMap((url) => {
      const use = proxyFor(url, env);
      return use ? [{ url, flag, ...use }] : [];
    }),
  );
  const hosts = [...proxied.map(({ url }) => hostOf(new URL(url)))];
  return { noProxy: [...new Set([...noProxyOf(env), ...hosts])].join(','), proxied };
}
