import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { decode, encode, streamDecode, streamEncode, type DecodedPacket, type Question } from 'dns-packet';

/** The one datagram that comes back. */
export async function sendUdp(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = createSocket('udp4');
  socket.send(bytes, port, '127.0.0.1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return answer;
}

export const overUdp = async (port: number, name: string, type: Question['type']): Promise<DecodedPacket> =>
  decode(await sendUdp(port, encode({ type: 'query', id: 1, questions: [{ name, type }] })));

export async function overTcp(port: number, name: string, type: Question['type']): Promise<DecodedPacket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(streamEncode({ type: 'query', id: 7, questions: [{ name, type }] }));
  let seen = Buffer.alloc(0);
  for await (const chunk of socket) {
    seen = Buffer.concat([seen, chunk as Buffer]);
    if (seen.length >= 2 && seen.length >= 2 + seen.readUInt16BE(0)) break;
  }
  return streamDecode(seen) as DecodedPacket;
}

export const rcodeOf = (answer: DecodedPacket): string => (answer as unknown as { rcode: string }).rcode;
