import { constants, type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { recordOf } from './log-record.ts';

export interface LogOptions {
  follow?: boolean;
  /** So many of the last lines. */
  tailLines?: number;
  /** Only what was said from then on, ms since the epoch. */
  since?: number;
  timestamps?: boolean;
  limitBytes?: number;
  /** One of the two streams; both unless told. */
  stream?: 'stdout' | 'stderr';
}

/** Milliseconds after which a follower looks at the file though nothing told it to. */
const lookAgain = 1_000;
const chunkBytes = 64 * 1024;

/**
 * A container's log file, as `kubectl logs` shows it. With `follow` it goes on through rotations until
 * `isRunning` says that nobody writes any more, or the signal aborts.
 */
export async function* readLog(
  path: string,
  options: LogOptions,
  isRunning: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const show = new Presenter(options);
  for await (const lines of readLines(path, options, isRunning, signal)) {
    const shown = show.lines(lines);
    if (shown.length > 0) yield shown;
    if (show.full) return;
  }
}

/** Records → what is shown of them. Many at a time: each step of the way costs as much as many a line. */
class Presenter {
  readonly #options: LogOptions;
  #left: number;
  #midLine = false;

  constructor(options: LogOptions) {
    this.#options = options;
    this.#left = options.limitBytes ?? Infinity;
  }

  get full(): boolean {
    return this.#left <= 0;
  }

  lines(lines: readonly Buffer[]): Buffer {
    const parts: Buffer[] = [];
    for (const line of lines) this.#line(line, parts);
    const bytes = Buffer.concat(parts);
    const shown = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= shown.length;
    return shown;
  }

  /** A line of an unknown form is shown as it is. */
  #line(line: Buffer, parts: Buffer[]): void {
    const { since, timestamps, stream } = this.#options;
    const record = recordOf(line);
    if (!record) return void parts.push(line, newline);
    const { time, isPart, text } = record;
    if (since !== undefined && Date.parse(time) < since) return;
    if (stream !== undefined && record.stream !== stream) return;
    if (timestamps && !this.#midLine) parts.push(Buffer.from(`${time} `));
    this.#midLine = isPart;
    parts.push(text);
    if (!isPart) parts.push(newline);
  }
}

/** Never through a link: what it leads to is not this container's log. */
const plainFile = constants.O_RDONLY | constants.O_NOFOLLOW;
const newline = Buffer.from('\n');
const empty = Buffer.alloc(0);

async function* readLines(
  path: string,
  { follow = false, tailLines }: LogOptions,
  isRunning: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<Buffer[], void, undefined> {
  const changes = follow ? new Changes(path) : undefined;
  let file = await open(path, plainFile);
  try {
    let at = tailLines === undefined ? 0 : await tailOffset(file, tailLines);
    let rest: Buffer = empty;
    for (;;) {
      const mayGrow = follow && (await isRunning()); // asked before reading: what it wrote last is read still
      for (let bytes = await readAt(file, at); bytes.length > 0 && !signal.aborted; bytes = await readAt(file, at)) {
        at += bytes.length;
        const [lines, left] = splitLines(rest.length === 0 ? bytes : Buffer.concat([rest, bytes]));
        if (lines.length > 0) yield lines;
        rest = left;
      }
      if (signal.aborted) return;
      if (follow && (await isRotated(path, file))) {
        await file.close();
        file = await open(path, plainFile);
        at = 0;
      } else if (mayGrow) await changes!.next(signal);
      else return;
    }
  } finally {
    changes?.close();
    await file.close();
  }
}

async function readAt(file: FileHandle, position: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position);
  return buffer.subarray(0, bytesRead);
}

function splitLines(bytes: Buffer): [lines: Buffer[], rest: Buffer] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return [lines, bytes.subarray(from)];
}

/** Where the last `count` lines begin. */
async function tailOffset(file: FileHandle, count: number): Promise<number> {
  const { size } = await file.stat();
  if (count <= 0) return size;
  let seen = 0;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunkBytes);
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(end - start), 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (buffer[i] !== 10 || start + i === size - 1) continue;
      seen += 1;
      if (seen === count) return start + i + 1;
    }
    end = start;
  }
  return 0;
}

/** The name stands for a new file. While it is missing the old one is still the log. */
async function isRotated(path: string, file: FileHandle): Promise<boolean> {
  const now = await stat(path).catch(() => undefined);
  return now !== undefined && now.ino !== (await file.stat()).ino;
}

/** Wakes when something happens in the file's directory, or after a while. */
class Changes {
  readonly #watcher: FSWatcher;
  #wake: () => void = () => undefined;
  #missed = false;

  constructor(path: string) {
    this.#watcher = watch(dirname(path), () => {
      this.#missed = true;
      this.#wake();
    });
    this.#watcher.on('error', () => this.#watcher.close()); // the directory is gone: the timer goes on
  }

  async next(signal: AbortSignal): Promise<void> {
    if (!this.#missed && !signal.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, lookAgain);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', this.#wake, { once: true });
      });
    signal.removeEventListener('abort', this.#wake);
    this.#missed = false;
  }

  close(): void {
    this.#watcher.close();
  }
}
