import { Counter, Histogram } from 'prom-client';
import type { Batch, Item, Page, Store, Written } from './store.ts';

/** Seconds, as kube-apiserver has them. */
const buckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const labelNames = ['operation', 'group', 'resource'];

/** A Store that tells how long its questions take, by what is done to which resource. */
export class MeasuredStore implements Store {
  readonly #store: Store;
  readonly #durations = new Histogram({
    name: 'etcd_request_duration_seconds',
    help: 'How long the store takes to answer.',
    labelNames,
    buckets,
    registers: [],
  });
  readonly #errors = new Counter({
    name: 'etcd_request_errors_total',
    help: 'Questions that the store did not answer.',
    labelNames,
    registers: [],
  });
  /** What a metrics registry should show. */
  readonly metrics = [this.#durations, this.#errors] as const;

  constructor(store: Store) {
    this.#store = store;
  }

  get(key: string): Promise<{ revision: number; item: Item | undefined }> {
    return this.#timed('get', key, this.#store.get(key));
  }

  list(prefix: string, options?: Parameters<Store['list']>[1]): Promise<Page> {
    return this.#timed('list', prefix, this.#store.list(prefix, options));
  }

  put(key: string, value: Uint8Array, expected: number): Promise<Written> {
    return this.#timed(expected === 0 ? 'create' : 'update', key, this.#store.put(key, value, expected));
  }

  delete(key: string, expected: number): Promise<Written> {
    return this.#timed('delete', key, this.#store.delete(key, expected));
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Batch> {
    return this.#store.watch(prefix, after, signal);
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

  async #timed<T>(operation: string, key: string, answer: Promise<T>): Promise<T> {
    const labels = { operation, ...resourceOf(key) };
    const started = performance.now();
    try {
      return await answer;
    } catch (error) {
      this.#errors.inc(labels);
      throw error;
    } finally {
      this.#durations.observe(labels, (performance.now() - started) / 1000);
    }
  }
}

/** `/registry/<group>/<resource>/…`; the core group is called `core` there and nothing here. */
function resourceOf(key: string): { group: string; resource: string } {
  const [, , group = '', resource = ''] = key.split('/', 4);
  return { group: group === 'core' ? '' : group, resource };
}
