/**
 * Names of the cluster: https://github.com/kubernetes/dns/blob/master/docs/specification.md, version 1.1.
 *
 *   query ─▶ server (UDP, TCP) ─┬─ in the cluster's zone ─▶ answers ◀─ records ◀─ informers of Services and EndpointSlices
 *                               └─ elsewhere ─▶ forward ─▶ cache ─▶ upstream servers
 *
 * It must not know the apiserver but through client/, and it decides nothing: what there is, is asked of the cluster.
 */
import { readFileSync } from 'node:fs';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Service } from '../api/kinds/service.ts';
import type { Client } from '../client/client.ts';
import { Informers } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';
import { duration, list, number, port, text, type Values } from '../lib/options.ts';
import { answer, zoneOf, type Question, type Response } from './answers.ts';
import { Forwarder, type Upstreams } from './forward.ts';
import { Records } from './records.ts';
import { listen, type DnsServer } from './server.ts';

export const options = {
  bindAddress: text('Address to answer on', '127.0.0.1', '<address>'),
  port: port('Port to answer on, UDP and TCP; 0 takes a free one', 53),
  clusterDomain: text('Zone of the cluster', 'cluster.local', '<domain>'),
  ttl: number('Seconds that clients may keep an answer of the cluster', 5, { min: 0, max: 3600 }),
  upstream: list('Servers for all other names; those of /etc/resolv.conf unless set', [], '<address,address:port>'),
  stubDomain: list('Servers for one domain each: <domain>=<address[:port]>', [], '<domain=address>'),
  cacheSize: number('Answers of other servers that are kept', 10_000, { min: 0 }),
  upstreamTimeout: duration('How long one upstream server may take', 2000),
} as const;

export type Options = Values<typeof options>;

/** Resolves when the informers are in sync and the sockets are open; `closed` when the signal has stopped them. */
export async function start(
  o: Options,
  { client, log, signal }: { client: Client; log: Logger; signal: AbortSignal },
): Promise<DnsServer & { closed: Promise<void> }> {
  const own = log.child({ component: 'dns' });
  const informers = new Informers(client, own);
  const records = new Records(informers.of(Service), informers.of(EndpointSlice));
  await informers.start(signal);
  const zone = zoneOf(o.clusterDomain, o.ttl);
  const forwarder = new Forwarder(upstreamsOf(o), { cacheSize: o.cacheSize, timeoutMs: o.upstreamTimeout, log: own });
  const resolve = (question: Question): Response | Promise<Response> =>
    answer(question, records, zone) ?? forwarder.resolve(question, signal);
  const server = await listen(o.bindAddress, o.port, own, (question) => followed(question, resolve));
  const closed = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => void server.close().then(resolve), { once: true });
    if (signal.aborted) void server.close().then(resolve);
  });
  return { ...server, closed };
}

/** Callers expect the whole chain: what an alias stands for goes into the same answer. */
async function followed(
  question: Question,
  resolve: (question: Question) => Response | Promise<Response>,
): Promise<Response> {
  const response = await resolve(question);
  const [alias] = response.answers;
  if (!response.authoritative || alias?.type !== 'CNAME' || question.type === 'CNAME') return response;
  const { answers } = await resolve({ name: alias.data, type: question.type });
  return { ...response, answers: [alias, ...answers] };
}

/** Who is asked for what; throws an Error that names what cannot be read. */
function upstreamsOf(o: Options): Upstreams {
  const stubs = o.stubDomain.map((text) => {
    const [domain, address] = text.split('=');
    if (!domain || !address) throw new Error(`--stub-domain: "${text}" should read <domain>=<address[:port]>`);
    return { domain: domain.toLowerCase().replace(/\.$/, ''), servers: [address] };
  });
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
