import { LRUCache } from 'lru-cache';
import type { Dispatcher } from 'undici';

const max = 256;

/** Connections kept open to other servers, one agent for each way to reach one; those not used for longest are closed. */
export class Agents {
  readonly #agents = new LRUCache<string, Dispatcher>({
    max,
    // Requests in flight still get their answers.
    dispose: (agent) => void agent.close().catch(() => undefined),
  });

  get(key: string, make: () => Dispatcher): Dispatcher {
    const known = this.#agents.get(key);
    if (known) return known;
    const made = make();
    this.#agents.set(key, made);
    return made;
  }

  /** Ends all connections at once. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }
}
