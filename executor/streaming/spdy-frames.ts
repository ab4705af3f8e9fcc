/**
 * SPDY/3.1 frames, as far as Kubernetes' streams use them.
 *
 *   control  |1| version 15 | type 16 | flags 8 | length 24 | …
 *   data     |0| stream id 31         | flags 8 | length 24 | bytes
 */
export const frameTypes = { synStream: 1, synReply: 2, reset: 3, settings: 4, ping: 6, goAway: 7, headers: 8 } as const;

export const FIN = 1;
const version = 3;

export type Frame =
  | { kind: 'data'; stream: number; fin: boolean; data: Buffer }
  | { kind: 'control'; type: number; flags: number; body: Buffer };

export function dataFrame(stream: number, data: Buffer, fin = false): Buffer[] {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head.writeUInt32BE(((fin ? FIN : 0) << 24) | data.length, 4);
  return data.length === 0 ? [head] : [head, data];
}

export function controlFrame(type: number, body: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(((flags << 24) | body.length) >>> 0, 4);
  return Buffer.concat([head, body]);
}

export function words(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => out.writeUInt32BE(value, i * 4));
  return out;
}

/** Frames of a byte stream; throws on one that is too long. */
export async function* readFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 8) {
      const length = rest.readUInt32BE(4) & 0xffffff;
      if (rest.length < 8 + length) break;
      yield frameOf(rest.subarray(0, 8), rest.subarray(8, 8 + length));
      rest = rest.subarray(8 + length);
    }
  }
}

function frameOf(head: Buffer, body: Buffer): Frame {
  const flags = head[4]!;
  if ((head[0]! & 0x80) !== 0) return { kind: 'control', type: head.readUInt16BE(2), flags, body };
  return { kind: 'data', stream: head.readUInt32BE(0), fin: (flags & FIN) !== 0, data: body };
}

export type Headers = Record<string, string>;

export function encodeHeaders(headers: Headers): Buffer {
  const parts = [words(Object.keys(headers).length)];
  for (const [name, value] of Object.entries(headers)) {
    for (const text of [name.toLowerCase(), value]) {
      const bytes = Buffer.from(text);
      parts.push(words(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

export function decodeHeaders(block: Buffer): Headers {
  const headers: Headers = {};
  let at = 0;
  const number = () => {
    if (at + 4 > block.length) throw new Error('a SPDY header block ends too early');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (at + length > block.length) throw new Error('a SPDY header block ends too early');
    at += length;
    return block.toString('utf8', at - length, at);
  };
  for (let count = number(); count > 0; count--) {
    const name = text();
    headers[name] = text();
  }
  return headers;
}
