import { type Duplex, PassThrough, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { SpdyConnection, type SpdyStream } from './spdy.ts';

/** A byte stream to a port of the pod; rejects when nobody listens there. */
export type Dial = (port: number) => Promise<Duplex>;

/** Half a pair that waits for its other half, so many at most. */
const mostWaiting = 100;

/**
 * Port-forward over SPDY, bare or tunnelled: for each connection the client opens two streams with the same request id,
 * `data` for the bytes and `error` for words about what went wrong.
 */
export function spdyPortForward(socket: Duplex, dial: Dial): Promise<void> {
  const connection = new SpdyConnection(socket, 'server');
  const waiting = new Map<string, SpdyStream>();
  connection.onStream = (stream) => {
    const { streamtype, requestid = stream.headers.port ?? '' } = stream.headers;
    if (streamtype === 'error') {
      stream.resume();
      if (waiting.size >= mostWaiting) return stream.destroy();
      waiting.set(requestid, stream);
    } else if (streamtype === 'data') {
      const error = waiting.get(requestid);
      waiting.delete(requestid);
      void forward(stream, error, Number(stream.headers.port), dial);
    } else stream.destroy();
  };
  return connection.closed;
}

async function forward(data: Duplex, error: Writable | undefined, port: number, dial: Dial): Promise<void> {
  let target: Duplex;
  try {
    target = await dial(checkedPort(port));
  } catch (fault) {
    error?.end(`an error occurred forwarding ${port}: ${(fault as Error).message}`);
    data.destroy();
    return;
  }
  // kubectl holds its own end open until it has been told that nothing went wrong.
  target.once('end', () => error?.end());
  await joined(data, target);
  error?.end();
}

function checkedPort(port: number): number {
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${port} is no port`);
  return port;
}

/** Bytes both ways, each direction ended by itself; when one end breaks, the other is cut. */
async function joined(a: Duplex, b: Duplex): Promise<void> {
  a.pipe(b).pipe(a);
  const ended = (stream: Duplex, other: Duplex) =>
    new Promise<void>((resolve) => {
      stream.once('error', () => other.destroy());
      stream.once('close', () => {
        if (!other.writableEnded) other.destroy();
        resolve();
      });
    });
  await Promise.all([ended(a, b), ended(b, a)]);
}

/** Port-forward over WebSocket channels: 2i carries the bytes of the i-th port, 2i+1 words about errors. */
export function websocketPortForward(socket: WebSocket, ports: readonly number[], dial: Dial): void {
  socket.on('error', () => socket.terminate());
  const inputs = ports.map((port, i) => {
    for (const channel of [2 * i, 2 * i + 1]) {
      const greeting = Buffer.from([channel, port & 0xff, port >> 8]);
      socket.send(greeting);
    }
    const input = new PassThrough();
    void dial(checkedPort(port)).then(
      (target) => {
        input.pipe(target);
        target.pipe(channelOf(socket, 2 * i));
        target.on('error', () => socket.close(1011));
        target.once('end', () => socket.close(1000));
        socket.once('close', () => target.destroy());
      },
      (fault: unknown) => {
        socket.send(Buffer.concat([Buffer.from([2 * i + 1]), Buffer.from((fault as Error).message)]));
        socket.close(1011);
      },
    );
    return input;
  });
  socket.on('message', (message: Buffer) => {
    const input = inputs[message[0]! / 2];
    if (!input || input.write(message.subarray(1))) return;
    socket.pause();
    input.once('drain', () => socket.resume());
  });
}

const channelOf = (socket: WebSocket, number: number): Writable =>
  new Writable({
    write(data: Buffer, _encoding, done) {
      if (socket.readyState !== socket.OPEN) return done();
      socket.send(Buffer.concat([Buffer.from([number]), data]), () => done());
    },
  });
