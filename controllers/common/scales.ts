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
    const { name } = target;
    const { base, resources, plural } = await this.#find(target, signal);
    const scales = plural !== undefined && resources.some((one) => one.name === `${plural}/scale`);
    return scales ? `${base}/namespaces/${namespace}/${plural}/${name}/scale` : undefined;
  }

  /** `services`, `ingresses.networking.k8s.io`: how its kind is named with its group. Throws where nobody serves it. */
  async resourceOf(object: Scalable, signal: AbortSignal): Promise<string> {
    const { plural, group } = await this.#find(object, signal);
    if (plural === undefined)
      throw new Error(`no resource is of the kind ${object.kind} in ${object.apiVersion ?? 'v1'}`);
    return group ? `${plural}.${group}` : plural;
  }

  async #find({ apiVersion = 'v1', kind }: Scalable, signal: AbortSignal) {
    const [group] = apiVersion.includes('/') ? apiVersion.split('/') : [''];
    const base = group ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const resources = await this.#resources(base, signal);
    return {
      base,
      group,
      resources,
      plural: resources.find((one) => one.kind === kind && !one.name.includes('/'))?.name,
    };
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
