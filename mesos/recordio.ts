/**
 * RecordIO: how a stream of messages is cut.
 *
 *   record = <length in decimal ASCII> "\n" <that many bytes>        nothing between records
 *
 * Chunks of the transport are not records: a record may come in pieces, cut anywhere, or several in one chunk.
 */

/** Why the rest of a stream cannot be read. */
export class RecordError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordError';
  }
}

export const defaultMaxRecordBytes = 128 * 1024 * 1024;
const maxLengthDigits = 20;
const newline = 0x0a;

export function encodeRecord(payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${payload.byteLength}\n`), payload]);
}

/** Feed it chunks; it gives the records that became complete. After it threw it must not be used again. */
export class RecordDecoder {
  readonly #maxBytes: number;
  #length = '';
  #missing = -1;
  #parts: Buffer[] = [];

  /** `maxBytes`: a longer record is refused before any of it is kept. */
  constructor(maxBytes = defaultMaxRecordBytes) {
    this.#maxBytes = maxBytes;
  }

  /** To be read to its end. Throws RecordError, after the records before it, at what is not RecordIO or too long. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let at = 0;
    while (at < chunk.length || this.#missing === 0) {
      if (this.#missing < 0) at = this.#readLength(chunk, at);
      else at = this.#readPayload(chunk, at);
      if (this.#missing === 0) yield this.#record();
    }
  }

  /** To be called at the end of the stream; throws RecordError when it ended inside a record. */
  end(): void {
    if (this.#missing > 0) throw new RecordError(`the stream ended ${this.#missing} bytes before the end of a record`);
    if (this.#length !== '') throw new RecordError('the stream ended inside the length of a record');
  }

  #readLength(chunk: Buffer, from: number): number {
    const lineEnd = chunk.indexOf(newline, from);
    const to = lineEnd < 0 ? chunk.length : lineEnd;
    this.#length += chunk.toString('latin1', from, Math.min(to, from + maxLengthDigits + 1));
    if (!/^\d*$/.test(this.#length))
      throw new RecordError(`expected the length of a record in decimal digits, got ${JSON.stringify(this.#length)}`);
    if (this.#length.length > maxLengthDigits)
      throw new RecordError(`the length of a record has more than ${maxLengthDigits} digits`);
    if (lineEnd < 0) return to;
    if (this.#length !== '') this.#begin(Number(this.#length));
    return to + 1;
  }

  #begin(bytes: number): void {
    if (bytes > this.#maxBytes)
      throw new RecordError(`a record of ${bytes} bytes is longer than the limit of ${this.#maxBytes}`);
    this.#length = '';
    this.#missing = bytes;
  }

  #readPayload(chunk: Buffer, from: number): number {
    const to = Math.min(chunk.length, from + this.#missing);
    if (to > from) this.#parts.push(chunk.subarray(from, to));
    this.#missing -= to - from;
    return to;
  }

  #record(): Buffer {
    const record = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#missing = -1;
    return record;
  }
}
