import type { Duplex } from 'node:stream';
import { type CommandStreams, type Wanted, drained, openingTimeout, sizeIn } from './command-streams.ts';
import { SpdyConnection, type SpdyStream } from './spdy.ts';

/** exec and attach over SPDY/3.1: the client opens one stream each for error, stdin, stdout, stderr and resize. */
export async function spdyCommand(socket: Duplex, wanted: Wanted): Promise<CommandStreams> {
  const connection = new SpdyConnection(socket, 'server');
  const expected = new Set([
    'error',
    ...(['stdin', 'stdout', 'stderr'] as const).filter((name) => wanted[name] && !(name === 'stderr' && wanted.tty)),
    ...(wanted.tty ? ['resize'] : []),
  ]);
  const streams = await opened(connection, expected);
  const stdout = streams.get('stdout');
  const stderr = streams.get('stderr');
  const error = streams.get('error')!;
  for (const stream of [stdout, stderr, error]) stream?.resume();
  const resized: ((columns: number, rows: number) => void)[] = [];
  readSizes(streams.get('resize'), (columns, rows) => resized.forEach((listener) => listener(columns, rows)));
  return {
    stdin: streams.get('stdin'),
    stdout,
    stderr,
    onResize: (listener) => resized.push(listener),
    closed: connection.closed,
    async finish(status) {
      await Promise.all([drained(stdout), drained(stderr)]);
      error.write(JSON.stringify(status));
      await drained(error);
      connection.close();
    },
  };
}

function opened(connection: SpdyConnection, expected: ReadonlySet<string>): Promise<Map<string, SpdyStream>> {
  const streams = new Map<string, SpdyStream>();
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      connection.destroy();
      reject(new Error(message));
    };
    const late = setTimeout(() => fail('the client did not open its streams in time'), openingTimeout);
    void connection.closed.then(() => {
      clearTimeout(late);
      reject(new Error('the client went away before it had opened its streams'));
    });
    connection.onStream = (stream) => {
      const type = stream.headers.streamtype ?? '';
      if (!expected.has(type) || streams.has(type)) return stream.destroy();
      streams.set(type, stream);
      if (streams.size < expected.size) return;
      clearTimeout(late);
      resolve(streams);
    };
  });
}

/** Sizes come as JSON documents one after the other, with or without line ends. */
function readSizes(stream: SpdyStream | undefined, listener: (columns: number, rows: number) => void): void {
  let text = '';
  stream?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-4096);
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      const size = sizeIn(text.slice(0, end + 1));
      text = text.slice(end + 1);
      if (size) listener(size.columns, size.rows);
    }
  });
}
