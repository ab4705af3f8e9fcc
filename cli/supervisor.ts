import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';

export interface Program {
  name: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string | undefined>>;
  /** What it prints goes there, appended. */
  logFile: string;
  /** Resolves when it can be used; rejects if it never will. */
  ready: (signal: AbortSignal) => Promise<void>;
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
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('');
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
      throw new Error(`${this.name} ${how} before it was ready; see ${this.#program.logFile}`);
    });
    try {
      await Promise.race([this.#program.ready(AbortSignal.any([signal, over.signal])), failed]);
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
    const { command, args, env, logFile } = this.#program;
    const log = openSync(logFile, 'a');
    // The open pipe on stdin tells the child that we are alive: km's servers end when it closes.
    const child = spawn(command, args, { detached: true, stdio: ['pipe', log, log], env: { ...process.env, ...env } });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    this.#child = child;
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
      if (Date.now() - started > 30_000) backoff.reset();
      await delay(backoff.next(), signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#spawn();
    }
  }
}
