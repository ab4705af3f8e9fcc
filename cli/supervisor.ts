import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Backoff, healthyMs } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';

export interface Program {
  name: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string | undefined>>;
  /** What it prints goes there, appended. */
  logFile: string;
  /** Resolves when it can be used; without it the program says so itself, with an IPC message `ready`. */
  ready?: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds between SIGTERM and SIGKILL; 10 s unless told. */
  patience?: number;
}

/**
 * One program kept running: started again, ever more slowly, when it ends by itself. It has a process group of its own,
 * so that Ctrl-C at the terminal reaches only us and everything is stopped in order.
 */
export class Supervised {
  readonly name: string;
  readonly #program: Program;
  readonly #onRestart: (name: string, how: string) => void;
  readonly #stopping = new AbortController();
  /** Where in its log the program began, bytes. */
  #logFrom = 0;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('');
  #said: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();

  constructor(program: Program, onRestart: (name: string, how: string) => void) {
    this.name = program.name;
    this.#program = program;
    this.#onRestart = onRestart;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the program is ready; rejects with a sentence if it ends before that. */
  async start(signal: AbortSignal): Promise<void> {
    this.#spawn();
    const over = new AbortController();
    const failed = this.#ended.then((how) => {
      const { logFile } = this.#program;
      throw new Error(`${this.name} ${how} before it was ready${lastWordsIn(logFile, this.#logFrom)}; see ${logFile}`);
    });
    try {
      const within = AbortSignal.any([signal, over.signal]);
      await Promise.race([this.#program.ready?.(within) ?? this.#said, failed, expired(this.name, within)]);
    } finally {
      over.abort();
    }
    failed.catch(() => undefined);
    this.#loop = this.#keep();
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#child?.kill('SIGTERM');
    const kill = setTimeout(() => this.#child?.kill('SIGKILL'), this.#program.patience ?? 10_000);
    await this.#ended;
    clearTimeout(kill);
    await this.#loop;
  }

  #spawn(): void {
    const { command, args, env, logFile, ready } = this.#program;
    const log = openSync(logFile, 'a');
    this.#logFrom = fstatSync(log).size;
    // Over the IPC channel a server of ours says that it is ready, and sees that we are gone when it closes.
    const stdio = ['ignore', log, log, ...(ready ? [] : (['ipc'] as const))] as const;
    const child = spawn(command, args, { detached: true, stdio: [...stdio], env: { ...process.env, ...env } });
    closeSync(log);
    this.#child = child;
    this.#said = new Promise((resolve) => child.once('message', () => resolve()));
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started (${error.message})`));
      child.once('exit', (code, signal) => resolve(signal ? `was killed by ${signal}` : `ended with code ${code}`));
    });
  }

  async #keep(): Promise<void> {
    const backoff = new Backoff({ first: 400, max: 10_000 });
    const { signal } = this.#stopping;
    for (;;) {
      const started = Date.now();
      const how = await this.#ended;
      if (signal.aborted) return;
      this.#onRestart(this.name, how);
      if (Date.now() - started > healthyMs) backoff.reset();
      await delay(backoff.next(), signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        this.#spawn();
      } catch (error) {
        this.#ended = Promise.resolve(`could not be started (${(error as Error).message})`);
      }
    }
  }
}

/** Rejects with a sentence when the signal aborts. */
function expired(name: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new Error(`${name} was not ready in time`, { cause: signal.reason }));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

/** What a program of ours said it ended of. */
function lastWordsIn(logFile: string, from: number): string {
  const words = readFileSync(logFile)
    .toString('utf8', from)
    .split('\n')
    .findLast((line) => line.startsWith('km: '));
  return words === undefined ? '' : ` (${words.slice('km: '.length)})`;
}
