import { createSocket, type Socket } from 'node:dgram';
import { createServer, isIPv6, type AddressInfo, type Server, type Socket as TcpSocket } from 'node:net';
import {
  AUTHORITATIVE_ANSWER,
  decode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type DecodedPacket,
  type OptAnswer,
  type Packet,
} from 'dns-packet';
import type { Logger } from '../lib/log.ts';
import type { Question, Response } from './answers.ts';
import { encodeWithin } from './message.ts';

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

const unanswered = 'a query was not answered';
const plainUdpBytes = 512;
const maxUdpBytes = 1232;
const maxTcpBytes = 65_535;
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
  udp.on('message', (bytes, from) => {
    serveUdp(udp, bytes, from, log, resolve, observe).catch((err: unknown) => log.debug({ err }, unanswered));
  });
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
  // Nobody is at port 0: such a packet is forged, and an answer cannot be sent.
  if (from.port === 0) return;
  const began = performance.now();
  const reply = await replyTo(bytes, 'udp', log, resolve);
  if (!reply) return;
  observe(observed(reply, 'udp', from.address, began));
  udp.send(reply.bytes, from.port, from.address, (err) => err && log.debug({ err }, unanswered));
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
      queue = queue
        .then(() => answerOne(bytes))
        .catch((err: unknown) => {
          log.debug({ err }, unanswered);
          socket.destroy();
        });
    }
  });
  const answerOne = async (bytes: Buffer) => {
    const began = performance.now();
    const reply = await replyTo(bytes, 'tcp', log, resolve);
    if (!reply || socket.destroyed) return;
    observe(observed(reply, 'tcp', socket.remoteAddress ?? '', began));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(reply.bytes.length);
    socket.write(Buffer.concat([length, reply.bytes]));
  };
}

function observed(reply: Reply, proto: Proto, from: string, began: number): Observed {
  const { packet, zone, bytes } = reply;
  const isBadVersion = packet.additionals?.[0] === badVersion;
  const rcode = isBadVersion ? 'BADVERS' : (names[(packet.flags ?? 0) & 15] ?? 'SERVFAIL');
  const family = isIPv6(from) && !from.startsWith('::ffff:') ? '2' : '1';
  const type = packet.questions?.[0]?.type ?? '';
  return { zone, proto, family, type, rcode, seconds: (performance.now() - began) / 1000, bytes: bytes.length };
}

type Proto = Observed['proto'];

interface Reply {
  packet: Packet;
  bytes: Buffer;
  zone: string;
}

/** The answer to one message; undefined for what is no query, which is not answered at all. */
async function replyTo(bytes: Buffer, proto: Proto, log: Logger, resolve: Resolve): Promise<Reply | undefined> {
  let query: DecodedPacket;
  try {
    query = decode(bytes);
  } catch {
    // Whatever that was: with an id it gets told, without one it is noise.
    const isQuery = bytes.length >= 12 && (bytes[2]! & 0x80) === 0;
    return isQuery ? written(bare(bytes.readUInt16BE(0), 'FORMERR'), '.', plainUdpBytes, log) : undefined;
  }
  if (query.type !== 'query') return undefined;
  const [question] = query.questions ?? [];
  const edns = query.additionals?.find((record) => record.type === 'OPT');
  const udpBytes = Math.min(maxUdpBytes, Math.max(plainUdpBytes, edns?.udpPayloadSize ?? plainUdpBytes));
  const limit = proto === 'udp' ? udpBytes : maxTcpBytes;
  const isQuery = (query as unknown as { opcode: string }).opcode === 'QUERY';
  if (!isQuery || query.questions?.length !== 1 || !question)
    return written(bare(query.id ?? 0, isQuery ? 'FORMERR' : 'NOTIMP'), '.', limit, log);
  if (edns && edns.ednsVersion > 0)
    return written(
      { ...bare(query.id ?? 0, 'NOERROR'), questions: [question], additionals: [badVersion] },
      '.',
      limit,
      log,
    );
  let response: Response;
  try {
    response = await resolve(question);
  } catch (err) {
    log.warn({ err, name: question.name }, 'a query could not be answered');
    response = { rcode: 'SERVFAIL', authoritative: false, answers: [], authorities: [] };
  }
  const flags =
    rcodes[response.rcode] |
    RECURSION_AVAILABLE |
    (response.authoritative ? AUTHORITATIVE_ANSWER : 0) |
    ((query.flags ?? 0) & RECURSION_DESIRED);
  const { answers, authorities, zone = '.' } = response;
  const additionals = edns ? [opt] : [];
  const packet: Packet = { type: 'response', id: query.id ?? 0, flags, questions: [question] };
  return written({ ...packet, answers, authorities, additionals }, zone, limit, log);
}

/** Of an answer that cannot be written, as one of another server may be, SERVFAIL. */
function written(packet: Packet, zone: string, limit: number, log: Logger): Reply {
  try {
    return { packet, zone, bytes: encodeWithin(limit, packet) };
  } catch (err) {
    const { id = 0, questions = [] } = packet;
    log.debug({ err, name: questions[0]?.name }, 'an answer could not be written');
    const failure = { ...bare(id, 'SERVFAIL'), questions };
    return { packet: failure, zone, bytes: encodeWithin(limit, failure) };
  }
}

const opt: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: maxUdpBytes,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** We speak version 0 (RFC 6891, 6.1.3): BADVERS is 16, whose upper bits are here. */
const badVersion: OptAnswer = { ...opt, extendedRcode: 1 };

const bare = (id: number, rcode: keyof typeof rcodes): Packet => ({
  type: 'response',
  id,
  flags: rcodes[rcode],
  questions: [],
});
