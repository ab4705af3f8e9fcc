/** Work by key: of one key in order and one at a time, of different keys side by side. The work must not throw. */
export class Inboxes {
  readonly #tails = new Map<string, Promise<void>>();

  add(key: string, work: () => Promise<void>): void {
    const tail = (this.#tails.get(key) ?? Promise.resolve()).then(work).finally(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    this.#tails.set(key, tail);
  }
}
