/**
 * Names of the cluster: https://github.com/kubernetes/dns/blob/master/docs/specification.md, version 1.1.
 *
 *   query ─▶ server (UDP, TCP) ─┬─ in the cluster's zone ─▶ answers ◀─ records ◀─ informers of Services and EndpointSlices
 *                               ├─ in Mesos' zone ─▶ Mesos tasks ◀─ the leading master's event stream
 *                               └─ elsewhere ─▶ forward ─▶ cache ─▶ upstream servers
 *
 * It must not know the apiserver but through client/, nor Mesos but by its API; it decides nothing.
 */
import { readFileSync } from 'node:fs';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Service } from '../api/kinds/service.ts';
import type { Client } from '../client/client.ts';
import { Informers } from '../client/informer.ts';
import { aborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { type HttpServer, serveHttp } from '../lib/serve-http.ts';
import type { MesosError } from '../mesos/errors.ts';
import type { Call, Event } from '../mesos/master.ts';
import { operatorApi } from '../mesos/session.ts';
import { Leader, type MasterOptions, keepSubscribed } from '../mesos/subscription.ts';
import { zooKeeperTls, zooKeeperTlsOptions } from '../mesos/zookeeper-tls.ts';
import { duration, list, number, port, text, type Values } from '../lib/options.ts';
import { answer, zoneOf, type Question, type Response } from './answers.ts';
import { Forwarder, type Upstreams } from './forward.ts';
import { MesosTasks } from './mesos-tasks.ts';
import { DnsMetrics } from './metrics.ts';
import { Records } from './records.ts';
import { listen, type DnsServer } from './server.ts';

export const options = {
  bindAddress: text('Address to answer on', '127.0.0.1', '<address>'),
  port: port('Port to answer on, UDP and TCP; 0 takes a free one', 53),
  clusterDomain: text('Zone of the cluster', 'cluster.local', '<domain>'),
  ttl: number('Seconds that clients may keep an answer of the cluster', 5, { min: 0, max: 3600 }),
  upstream: list('Servers for all other names; those of /etc/resolv.conf unless set', [], '<address,address:port>'),
  stubDomain: list(
    'Servers for one domain each, of equal ones one after the other: <domain>=<address[:port]>',
    [],
    '<domain=address>',
  ),
  cacheSize: number('Answers of other servers that are kept', 10_000, { min: 0 }),
  upstreamTimeout: duration('How long one upstream server may take', 2000),
  mesosMaster: text(
    "The Mesos masters whose frameworks' tasks have names, as for km scheduler; none unless set",
    '',
    '<masters>',
  ),
  mesosDomain: text('Zone of those names', 'mesos', '<domain>'),
  mesosPrincipal: text('Principal for Mesos authentication', '', '<name>'),
  mesosSecretFile: text('File with the secret of the principal', '', '<file>'),
  mesosCaFile: text('CA certificate of masters that speak TLS; naming it turns TLS on', '', '<file>'),
  ...zooKeeperTlsOptions,
  healthBindAddress: text("Where /ready, /health and /metrics are told, '' nowhere", '', '<address:port>'),
} as const;

export type Options = Values<typeof options>;

/** Resolves when the informers are in sync and the sockets are open; `closed` when the signal has stopped them. */
export async function start(
  o: Options,
  { client, log, signal }: { client: Client; log: Logger; signal: AbortSignal },
): Promise<DnsServer & { healthPort: number; closed: Promise<void> }> {
  const own = log.child({ component: 'dns' });
  const metrics = new DnsMetrics(`dns://${o.bindAddress}:${o.port}`, () => forwarder.size);
  const forwarder: Forwarder = new Forwarder(upstreamsOf(o), {
    cacheSize: o.cacheSize,
    timeoutMs: o.upstreamTimeout,
    log: own,
    asked: (isHit) => metrics.asked(isHit),
  });
  const informers = new Informers(client, own);
  const services = informers.of(Service);
  const slices = informers.of(EndpointSlice);
  const records = new Records(services, slices);
  let server: DnsServer | undefined;
  const isReady = () => server !== undefined && services.synced && slices.synced;
  const health = o.healthBindAddress ? await openHealth(o.healthBindAddress, isReady, metrics) : undefined;
  const tasks = o.mesosMaster ? followMesos(o, own, signal) : undefined;
  try {
    await informers.start(signal);
    const zone = zoneOf(o.clusterDomain, o.ttl);
    const resolve = (question: Question): Response | Promise<Response> =>
      answer(question, records, zone) ?? tasks?.answer(question) ?? forwarder.resolve(question, signal);
    server = await listen(
      o.bindAddress,
      o.port,
      own,
      (question) => followed(question, resolve),
      (observed) => metrics.answered(observed),
    );
  } catch (error) {
    await health?.close();
    throw error;
  }
  const { close, ...rest } = server;
  const closed = aborted(signal)
    .then(() => Promise.all([close(), health?.close()]))
    .then(() => undefined);
  return { ...rest, close, healthPort: health?.port ?? 0, closed };
}

/** As CoreDNS: /health while it lives, /ready when it knows the cluster, /metrics. */
const openHealth = (address: string, isReady: () => boolean, { registry }: DnsMetrics): Promise<HttpServer> =>
  serveHttp(address, {
    '/health': () => ({ body: 'OK' }),
    '/ready': () => (isReady() ? { body: 'OK' } : { code: 503, body: 'kubernetes' }),
    '/metrics': async () => ({ headers: { 'content-type': registry.contentType }, body: await registry.metrics() }),
  });

/** Mesos tasks that have names at most; beyond these somebody made them without end. */
const mostTasks = 100_000;

/** Reads the leading master's event stream for as long as the signal lets it; names stay as they were while nobody leads. */
function followMesos(o: Options, log: Logger, signal: AbortSignal): MesosTasks {
  let isFull = false;
  const tasks = new MesosTasks(zoneOf(o.mesosDomain, o.ttl), mostTasks, () => {
    if (!isFull) log.warn({ most: mostTasks }, 'there are more Mesos tasks than names are kept for');
    isFull = true;
  });
  const options = masterOptions(o);
  const subscriber = {
    protocol: operatorApi,
    subscribe: (): Call => ({ type: 'SUBSCRIBE' }),
    up: ({ url }: { url: string }) => tasks.leads(url),
    event: (event: Event) => tasks.event(event),
    down: (reason: MesosError) => log.warn({ err: reason }, 'the Mesos master tells of no tasks; trying again'),
  };
  keepSubscribed(new Leader(options, log, signal), options, subscriber, signal).catch((err: unknown) =>
    log.error({ err }, 'Mesos tasks have no names'),
  );
  return tasks;
}

function masterOptions(o: Options): MasterOptions {
  const read = (path: string) => readFileSync(path, 'utf8');
  const { mesosMaster: masters, mesosPrincipal: principal } = o;
  if (principal && !o.mesosSecretFile) throw new Error('--mesos-principal needs --mesos-secret-file');
  return {
    masters,
    credentials: principal ? { principal, secret: read(o.mesosSecretFile).trim() } : undefined,
    tls: o.mesosCaFile ? { ca: read(o.mesosCaFile) } : undefined,
    zooKeeperTls: zooKeeperTls(o),
  };
}

/** An alias of an alias is followed as far, and not in a circle. */
const longestChain = 8;

/** Callers expect the whole chain: what an alias stands for goes into the same answer. */
async function followed(
  question: Question,
  resolve: (question: Question) => Response | Promise<Response>,
): Promise<Response> {
  const response = await resolve(question);
  const answers = [...response.answers];
  const seen = new Set([question.name.toLowerCase()]);
  for (let last = response; last.authoritative && question.type !== 'CNAME' && seen.size <= longestChain;) {
    const [alias] = last.answers;
    if (alias?.type !== 'CNAME' || seen.has(alias.data.toLowerCase())) break;
    seen.add(alias.data.toLowerCase());
    last = await resolve({ name: alias.data, type: question.type });
    answers.push(...last.answers);
  }
  return { ...response, answers };
}

/** Who is asked for what; throws an Error that names what cannot be read. */
function upstreamsOf(o: Options): Upstreams {
  const given = o.stubDomain.map((text) => {
    const [domain, address] = text.split('=');
    if (!domain || !address) throw new Error(`--stub-domain: "${text}" should read <domain>=<address[:port]>`);
    return { domain: domain.toLowerCase().replace(/\.$/, ''), address };
  });
  const byDomain = Map.groupBy(given, ({ domain }) => domain);
  const stubs = [...byDomain].map(([domain, all]) => ({ domain, servers: all.map(({ address }) => address) }));
  return { stubs, servers: o.upstream.length > 0 ? o.upstream : resolvers('/etc/resolv.conf') };
}

function resolvers(path: string): string[] {
  try {
    return [...readFileSync(path, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]!);
  } catch {
    // A machine without one asks nobody: other names are refused.
    return [];
  }
}
