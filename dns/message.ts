import { encode, TRUNCATED_RESPONSE, type Answer, type Packet } from 'dns-packet';

const headerBytes = 12;
const maxLabelBytes = 63;
/** Pointers have 14 bits. */
const farthest = 0x3fff;

/**
 * The bytes of an answer, at most `limit` of them. Of records that do not all fit the first stay, and the flag TC says so.
 * Names of records are pointers to where they were before (RFC 1035, 4.1.4); dns-packet, which writes the rest, has none.
 * Throws where a record or a name cannot be written.
 */
export function encodeWithin(limit: number, packet: Packet): Buffer {
  const { questions = [], answers = [], authorities = [], additionals = [], ...head } = packet;
  const out = Buffer.allocUnsafe(limit);
  // OPT is always there: it tells the caller what else to expect.
  const last = additionals.map((record) => encode({ additionals: [record] }).subarray(headerBytes));
  const room = limit - last.reduce((sum, { length }) => sum + length, 0);
  const names = new Map<string, number>();
  let size = headerBytes;
  let isFull = false;

  /** Writes a part under its own name, which dns-packet was not given; false where it does not fit. */
  const fits = (name: string, unnamed: Packet): boolean => {
    if (isFull) return false;
    const start = putName(out, size, name, names);
    const body = encode(unnamed).subarray(headerBytes + 1);
    isFull = start + body.length > room;
    if (isFull) return false;
    body.copy(out, start);
    size = start + body.length;
    return true;
  };
  const isWritten = (record: Answer) => fits(record.name, { answers: [{ ...record, name: '.' }] });

  const counts = [
    questions.filter((question) => fits(question.name, { questions: [{ ...question, name: '.' }] })),
    answers.filter(isWritten),
    authorities.filter(isWritten),
    last,
  ].map(({ length }) => length);
  for (const bytes of last) size += bytes.copy(out, size);
  encode({ ...head, flags: (head.flags ?? 0) | (isFull ? TRUNCATED_RESPONSE : 0) }).copy(out);
  counts.forEach((count, i) => out.writeUInt16BE(count, 4 + 2 * i));
  return out.subarray(0, size);
}

/** Where the name ends. What would lie behind the end of the buffer is not written. */
function putName(out: Buffer, start: number, name: string, names: Map<string, number>): number {
  let at = start;
  let rest = name.replace(/^\.|\.$/g, '');
  while (rest !== '') {
    const key = rest.toLowerCase();
    const before = names.get(key);
    if (before !== undefined) {
      out[at] = 0xc0 | (before >> 8);
      out[at + 1] = before & 0xff;
      return at + 2;
    }
    if (at <= farthest) names.set(key, at);
    const dot = rest.indexOf('.');
    const label = dot < 0 ? rest : rest.slice(0, dot);
    const length = Buffer.byteLength(label);
    if (length === 0 || length > maxLabelBytes) throw new RangeError(`the name ${name} has a label of ${length} bytes`);
    out[at] = length;
    if (at + 1 < out.length) out.write(label, at + 1);
    at += 1 + length;
    rest = dot < 0 ? '' : rest.slice(dot + 1);
  }
  out[at] = 0;
  return at + 1;
}
