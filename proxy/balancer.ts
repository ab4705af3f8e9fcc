import type { Endpoint } from './rules.ts';

/** Clients that are remembered for their endpoint at most; the one that came longest ago is forgotten first. */
const maxClients = 10_000;

const same = (a: Endpoint, b: Endpoint): boolean => a.address === b.address && a.port === b.port;

/** Round robin, and with affinity back to the same endpoint for as long as it lasts. */
export class Balancer {
  #endpoints: readonly Endpoint[];
  #affinitySeconds: number;
  #next = 0;
  /** In the order of the last visit. */
  readonly #clients = new Map<string, { endpoint: Endpoint; seen: number }>();

  constructor(endpoints: readonly Endpoint[], affinitySeconds: number) {
    this.#endpoints = endpoints;
    this.#affinitySeconds = affinitySeconds;
  }

  change(endpoints: readonly Endpoint[], affinitySeconds: number): void {
    this.#endpoints = endpoints;
    this.#affinitySeconds = affinitySeconds;
    for (const [client, { endpoint }] of this.#clients)
      if (affinitySeconds === 0 || !this.has(endpoint)) this.#clients.delete(client);
  }

  has(endpoint: Endpoint): boolean {
    return this.#endpoints.some((one) => same(one, endpoint));
  }

  /** `now` in milliseconds; undefined where there is no endpoint. */
  choose(client: string, now: number): Endpoint | undefined {
    const known = this.#affinitySeconds > 0 ? this.#clients.get(client) : undefined;
    const stays = known && now - known.seen < this.#affinitySeconds * 1000;
    const endpoint = stays ? known.endpoint : this.#endpoints[this.#next++ % this.#endpoints.length];
    if (endpoint && this.#affinitySeconds > 0) this.#remember(client, endpoint, now);
    return endpoint;
  }

  /** Its endpoint did not answer: the next visit may go elsewhere. */
  forget(client: string): void {
    this.#clients.delete(client);
  }

  #remember(client: string, endpoint: Endpoint, now: number): void {
    this.#clients.delete(client);
    this.#clients.set(client, { endpoint, seen: now });
    if (this.#clients.size > maxClients) this.#clients.delete(this.#clients.keys().next().value!);
  }
}
