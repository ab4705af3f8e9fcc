/**
 * The I/O switchboard of one container: its output goes to the files of its sandbox and to whoever is attached,
 * its input comes from one who is attached.
 *
 *   process ──▶ stdout, stderr ──▶ sandbox files
 *      ▲                      └──▶ ATTACH_CONTAINER_OUTPUT, the session
 *      └── ATTACH_CONTAINER_INPUT
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { drained } from '../lib/drained.ts';
import { resizeTerminal } from '../lib/terminal.ts';
import type { ProcessIO } from '../mesos/agent.ts';
import type { PipedChild } from './child.ts';
import type { RecordStream } from './http.ts';

export class Switchboard {
  /** All output has been handed on. */
  readonly done: Promise<void>;
  readonly #child: PipedChild;
  readonly #tty: boolean;
  readonly #readers = new Set<RecordStream<ProcessIO>>();
  #hasInput = false;

  constructor(child: PipedChild, directory: string, tty: boolean) {
    this.#child = child;
    this.#tty = tty;
    child.stdin.on('error', () => undefined); // EPIPE: it has closed its input, or has ended
    this.done = Promise.all([this.#carry('stdout', directory), this.#carry('stderr', directory)]).then(() => {
      for (const reader of this.#readers) reader.end();
      this.#readers.clear();
    });
  }

  async #carry(name: 'stdout' | 'stderr', directory: string): Promise<void> {
    const from: Readable = this.#child[name];
    const file = createWriteStream(join(directory, name), { flags: 'a' });
    file.on('error', () => undefined); // a full disk: who is attached still gets it
    const type = name === 'stdout' ? 'STDOUT' : 'STDERR';
    from.on('data', (data: Buffer) => {
      const full = [...this.#readers].filter((reader) => !reader.send({ type: 'DATA', data: { type, data } }));
      if (!file.write(data) || full.length > 0) void this.#wait(from, file, full);
    });
    await finished(from).catch(() => undefined); // cut off when the container was destroyed
    await new Promise<void>((resolve) => file.end(resolve));
  }

  /** The container is held up by the slowest of those who take its output. */
  async #wait(from: Readable, file: WriteStream, readers: readonly RecordStream<ProcessIO>[]): Promise<void> {
    from.pause();
    await drained(file);
    for (const reader of readers) await reader.drained();
    from.resume();
  }

  /** From now on, until its end. */
  addReader(reader: RecordStream<ProcessIO>): void {
    this.#readers.add(reader);
    reader.onClose(() => this.#readers.delete(reader));
  }

  /** False when somebody else has its input. */
  takeInput(): boolean {
    if (this.#hasInput) return false;
    return (this.#hasInput = true);
  }

  releaseInput(): void {
    this.#hasInput = false;
  }

  async write({ type, data, control }: ProcessIO): Promise<void> {
    if (type === 'DATA') return this.#writeData(data?.data ?? new Uint8Array());
    const size = control?.type === 'TTY_INFO' ? control.tty_info?.window_size : undefined;
    if (size) resizeTerminal(this.#child.pid, size.columns, size.rows);
  }

  async #writeData(data: Uint8Array): Promise<void> {
    const { stdin } = this.#child;
    // On a terminal the end is a character like any other.
    if (data.length === 0) return void (this.#tty || stdin.end());
    if (!stdin.destroyed && !stdin.writableEnded && !stdin.write(data)) await drained(stdin);
  }

  /** What its processes left behind may hold the pipes open: they are closed. */
  cut(): void {
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }
}
