import { Reader } from 'protobufjs/minimal.js';
import { delay } from '../../lib/delay.ts';

/** How soon CRI is asked again, ms, and by how much later each time; and when looking every second has to do. */
const first = 10;
const growth = 1.1;
const patience = 2_000;

/**
 * containerd has cleaned up after a container some hundred milliseconds before CRI says that it has ended. Until then the container counts
 * as running; so CRI is asked again, of this one container and soon, rather than everything at some later time.
 */
export class CriExits {
  readonly #isOver: (containerId: string) => Promise<boolean>;
  readonly #told: () => void;
  readonly #closing = new AbortController();
  readonly #awaited = new Set<string>();

  /** `told` is called when CRI knows of an exit; `isOver` is true of a container that is not there, too. */
  constructor(isOver: (containerId: string) => Promise<boolean>, told: () => void) {
    this.#isOver = isOver;
    this.#told = told;
  }

  ended(containerId: string): void {
    if (!this.#awaited.has(containerId)) void this.#await(containerId);
  }

  close(): void {
    this.#closing.abort();
  }

  async #await(containerId: string): Promise<void> {
    this.#awaited.add(containerId);
    try {
      for (let [wait, waited] = [first, 0]; waited < patience; waited += wait, wait *= growth) {
        await delay(wait, this.#closing.signal);
        if (await this.#isOver(containerId)) return this.#told();
      }
    } catch {
      // The runtime is gone, or we are: whoever looks every second sees it too.
    } finally {
      this.#awaited.delete(containerId);
    }
  }
}

/** containerd's event /tasks/delete → the container whose first process ended. Commands that were run in it have none. */
export function endedContainer(bytes: Uint8Array): string | undefined {
  const reader = Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) return reader.string();
    reader.skipType(tag & 7);
  }
  return undefined;
}
