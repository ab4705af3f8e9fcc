import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Duplex, Writable } from 'node:stream';
import type Docker from 'dockerode';
import { delay } from '../../lib/delay.ts';
import type { Exec, ExecRequest, Ran } from '../runtime.ts';
import { wordsOf } from './docker-client.ts';
import { signalSession } from './process-table.ts';

type Streams = Omit<ExecRequest, 'command'>;

/** A command in a container. Docker has no way to end one: `endNow` sends its processes a signal ourselves. */
interface DockerExec extends Exec {
  endNow(signal: NodeJS.Signals): Promise<void>;
}

export async function execInContainer(
  container: Docker.Container,
  { command, ...streams }: ExecRequest,
): Promise<DockerExec> {
  const { stdin, tty } = streams;
  const exec = await said(
    container.exec({
      ...{ Cmd: command, Tty: tty, AttachStdin: stdin !== undefined },
      ...{ AttachStdout: true, AttachStderr: !tty },
    }),
  );
  const stream = await said(exec.start({ hijack: true, stdin: stdin !== undefined, Tty: tty }));
  const endNow = async (signal: NodeJS.Signals) => {
    const { Pid, Running } = await said(exec.inspect());
    if (Running && isOf(Pid, container.id)) signalSession(Pid, signal);
  };
  return {
    done: join(stream, streams).then(() => exitCodeOf(exec)),
    resize: (columns, rows) => void exec.resize({ w: columns, h: rows }).catch(() => undefined), // it has just ended
    kill: () => {
      stream.destroy();
      // Without a terminal the command sees its input end; one at a terminal is hung up on.
      if (tty) void endNow('SIGHUP').catch(() => undefined); // it has just ended
    },
    endNow,
  };
}

const longestOutput = 16 * 1024;

/** Keeps what is written to it, up to a limit. */
class Kept extends Writable {
  readonly chunks: Buffer[] = [];
  #left = longestOutput;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#left > 0) this.chunks.push(chunk.subarray(0, this.#left));
    this.#left -= chunk.length;
    done();
  }
}

/** A command with its output as text, ended when its time is over or nobody waits for it. */
export async function runInContainer(
  container: Docker.Container,
  command: string[],
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<Ran | 'late'> {
  const [stdout, stderr] = [new Kept(), new Kept()];
  const exec = await execInContainer(container, { command, stdout, stderr, tty: false });
  const done = exec.done.catch((error: unknown) => {
    throw new Error(wordsOf(error), { cause: error });
  });
  const over = new AbortController();
  const first = await Promise.race([done, untilOver(timeoutMs, AbortSignal.any([signal, over.signal]))]);
  over.abort();
  if (typeof first === 'number') {
    const output = Buffer.concat([...stdout.chunks, ...stderr.chunks]).subarray(0, longestOutput);
    return { exitCode: first, output: output.toString('utf8') };
  }
  await exec.endNow('SIGKILL');
  exec.kill();
  done.catch(() => undefined); // nobody waits for it
  signal.throwIfAborted();
  return 'late';
}

/** As long as a timer can be, ms. */
const longestWait = 2 ** 31 - 1;

const untilOver = (ms = longestWait, signal: AbortSignal): Promise<'late'> =>
  delay(ms, signal).then(
    () => 'late' as const,
    () => 'late' as const,
  );

/** The container's main process: its output from now on, and its input. */
export async function attachToContainer(container: Docker.Container, streams: Streams): Promise<Exec> {
  const { Config } = await said(container.inspect());
  const stdin = streams.stdin !== undefined;
  const stream = await said(container.attach({ stream: true, hijack: true, stdin, stdout: true, stderr: true }));
  if (!(stream instanceof Duplex)) throw new Error('Docker gave no connection to the container');
  return {
    done: join(stream, { ...streams, tty: Config.Tty }).then(async () => (await container.inspect()).State.ExitCode),
    resize: (columns, rows) => void container.resize({ w: columns, h: rows }).catch(() => undefined), // it has just ended
    kill: () => stream.destroy(),
  };
}

/** Only where we see the machine's processes does a number that Docker tells us mean the same one. */
export function isOf(pid: number, containerId: string): boolean {
  try {
    return pid > 0 && readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(containerId);
  } catch {
    return false; // it is gone
  }
}

/** Input in, output out, at the speed of whoever takes it; resolves when there is no more output. */
async function join(stream: Duplex, { stdin, stdout, stderr, tty }: Streams): Promise<void> {
  stream.on('error', () => undefined); // reading tells it; that a command reads no more is its right
  if (stdin) stdin.pipe(stream);
  try {
    if (tty) for await (const chunk of stream) await hand(chunk as Buffer, stdout);
    else for await (const [kind, bytes] of frames(stream)) await hand(bytes, kind === 2 ? stderr : stdout);
  } finally {
    stdin?.unpipe(stream);
    stream.destroy();
  }
}

async function hand(bytes: Buffer, to: Writable | undefined): Promise<void> {
  if (!to || to.destroyed || to.writableEnded || to.write(bytes)) return;
  const gone = new AbortController();
  const { signal } = gone;
  await Promise.race([once(to, 'drain', { signal }), once(to, 'close', { signal })]).catch(() => undefined);
  gone.abort();
}

/** Without a terminal each piece of output comes after eight bytes: 1 stdout or 2 stderr, three zeros, its length. */
async function* frames(stream: Duplex): AsyncGenerator<[kind: number, bytes: Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 8) {
      const end = 8 + rest.readUInt32BE(4);
      if (rest.length < end) break;
      yield [rest[0]!, rest.subarray(8, end)];
      rest = rest.subarray(end);
    }
  }
}

/** Docker ends the output a moment before it knows the exit code. */
async function exitCodeOf(exec: Docker.Exec): Promise<number> {
  for (let wait = 5; ; wait = Math.min(200, wait * 2)) {
    const { Running, ExitCode } = await said(exec.inspect());
    if (!Running && ExitCode !== null) return ExitCode;
    await delay(wait);
  }
}

async function said<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    throw new Error(wordsOf(error), { cause: error });
  }
}
