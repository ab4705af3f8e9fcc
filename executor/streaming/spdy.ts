import { Duplex } from 'node:stream';
import {
  FIN,
  type Headers,
  controlFrame,
  dataFrame,
  type Frame,
  frameTypes,
  readFrames,
  words,
} from './spdy-frames.ts';
import { HeaderCodec } from './spdy-headers.ts';

/** Bytes that wait in one stream before the whole connection is read no further. */
const streamBuffer = 1024 * 1024;
const chunk = 64 * 1024;
const mostStreams = 1000;
const resetCancel = 5;
/** How long the other side may take to close after us, ms. */
const lateEnd = 5_000;

/**
 * One SPDY/3.1 connection over a byte stream, either end, as kubectl, client-go and container runtimes speak it: many
 * streams with headers, half-closed one direction at a time. None of them does SPDY's flow control, so neither do we:
 * a reader that is slow holds up the connection, as it does in Kubernetes.
 */
export class SpdyConnection {
  /** Called with each stream the other side opens. */
  onStream: (stream: SpdyStream) => void = (stream) => stream.destroy();
  /** Resolves when the connection has ended, however it did. */
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #codec = new HeaderCodec();
  readonly #streams = new Map<number, SpdyStream>();
  #nextId: number;
  #headersSent: Promise<unknown> = Promise.resolve();

  constructor(socket: Duplex, end: 'client' | 'server') {
    this.#socket = socket;
    this.#nextId = end === 'client' ? 1 : 2;
    socket.on('error', () => socket.destroy());
    this.closed = this.#read();
  }

  /** Opens a stream; resolves when its headers are on their way. */
  async open(headers: Headers): Promise<SpdyStream> {
    const stream = this.#add(this.#nextId, headers);
    this.#nextId += 2;
    await this.#sendHeaders(
      (block) => controlFrame(frameTypes.synStream, Buffer.concat([words(stream.id, 0), Buffer.alloc(2), block])),
      headers,
    );
    stream.release();
    return stream;
  }

  /** Says that we are done, and lets the other side read to the end. */
  close(): void {
    if (this.#socket.writableEnded) return;
    this.#socket.end(controlFrame(frameTypes.goAway, words(0, 0)));
    const late = setTimeout(() => this.#socket.destroy(), lateEnd);
    this.#socket.once('close', () => clearTimeout(late));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** For streams only: writes and calls back when the bytes have left. */
  send(parts: Buffer[], done: (error?: Error | null) => void): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return done(new Error('the SPDY connection is closed'));
    this.#socket.cork();
    parts.forEach((part, i) => this.#socket.write(part, i === parts.length - 1 ? done : undefined));
    this.#socket.uncork();
  }

  /** For streams only. */
  forget(stream: SpdyStream, reset: boolean): void {
    if (!this.#streams.delete(stream.id) || !reset) return;
    this.send([controlFrame(frameTypes.reset, words(stream.id, resetCancel))], () => undefined);
  }

  #add(id: number, headers: Headers): SpdyStream {
    const stream = new SpdyStream(this, id, headers);
    stream.on('error', () => undefined); // told to whoever reads or writes it; an idle stream may break unheard
    this.#streams.set(id, stream);
    return stream;
  }

  #sendHeaders(frame: (block: Buffer) => Buffer, headers: Headers): Promise<void> {
    const sent = this.#headersSent.then(async () => {
      const bytes = frame(await this.#codec.encode(headers));
      await new Promise<void>((resolve, reject) => this.send([bytes], (error) => (error ? reject(error) : resolve())));
    });
    this.#headersSent = sent.catch(() => undefined);
    return sent;
  }

  async #read(): Promise<void> {
    let fault: Error | undefined;
    try {
      for await (const frame of readFrames(this.#socket)) await this.#take(frame);
    } catch (error) {
      fault = error as Error;
    }
    this.#socket.destroy();
    for (const stream of this.#streams.values()) stream.lost(fault);
    this.#streams.clear();
    this.#codec.close();
  }

  async #take(frame: Frame): Promise<void> {
    if (frame.kind === 'data') return this.#takeData(frame.stream, frame.data, frame.fin);
    const { type, flags, body } = frame;
    if (type === frameTypes.synStream) return this.#takeStream(body, flags);
    if (type === frameTypes.synReply || type === frameTypes.headers) {
      await this.#codec.decode(body.subarray(4)); // nothing in it, but the compression has to stay in step
      if ((flags & FIN) !== 0) await this.#takeData(body.readUInt32BE(0), Buffer.alloc(0), true);
    } else if (type === frameTypes.reset) this.#streams.get(body.readUInt32BE(0))?.reset();
    else if (type === frameTypes.ping) this.send([controlFrame(frameTypes.ping, body)], () => undefined);
  }

  async #takeStream(body: Buffer, flags: number): Promise<void> {
    const headers = await this.#codec.decode(body.subarray(10));
    const id = body.readUInt32BE(0);
    if (this.#streams.has(id)) throw new Error(`SPDY stream ${id} was opened twice`);
    if (this.#streams.size >= mostStreams) throw new Error('too many SPDY streams on one connection');
    const stream = this.#add(id, headers);
    await this.#sendHeaders((block) => controlFrame(frameTypes.synReply, Buffer.concat([words(id), block])), {});
    stream.release();
    if ((flags & FIN) !== 0) stream.endReading();
    this.onStream(stream);
  }

  async #takeData(id: number, data: Buffer, fin: boolean): Promise<void> {
    const stream = this.#streams.get(id);
    if (!stream) return;
    if (data.length > 0 && !stream.push(data)) await stream.drained();
    if (fin) stream.endReading();
  }
}

/** One stream; `end()` closes our direction only. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: Headers;
  readonly #connection: SpdyConnection;
  readonly #ready = Promise.withResolvers<void>();
  #wanted: (() => void) | undefined;
  #ended = false;
  /** What is written is dropped. */
  #gone = false;

  constructor(connection: SpdyConnection, id: number, headers: Headers) {
    super({ allowHalfOpen: true, readableHighWaterMark: streamBuffer, autoDestroy: true });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
  }

  /** Our headers are out: what was written may follow. */
  release(): void {
    this.#ready.resolve();
  }

  /** No more comes from the other side. */
  endReading(): void {
    if (!this.#ended && !this.destroyed) this.push(null);
    this.#ended = true;
  }

  /** The other side is done with the stream, both ways: client-go and containerd do so at the end of every session. */
  reset(): void {
    this.#gone = true;
    this.release();
    this.endReading();
    if (!this.writableEnded) this.end();
  }

  /** The connection has ended. What came before may still be read, unless it broke. */
  lost(error: Error | undefined): void {
    if (error) this.destroy(error);
    else this.reset();
    this.release();
  }

  /** Resolves when more can be taken in. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.destroyed) resolve();
      else this.#wanted = resolve;
    });
  }

  override _read(): void {
    this.#wanted?.();
    this.#wanted = undefined;
  }

  override _write(data: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#gone) return done();
    const frames: Buffer[] = [];
    for (let at = 0; at < data.length; at += chunk) frames.push(...dataFrame(this.id, data.subarray(at, at + chunk)));
    void this.#ready.promise.then(() => this.#connection.send(frames, done));
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#gone) return done();
    void this.#ready.promise.then(() => this.#connection.send(dataFrame(this.id, Buffer.alloc(0), true), done));
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read();
    this.#connection.forget(this, !this.#gone && !(this.#ended && this.writableFinished));
    done(error);
  }
}
