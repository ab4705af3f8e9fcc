import { type KubeObject } from '../../api/meta.ts';
import { unlessNotFound } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';

export interface Scale extends KubeObject {
  spec?: { replicas?: number };
  status?: { replicas: number; selector?: string };
}

/** Names something that has a size. */
export interface Scalable {
  apiVersion?: string | undefined;
  kind: string;
  name: string;
}

interface Resource {
  name: string;
  kind: string;
}

/** Milliseconds for which what a group serves is believed. */
const believed = 60_000;

/** Sizes of anything that has a scale subresource, custom resources too. */
export class Scales {
  readonly #client: Client;
  readonly #now: () => number;
  readonly #served = new Map<string, { resources: readonly Resource[]; at: number }>();

  constructor(client: Client, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  /** Undefined if there is no such object, or none of its kind has a size. */
  async get(namespace: string, target: Scalable, signal: AbortSignal): Promise<Scale | undefined> {
    const path = await this.#path(namespace, target, signal);
    return path === undefined
      ? undefined
      : this.#client.raw<Scale>('GET', path, undefined, signal).catch(unlessNotFound);
  }

  /** Refused with a Conflict if the size has changed since it was read. */
  async set(namespace: string, target: Scalable, scale: Scale, replicas: number, signal: AbortSignal): Promise<void> {
    const path = await this.#path(namespace, target, signal);
    if (path !== undefined)
      await this.#client.raw('PUT', path, { ...scale, spec: { ...scale.spec, replicas } }, signal);
  }

  async #path(namespace: string, target: Scalable, signal: AbortSignal): Promise<string | undefined> {
    const { apiVersion = 'v1', kind, name } = target;
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const resources = await this.#resources(base, signal);
    const plural = resources.find((one) => one.kind === kind && !one.name.includes('/'))?.name;
    const scales = plural !== undefined && resources.some((one) => one.name === `${plural}/scale`);
    return scales ? `${base}/namespaces/${namespace}/${plural}/${name}/scale` : undefined;
  }

  async #resources(base: string, signal: AbortSignal): Promise<readonly Resource[]> {
    const known = this.#served.get(base);
    if (known && this.#now() - known.at < believed) return known.resources;
    const list = await this.#client
      .raw<{ resources: Resource[] }>('GET', base, undefined, signal)
      .catch(unlessNotFound);
    const resources = list?.resources ?? [];
    this.#served.set(base, { resources, at: this.#now() });
    return resources;
  }
}
