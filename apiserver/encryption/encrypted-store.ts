import { internalError } from '../../api/status.ts';
import type { Batch, Change, Item, Page, Store, Written } from '../store.ts';
import type { ResourceKeys } from './config.ts';
import { identity, type Transformer } from './transformers.ts';

const root = '/registry/';
const plain: readonly Transformer[] = [identity];

/** A Store whose values lie encrypted in another, by resource. What an old key wrote is marked `stale`: write it again. */
export class EncryptedStore implements Store {
  readonly #store: Store;
  readonly #keys: readonly ResourceKeys[];
  readonly #byResource = new Map<string, readonly Transformer[]>();

  constructor(store: Store, keys: readonly ResourceKeys[]) {
    this.#store = store;
    this.#keys = keys;
  }

  async get(key: string): Promise<{ revision: number; item: Item | undefined }> {
    const { revision, item } = await this.#store.get(key);
    return { revision, item: item && this.#opened(item) };
  }

  async list(prefix: string, options?: Parameters<Store['list']>[1]): Promise<Page> {
    const page = await this.#store.list(prefix, options);
    return { ...page, items: page.items.map((item) => this.#opened(item)) };
  }

  async put(key: string, value: Uint8Array, expected: number): Promise<Written> {
    const [writer] = this.#transformersOf(key);
    return this.#written(await this.#store.put(key, sealed(writer!, value, key), expected));
  }

  async delete(key: string, expected: number): Promise<Written> {
    return this.#written(await this.#store.delete(key, expected));
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Batch> {
    for await (const { revision, events } of this.#store.watch(prefix, after, signal))
      yield { revision, events: events.map((event) => this.#openedChange(event)) };
  }

  compact(revision: number): Promise<void> {
    return this.#store.compact(revision);
  }

  ping(signal?: AbortSignal): Promise<void> {
    return this.#store.ping(signal);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #written(written: Written): Written {
    return written.ok ? written : { ok: false, current: written.current && this.#opened(written.current) };
  }

  #openedChange(change: Change): Change {
    return change.type === 'put' ? { ...change, item: this.#opened(change.item) } : change;
  }

  #opened(item: Item): Item {
    const transformers = this.#transformersOf(item.key);
    if (transformers === plain) return item;
    for (const [i, { prefix, open }] of transformers.entries()) {
      if (!startsWith(item.value, prefix)) continue;
      // Whatever begins as ours is no plain value, though an identity provider would take it.
      if (prefix === '' && startsWith(item.value, 'k8s:enc:')) continue;
      try {
        const value = open(item.value.subarray(prefix.length), item.key);
        return { ...item, value, ...(i > 0 ? { stale: true } : {}) };
      } catch (error) {
        throw internalError(`unable to transform key "${item.key}": ${(error as Error).message}`);
      }
    }
    throw internalError(`unable to transform key "${item.key}": no key of the encryption configuration fits`);
  }

  #transformersOf(key: string): readonly Transformer[] {
    const group = key.indexOf('/', root.length);
    const end = key.indexOf('/', group + 1);
    const resource = key.slice(root.length, end);
    const known = this.#byResource.get(resource);
    if (known) return known;
    const found = this.#keys.find(({ resources }) => resources.some((pattern) => fits(pattern, resource)));
    const transformers = found?.transformers ?? plain;
    // Services' addresses and the like are no resources, but few.
    this.#byResource.set(resource, transformers);
    return transformers;
  }
}

/** Does `secrets`, `*.apps`, `*.` or `*.*` mean `<group>/<plural>`? */
function fits(pattern: string, resource: string): boolean {
  const [group, plural] = resource.split('/');
  const dot = pattern.indexOf('.');
  const [wanted, ofGroup] = dot < 0 ? [pattern, ''] : [pattern.slice(0, dot), pattern.slice(dot + 1)];
  return (wanted === '*' || wanted === plural) && (ofGroup === '*' || (ofGroup || 'core') === group);
}

const sealed = ({ prefix, seal }: Transformer, value: Uint8Array, key: string): Uint8Array =>
  prefix === '' ? value : Buffer.concat([Buffer.from(prefix), seal(value, key)]);

function startsWith(value: Uint8Array, prefix: string): boolean {
  for (let i = 0; i < prefix.length; i++) if (value[i] !== prefix.charCodeAt(i)) return false;
  return true;
}
