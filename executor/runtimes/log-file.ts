import { closeSync, constants, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { logLimits, setAside } from './log-rotation.ts';

/** Never through a link. */
const appending = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export type LogStream = 'stdout' | 'stderr';

/** Longest text of one log line, bytes; what is longer is split into parts tagged P, as CRI has it. */
const longestPart = 16 * 1024;

/**
 * One container's log in CRI's format, one line a record:
 *
 *   2026-11-21T04:25:40.863296225Z stdout F text
 *
 * F ends a line, P goes on in the next record of that stream. Past `maxBytes` the file is set aside as
 * `<name>.<time>` and a new one begun; `keep` old ones stay, so a chatty container cannot fill the disk.
 */
export class LogFile {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  readonly #rest: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  #fd: number;
  #size: number;

  constructor(path: string, { maxBytes, keep }: { maxBytes: number; keep: number } = logLimits) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#keep = keep;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, appending, 0o640);
    this.#size = fstatSync(this.#fd).size;
  }

  /** Takes what a stream gave; writes the lines that are complete. */
  write(stream: LogStream, chunk: Buffer): void {
    const rest = this.#rest[stream];
    const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const stamp = `${now()} ${stream} `;
    const out: Buffer[] = [];
    let from = 0;
    for (;;) {
      const end = all.indexOf(10, from);
      const stop = end < 0 ? all.length : end;
      while (stop - from > longestPart) {
        out.push(Buffer.from(`${stamp}P `), all.subarray(from, from + longestPart), newline);
        from += longestPart;
      }
      if (end < 0) break;
      out.push(Buffer.from(`${stamp}F `), all.subarray(from, end), newline);
      from = end + 1;
    }
    this.#rest[stream] = Buffer.from(all.subarray(from));
    this.#append(out);
  }

  /** The streams have ended: writes what had no newline, tagged P as containerd does, and closes. */
  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#rest[stream];
      if (rest.length > 0) this.#append([Buffer.from(`${now()} ${stream} P `), rest, newline]);
    }
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #append(parts: Buffer[]): void {
    if (parts.length === 0 || this.#fd < 0) return;
    const bytes = Buffer.concat(parts);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    this.#size += bytes.length;
    if (this.#size > this.#maxBytes) this.#rotate();
  }

  #rotate(): void {
    closeSync(this.#fd);
    setAside(this.#path, this.#keep);
    this.#fd = openSync(this.#path, appending, 0o640);
    this.#size = 0;
  }
}

const newline = Buffer.from('\n');

/** RFC 3339 with as many fractional digits as this machine's clock gives us. */
function now(): string {
  const ms = performance.timeOrigin + performance.now();
  const micros = Math.floor((ms % 1000) * 1000);
  return `${new Date(ms).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}000Z`;
}
