import { createSocket, type Socket } from 'node:dgram';
import { createServer, isIPv6, type AddressInfo, type Server, type Socket as TcpSocket } from 'node:net';
import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  streamEncode,
  TRUNCATED_RESPONSE,
  type DecodedPacket,
  type Packet,
} from 'dns-packet';
import type { Logger } from '../lib/log.ts';
import type { Question, Response } from './answers.ts';

export interface DnsServer {
  address: string;
  port: number;
  close: () => Promise<void>;
}

/** One answer, as it left. */
export interface Observed {
  /** The zone of ours that the name is in, or `.`. */
  zone: string;
  proto: 'udp' | 'tcp';
  /** 1 for IPv4, 2 for IPv6, as CoreDNS has it. */
  family: '1' | '2';
  type: string;
  rcode: string;
  seconds: number;
  bytes: number;
}

export type Observe = (observed: Observed) => void;

export type Resolve = (question: Question) => Response | Promise<Response>;

const plainUdpBytes = 512;
const maxUdpBytes = 1232;
const tcpIdleMs = 10_000;
const maxTcp = 512;
const rcodes: Record<Response['rcode'] | 'FORMERR', number> = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
};
const names = Object.keys(rcodes);

/** Answers over UDP and TCP on one port; rejects when the port is taken. */
export async function listen(
  host: string,
  port: number,
  log: Logger,
  resolve: Resolve,
  observe: Observe = () => undefined,
): Promise<DnsServer> {
  const tcp = createServer({ allowHalfOpen: false });
  const sockets = new Set<TcpSocket>();
  tcp.maxConnections = maxTcp;
  tcp.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveTcp(socket, log, resolve, observe);
  });
  const bound = await listenTcp(tcp, host, port);
  const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((ready, failed) => {
      udp.once('error', failed);
      udp.bind(bound, host, ready);
    });
  } catch (error) {
    tcp.close();
    throw taken(error, host, bound);
  }
  udp.on('error', (err) => log.warn({ err }, 'the UDP socket failed'));
  udp.on('message', (bytes, from) => void serveUdp(udp, bytes, from, log, resolve, observe));
  return {
    address: host,
    port: bound,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((done) => udp.close(done)),
        new Promise<void>((done) => tcp.close(() => done())),
      ]);
    },
  };
}

const taken = (error: unknown, host: string, port: number): Error =>
  (error as { code?: string }).code === 'EADDRINUSE'
    ? new Error(`port ${port} on ${host} is taken; choose another with --port`, { cause: error })
    : (error as Error);

function listenTcp(tcp: Server, host: string, port: number): Promise<number> {
  return new Promise((ready, failed) => {
    tcp.once('error', (error) => failed(taken(error, host, port)));
    tcp.listen(port, host, () => ready((tcp.address() as AddressInfo).port));
  });
}

async function serveUdp(
  udp: Socket,
  bytes: Buffer,
  from: { address: string; port: number },
  log: Logger,
  resolve: Resolve,
  observe: Observe,
): Promise<void> {
  const began = performance.now();
  const reply = await replyTo(bytes, log, resolve);
  if (!reply) return;
  const limit = reply.udpBytes;
  let encoded = encode(reply.packet);
  // Too large for one datagram: the caller comes again over TCP.
  if (encoded.length > limit)
    encoded = encode({
      ...reply.packet,
      answers: [],
      authorities: [],
      flags: (reply.packet.flags ?? 0) | TRUNCATED_RESPONSE,
    });
  observe(observed(reply, 'udp', from.address, began, encoded.length));
  udp.send(encoded, from.port, from.address, (err) => err && log.debug({ err }, 'an answer could not be sent'));
}

function serveTcp(socket: TcpSocket, log: Logger, resolve: Resolve, observe: Observe): void {
  socket.setTimeout(tcpIdleMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  let seen = Buffer.alloc(0);
  let queue = Promise.resolve();
  socket.on('data', (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    while (seen.length >= 2 && seen.length >= 2 + seen.readUInt16BE(0)) {
      const end = 2 + seen.readUInt16BE(0);
      const bytes = seen.subarray(2, end);
      seen = seen.subarray(end);
      queue = queue.then(async () => {
        const began = performance.now();
        const reply = await replyTo(bytes, log, resolve);
        if (!reply || socket.destroyed) return;
        const encoded = streamEncode(reply.packet);
        observe(observed(reply, 'tcp', socket.remoteAddress ?? '', began, encoded.length - 2));
        socket.write(encoded);
      });
    }
  });
}

function observed(reply: Reply, proto: 'udp' | 'tcp', from: string, began: number, bytes: number): Observed {
  const rcode = names[(reply.packet.flags ?? 0) & 15] ?? 'SERVFAIL';
  const family = isIPv6(from) && !from.startsWith('::ffff:') ? '2' : '1';
  const type = reply.packet.questions?.[0]?.type ?? '';
  return { zone: reply.zone, proto, family, type, rcode, seconds: (performance.now() - began) / 1000, bytes };
}

interface Reply {
  packet: Packet;
  zone: string;
  /** How large a datagram the caller takes. */
  udpBytes: number;
}

/** The answer to one message; undefined for what is no query, which is not answered at all. */
async function replyTo(bytes: Buffer, log: Logger, resolve: Resolve): Promise<Reply | undefined> {
  let query: DecodedPacket;
  try {
    query = decode(bytes);
  } catch {
    // Whatever that was: with an id it gets told, without one it is noise.
    return bytes.length >= 12 && (bytes[2]! & 0x80) === 0
      ? { packet: bare(bytes.readUInt16BE(0), 'FORMERR'), zone: '.', udpBytes: plainUdpBytes }
      : undefined;
  }
  if (query.type !== 'query') return undefined;
  const [question] = query.questions ?? [];
  const edns = query.additionals?.find((record) => record.type === 'OPT') as { udpPayloadSize?: number } | undefined;
  const udpBytes = Math.min(maxUdpBytes, Math.max(plainUdpBytes, edns?.udpPayloadSize ?? plainUdpBytes));
  const isQuery = (query as unknown as { opcode: string }).opcode === 'QUERY';
  if (!isQuery || query.questions?.length !== 1 || !question)
    return { packet: bare(query.id ?? 0, isQuery ? 'FORMERR' : 'NOTIMP'), zone: '.', udpBytes };
  let response: Response;
  try {
    response = await resolve(question);
  } catch (err) {
    log.warn({ err, name: question.name }, 'a query could not be answered');
    response = { rcode: 'SERVFAIL', authoritative: false, answers: [], authorities: [], additionals: [] };
  }
  const flags =
    rcodes[response.rcode] |
    RECURSION_AVAILABLE |
    (response.authoritative ? AUTHORITATIVE_ANSWER : 0) |
    ((query.flags ?? 0) & RECURSION_DESIRED);
  const opt = edns
    ? [{ type: 'OPT' as const, name: '.' as const, udpPayloadSize: maxUdpBytes, flags: 0, options: [] }]
    : [];
  return {
    zone: response.zone ?? '.',
    packet: {
      type: 'response',
      id: query.id ?? 0,
      flags,
      questions: [question],
      answers: response.answers,
      authorities: response.authorities,
      additionals: [...response.additionals, ...(opt as unknown as Packet['additionals'] & object)],
    },
    udpBytes,
  };
}

const bare = (id: number, rcode: keyof typeof rcodes): Packet => ({
  type: 'response',
  id,
  flags: rcodes[rcode],
  questions: [],
});
