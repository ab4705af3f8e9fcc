import { statfs } from 'node:fs/promises';
import type { Logger } from '../lib/log.ts';
import type { Images, RuntimeImage } from './runtime.ts';

/** Shares of the disk: above the first, images go until no more than the second is used. */
const high = 0.85;
const low = 0.8;
/** An image that came just now is about to be used, ms. */
const youngest = 2 * 60_000;

/** Which images to remove to free so many bytes: those that nobody uses, the longest unused first. Times are ms. */
export function imagesToRemove(
  images: readonly RuntimeImage[],
  lastUsed: ReadonlyMap<string, number>,
  bytes: number,
  now: number,
): RuntimeImage[] {
  const free = images
    .filter(({ id, inUse, pinned }) => !inUse && !pinned && now - (lastUsed.get(id) ?? now) >= youngest)
    .sort((a, b) => lastUsed.get(a.id)! - lastUsed.get(b.id)!);
  const removed: RuntimeImage[] = [];
  for (let freed = 0; freed < bytes && free.length > 0;) {
    const image = free.shift()!;
    removed.push(image);
    freed += image.bytes;
  }
  return removed;
}

/** Keeps the disk of the images from filling up. */
export class ImageCollector {
  readonly #images: Images;
  readonly #log: Logger;
  /** When an image was last seen in use, or first seen. */
  readonly #lastUsed = new Map<string, number>();

  constructor(images: Images, log: Logger) {
    this.#images = images;
    this.#log = log;
  }

  /** `isPressing`: the disk is short, so every image that may go goes. Answers how many went. */
  async collect(now: number, isPressing = false): Promise<number> {
    const images = await this.#images.list();
    this.#note(images, now);
    const bytes = isPressing ? Infinity : await this.#tooMuch();
    const removed = imagesToRemove(images, this.#lastUsed, bytes, now);
    for (const { id, names } of removed) {
      this.#log.info({ image: names[0] ?? id }, 'removing an image that nobody uses');
      await this.#images.remove(id);
    }
    return removed.length;
  }

  #note(images: readonly RuntimeImage[], now: number): void {
    for (const { id, inUse } of images) if (inUse || !this.#lastUsed.has(id)) this.#lastUsed.set(id, now);
    const ids = new Set(images.map(({ id }) => id));
    for (const id of this.#lastUsed.keys()) if (!ids.has(id)) this.#lastUsed.delete(id);
  }

  async #tooMuch(): Promise<number> {
    const directory = await this.#images.directory();
    if (directory === undefined) return 0;
    const { blocks, bavail, bsize } = await statfs(directory);
    const used = (blocks - bavail) * bsize;
    return used > high * blocks * bsize ? used - low * blocks * bsize : 0;
  }
}
