import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

/** How often a file is looked at although nothing was told of it, ms. */
const lookEvery = 1_000;
const pieceBytes = 64 * 1024;

/** Hands on what is appended to a file that another process writes, also when that begins it anew. */
export class FileTail {
  readonly #path: string;
  readonly #take: (chunk: Buffer) => void;
  readonly #looking: NodeJS.Timeout;
  #offset: number;
  #file: FileHandle | undefined;
  #watcher: FSWatcher | undefined;
  #reading: Promise<void> = Promise.resolve();
  #isWaiting = false;

  /** `offset`: what was read before, bytes. */
  constructor(path: string, take: (chunk: Buffer) => void, offset = 0) {
    this.#path = path;
    this.#take = take;
    this.#offset = offset;
    this.#looking = setInterval(() => this.#look(), lookEvery);
    this.#look();
  }

  /** Reads what is there still. Answers how far it came. */
  async finish(): Promise<number> {
    clearInterval(this.#looking);
    this.#look();
    await this.#reading;
    this.#watcher?.close();
    await this.#file?.close();
    this.#file = undefined;
    return this.#offset;
  }

  /** One look at a time; what comes meanwhile causes one more. */
  #look(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#reading = this.#reading.then(() => {
      this.#isWaiting = false;
      return this.#read();
    });
  }

  async #read(): Promise<void> {
    this.#file ??= await open(this.#path).catch(() => undefined); // it may come later than we do
    if (!this.#file) return;
    this.#watcher ??= this.#watch();
    await this.#readOn(this.#file);
    const now = await stat(this.#path).catch(() => undefined);
    const ours = await this.#file.stat();
    if (now && now.ino !== ours.ino) return this.#startAnew();
    if (ours.size < this.#offset) this.#offset = 0;
  }

  /** Set aside by whoever writes it: the next has its name. */
  async #startAnew(): Promise<void> {
    this.#watcher?.close();
    await this.#file?.close();
    this.#watcher = this.#file = undefined;
    this.#offset = 0;
    return this.#read();
  }

  async #readOn(file: FileHandle): Promise<void> {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      this.#take(buffer.subarray(0, bytesRead));
    }
  }

  #watch(): FSWatcher | undefined {
    try {
      return watch(this.#path, () => this.#look()).on('error', () => undefined);
    } catch {
      return undefined; // no watches left on this machine: looking every second remains
    }
  }
}
