import { type ChildProcess, spawn } from 'node:child_process';
import { constants as os } from 'node:os';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { delay } from '../../lib/delay.ts';
import { pseudoTerminal, resizeTerminal } from '../../lib/terminal.ts';
import type { Exec, ExecRequest, Ran } from '../runtime.ts';
import type { ContainerRecord } from './records.ts';
import { signalSession } from './process-table.ts';

/** A command beside a container's process: the same environment, directory and mounts. */
export function execProcess(record: ContainerRecord, request: ExecRequest): Exec {
  const { command, tty } = request;
  const argv = [...enter(record), ...(tty ? pseudoTerminal(command) : command)];
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: record.ownMounts ? '/' : record.cwd,
    env: { ...record.env, ...(tty ? { TERM: record.env.TERM ?? 'xterm' } : {}) },
    detached: true,
    stdio: 'pipe',
  });
  if (request.stdin) copyInput(request.stdin, child.stdin);
  else child.stdin.end();
  return {
    done: Promise.all([ended(child), copied(child.stdout, request.stdout), copied(child.stderr, request.stderr)]).then(
      ([code]) => code,
    ),
    resize: (columns, rows) => resizeTerminal(child.pid, columns, rows),
    kill: () => {
      if (child.pid !== undefined && child.exitCode === null) signalSession(child.pid, 'SIGKILL');
    },
  };
}

const longestOutput = 16 * 1024;

/** An exec to its end, with its output as text; ended when its time is over or nobody waits for it. */
export async function runToEnd(
  open: (request: ExecRequest) => Exec | Promise<Exec>,
  command: string[],
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<Ran | 'late'> {
  const stdout = new PassThrough();
  let output = Buffer.alloc(0);
  stdout.on('data', (chunk: Buffer) => {
    if (output.length < longestOutput) output = Buffer.concat([output, chunk]).subarray(0, longestOutput);
  });
  const exec = await open({ command, stdout, stderr: stdout, tty: false });
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const late = delay(timeoutMs ?? longestWait, ends).then(
    () => 'late' as const,
    () => undefined,
  );
  try {
    const first = await Promise.race([exec.done, late]);
    signal.throwIfAborted();
    if (typeof first !== 'number') exec.kill();
    return typeof first === 'number' ? { exitCode: first, output: output.toString('utf8') } : 'late';
  } finally {
    if (signal.aborted) exec.kill();
    exec.done.catch(() => undefined); // it was told in the race, or nobody waits for it
    over.abort();
  }
}

/** As long as a timer can be, ms. */
const longestWait = 2 ** 31 - 1;

/** The main process's output from now on, and its input. */
export function attachProcess(
  child: ChildProcess,
  gone: Promise<void>,
  exitCode: () => number,
  request: Omit<ExecRequest, 'command'>,
): Exec {
  const detach = [follow(child.stdout!, request.stdout), follow(child.stderr!, request.stderr)];
  const { stdin } = request;
  if (stdin && child.stdin) stdin.pipe(child.stdin, { end: false });
  const leave = () => {
    detach.forEach((stop) => stop());
    if (stdin && child.stdin) stdin.unpipe(child.stdin);
  };
  const { promise: left, resolve } = Promise.withResolvers<void>();
  return {
    done: Promise.race([gone, left]).then(() => {
      leave();
      return exitCode();
    }),
    resize: (columns, rows) => resizeTerminal(child.pid, columns, rows),
    kill: resolve,
  };
}

/** Where its own mounts are. */
export const enter = ({ ownMounts, process: id, cwd }: ContainerRecord): string[] =>
  ownMounts && id ? ['nsenter', `--target=${id.pid}`, '--mount', '--root', `--wdns=${cwd}`, '--'] : [];

const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(127) : reject(error)));
    child.once('close', (code, signal) => resolve(signal ? 128 + os.signals[signal] : (code ?? 0)));
  });

function copyInput(from: Readable, to: Writable): void {
  to.on('error', () => from.unpipe(to)); // EPIPE: the command reads no more
  from.pipe(to);
}

/** Hands output on as fast as the other end takes it; resolves when there is no more. */
function copied(from: Readable, to: Writable | undefined): Promise<void> {
  return new Promise((resolve) => {
    from.once('close', resolve);
    if (to) from.pipe(to, { end: false });
    else from.resume();
  });
}

/** A stream, or whoever else tells of pieces of output. */
interface Followed {
  on(event: 'data', take: (chunk: Buffer) => void): unknown;
  off(event: 'data', take: (chunk: Buffer) => void): unknown;
}

/** Copies what is read anyway for the log; a reader too slow for it loses lines rather than hold the container up. */
export function follow(from: Followed, to: Writable | undefined): () => void {
  if (!to) return () => undefined;
  const copy = (chunk: Buffer) => {
    if (!to.writableNeedDrain) to.write(chunk);
  };
  from.on('data', copy);
  return () => from.off('data', copy);
}
