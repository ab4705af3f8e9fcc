import { once } from 'node:events';
import type { Duplex, Writable } from 'node:stream';
import { request } from '../../lib/http.ts';
import { exitCodeIn } from '../streaming/exit-status.ts';
import { SpdyConnection } from '../streaming/spdy.ts';
import type { Exec, ExecRequest } from '../runtime.ts';

const connectTimeout = 10_000;

/** Takes the connection that a runtime prepared for exec, attach or port-forward; SPDY because it can end input. */
async function dial(url: string, protocol: string): Promise<SpdyConnection> {
  const asked = request(url, {
    method: 'POST',
    agent: false,
    signal: AbortSignal.timeout(connectTimeout),
    headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol },
  });
  asked.end();
  const socket = await new Promise<Duplex>((resolve, reject) => {
    asked.once('error', reject);
    asked.once('upgrade', (_answer, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asked.once('response', (answer) => {
      answer.resume();
      reject(new Error(`the container runtime answered ${answer.statusCode} to a stream`));
    });
  });
  return new SpdyConnection(socket, 'client');
}

/** exec or attach over the URL that CRI gave. */
export async function streamCommand(url: string, streams: Omit<ExecRequest, 'command'>): Promise<Exec> {
  const connection = await dial(url, 'v4.channel.k8s.io');
  const open = (streamtype: string) => connection.open({ streamtype });
  const error = await open('error');
  const stdin = streams.stdin ? await open('stdin') : undefined;
  const stdout = streams.stdout ? await open('stdout') : undefined;
  const stderr = streams.stderr && !streams.tty ? await open('stderr') : undefined;
  const resize = streams.tty ? await open('resize') : undefined;
  if (stdin) streams.stdin!.pipe(stdin);
  stdin?.resume();
  error.end();
  const verdict = textOf(error);
  const done = Promise.all([verdict, handOn(stdout, streams.stdout), handOn(stderr, streams.stderr)])
    .then(([text]) => exitCodeIn(text))
    .finally(() => connection.close());
  return {
    done,
    resize: (columns, rows) => resize?.write(`${JSON.stringify({ Width: columns, Height: rows })}\n`),
    kill: () => connection.destroy(),
  };
}

/** One port-forward stream. */
export async function streamPort(url: string, port: number): Promise<Duplex> {
  const connection = await dial(url, 'portforward.k8s.io');
  const headers = { port: String(port), requestid: '0' };
  const error = await connection.open({ ...headers, streamtype: 'error' });
  error.end();
  const data = await connection.open({ ...headers, streamtype: 'data' });
  // Nothing but words comes on the error stream, and only when it went wrong.
  void textOf(error).then(
    (text) => text !== '' && data.destroy(new Error(text.trim())),
    () => undefined, // the connection broke: the data stream tells it
  );
  data.once('close', () => connection.close());
  return data;
}

/** The error stream is told to the end, or the session broke before the command ended. */
async function textOf(stream: Duplex): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text.length < 64 * 1024 ? (text += chunk.toString()) : undefined));
  await once(stream, 'end');
  return text;
}

/** Hands a stream's bytes to whoever wants them, at their speed; resolves at its end. */
async function handOn(from: Duplex | undefined, to: Writable | undefined): Promise<void> {
  if (!from) return;
  from.end();
  const ended = new Promise<void>((resolve) => from.once('end', resolve).once('close', resolve));
  if (to) from.pipe(to, { end: false });
  else from.resume();
  await ended;
}
