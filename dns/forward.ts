import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import {
  decode,
  encode,
  streamDecode,
  streamEncode,
  RECURSION_DESIRED,
  type Answer,
  type DecodedPacket,
  type Packet,
} from 'dns-packet';
import { LRUCache } from 'lru-cache';
import { randomInt } from 'node:crypto';
import type { Logger } from '../lib/log.ts';
import type { Question, Response } from './answers.ts';

export interface Upstreams {
  servers: readonly string[];
  /** Domains that other servers know. */
  stubs: readonly { domain: string; servers: readonly string[] }[];
}

export interface ForwardOptions {
  cacheSize: number;
  timeoutMs: number;
  log: Logger;
  /** Told of every question whether its answer was kept. */
  asked?: (isHit: boolean) => void;
}

const maxTtl = 3600;
const negativeTtl = 30;
const maxInFlight = 1000;

/** Asks other servers for names that are not the cluster's, and keeps what they answered for as long as they say. */
export class Forwarder {
  readonly #upstreams: Upstreams;
  readonly #options: ForwardOptions;
  readonly #cache: LRUCache<string, { response: Response; until: number }> | undefined;
  readonly #asking = new Map<string, Promise<Response>>();

  constructor(upstreams: Upstreams, options: ForwardOptions) {
    // The longest domain that a name is in is asked.
    this.#upstreams = { ...upstreams, stubs: upstreams.stubs.toSorted((a, b) => b.domain.length - a.domain.length) };
    this.#options = options;
    this.#cache = options.cacheSize > 0 ? new LRUCache({ max: options.cacheSize }) : undefined;
  }

  /** How many answers are kept. */
  get size(): number {
    return this.#cache?.size ?? 0;
  }

  async resolve(question: Question, signal: AbortSignal): Promise<Response> {
    const key = `${question.type} ${question.name.toLowerCase()}`;
    const known = this.#cache?.get(key);
    const isHit = known !== undefined && known.until > Date.now();
    this.#options.asked?.(isHit);
    if (isHit) return aged(known.response, known.until);
    // Many who ask the same at once are one question.
    const running = this.#asking.get(key);
    if (running) return running;
    if (this.#asking.size >= maxInFlight) return refusal('SERVFAIL');
    const asking = this.#ask(question, signal).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    const response = await asking;
    if (response.rcode === 'NOERROR' || response.rcode === 'NXDOMAIN')
      this.#cache?.set(key, { response, until: Date.now() + ttlOf(response) * 1000 });
    return response;
  }

  async #ask(question: Question, signal: AbortSignal): Promise<Response> {
    const name = question.name.toLowerCase().replace(/\.$/, '');
    const stub = this.#upstreams.stubs.find(({ domain }) => name === domain || name.endsWith(`.${domain}`));
    const servers = stub?.servers ?? this.#upstreams.servers;
    if (servers.length === 0) return refusal('REFUSED');
    for (const server of servers)
      try {
        return await this.#askOne(question, server, signal);
      } catch (err) {
        if (signal.aborted) break;
        this.#options.log.debug({ err, server, name }, 'an upstream server did not answer');
      }
    return refusal('SERVFAIL');
  }

  async #askOne(question: Question, server: string, signal: AbortSignal): Promise<Response> {
    const { host, port } = endpoint(server);
    const packet: Packet = {
      type: 'query',
      id: randomInt(65_536),
      flags: RECURSION_DESIRED,
      questions: [{ type: question.type as 'A', name: question.name }],
    };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    let answer = await overUdp(packet, host, port, limit);
    if (answer.flag_tc) answer = await overTcp(packet, host, port, limit);
    const { answers = [], authorities = [] } = answer;
    return {
      rcode: rcodeOf(answer),
      authoritative: false,
      answers: answers.filter(isRecord),
      authorities: authorities.filter(isRecord),
    };
  }
}

const rcodeOf = (packet: DecodedPacket): Response['rcode'] => {
  const rcode = (packet as unknown as { rcode: string }).rcode;
  return rcode === 'NOERROR' || rcode === 'NXDOMAIN' || rcode === 'REFUSED' ? rcode : 'SERVFAIL';
};

/** OPT is between two servers, and is not handed on (RFC 6891, 6.1.1). */
const isRecord = ({ type }: Answer): boolean => type !== 'OPT';

const refusal = (rcode: Response['rcode']): Response => ({
  rcode,
  authoritative: false,
  answers: [],
  authorities: [],
});

const ttlIn = (record: Answer): number => ('ttl' in record ? (record.ttl ?? 0) : maxTtl);

function ttlOf({ answers, authorities }: Response): number {
  const records = answers.length > 0 ? answers : authorities;
  const least = records.reduce((min, record) => Math.min(min, ttlIn(record)), maxTtl);
  return answers.length > 0 ? least : Math.min(least, negativeTtl);
}

function aged(response: Response, until: number): Response {
  const ttl = Math.max(1, Math.ceil((until - Date.now()) / 1000));
  return { ...response, answers: response.answers.map((record) => ({ ...record, ttl }) as Answer) };
}

/** `10.0.0.1`, `10.0.0.1:5353`, `[fd00::1]:53`. */
function endpoint(server: string): { host: string; port: number } {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(server) ?? /^([^:]+)(?::(\d+))?$/.exec(server);
  return match ? { host: match[1]!, port: Number(match[2] ?? 53) } : { host: server, port: 53 };
}

function overUdp(packet: Packet, host: string, port: number, signal: AbortSignal): Promise<DecodedPacket> {
  const bytes = encode(packet);
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  return new Promise<DecodedPacket>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    socket.on('error', reject);
    socket.on('message', (received) => {
      try {
        const answer = decode(received);
        // Another id is somebody else's answer, or a forged one.
        if (answer.id === packet.id && answer.type === 'response') resolve(answer);
      } catch (error) {
        reject(error as Error);
      }
    });
    // Not by connect()'s callback, which is told of an address that cannot be reached, too.
    socket.once('connect', () => socket.send(bytes));
    socket.connect(port, host);
  }).finally(() => socket.close());
}

function overTcp(packet: Packet, host: string, port: number, signal: AbortSignal): Promise<DecodedPacket> {
  const socket = connect({ host, port });
  return new Promise<DecodedPacket>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
    let seen = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length < 2 || seen.length < 2 + seen.readUInt16BE(0)) return;
      try {
        resolve(streamDecode(seen) as DecodedPacket);
      } catch (error) {
        reject(error as Error);
      }
    });
    socket.write(streamEncode(packet));
  }).finally(() => socket.destroy());
}
