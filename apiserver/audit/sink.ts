import { createWriteStream, existsSync, openSync, renameSync, statSync, type WriteStream } from 'node:fs';
import type { Logger } from '../../lib/log.ts';

/** More than so many bytes do not wait for a disk that is behind: newer lines are dropped, and that is logged. */
const mostWaiting = 64 * 1024 * 1024;

export interface SinkOptions {
  /** `-` is standard output. */
  path: string;
  /** Bytes after which a new file is begun; 0 never. */
  maxBytes: number;
  /** Files of before that are kept, `<path>.1` the newest. */
  backups: number;
}

/** Where audit events go: a file of JSON lines. */
export class AuditSink {
  readonly #options: SinkOptions;
  readonly #log: Logger;
  #stream: WriteStream | NodeJS.WriteStream;
  #bytes: number;
  #dropped = 0;

  constructor(options: SinkOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#bytes = this.#isFile ? (statSync(options.path, { throwIfNoEntry: false })?.size ?? 0) : 0;
    this.#stream = this.#open();
  }

  write(event: object): void {
    if (this.#stream.writableLength > mostWaiting) {
      if (this.#dropped++ === 0)
        this.#log.error('the audit log cannot be written as fast as it comes: events are lost');
      return;
    }
    if (this.#dropped > 0) {
      this.#log.error({ events: this.#dropped }, 'the audit log is written again; events were lost');
      this.#dropped = 0;
    }
    const line = `${JSON.stringify(event)}\n`;
    this.#stream.write(line);
    this.#bytes += Buffer.byteLength(line);
    if (this.#isFile && this.#options.maxBytes > 0 && this.#bytes >= this.#options.maxBytes) this.#rotate();
  }

  /** Resolves when everything is on its way to the disk. */
  close(): Promise<void> {
    if (!this.#isFile) return Promise.resolve();
    return new Promise((resolve) => void (this.#stream as WriteStream).end(resolve));
  }

  get #isFile(): boolean {
    return this.#options.path !== '-';
  }

  /** The file is there when this returns, so that it can be renamed at once. */
  #open(): WriteStream | NodeJS.WriteStream {
    const { path } = this.#options;
    if (!this.#isFile) return process.stdout;
    const stream = createWriteStream(path, { fd: openSync(path, 'a', 0o600) });
    stream.on('error', (err) => this.#log.error({ err }, 'the audit log cannot be written'));
    return stream;
  }

  /** Lines on their way still go into the file they were meant for, whatever its name is by then. */
  #rotate(): void {
    const { path, backups } = this.#options;
    this.#bytes = 0;
    try {
      for (let i = backups - 1; i >= 1; i--)
        if (existsSync(`${path}.${i}`)) renameSync(`${path}.${i}`, `${path}.${i + 1}`);
      renameSync(path, `${path}.1`);
      const full = this.#stream as WriteStream;
      this.#stream = this.#open();
      full.end();
    } catch (err) {
      this.#log.error({ err }, 'the audit log could not be moved aside');
    }
  }
}
