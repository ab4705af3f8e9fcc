import { type FSWatcher, watch } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import type { Pod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { type Origin, staticPods } from './static-pod.ts';

export interface ManifestsOptions {
  /** A directory of manifests, or one; and the address of one. Empty: none. */
  path: string;
  url: string;
  nodeName: string;
  /** How often each is read again, ms; a change of a file is seen at once. */
  fileInterval: number;
  urlInterval: number;
  /** All that there is now, by `namespace/name`. */
  found(pods: ReadonlyMap<string, Pod>): void;
  log: Logger;
}

const patience = 30_000;
const largest = 10 * 1024 * 1024;
/** A file is often written in several steps, ms. */
const settle = 100;

/**
 * Reads manifests of static pods, again and again. What cannot be read, a file half written or a server that is away,
 * keeps the pods that it had: only what is gone takes them away.
 */
export class Manifests {
  readonly #options: ManifestsOptions;
  /** The last good pods of each place, by path or URL, and what was wrong with it last. */
  readonly #pods = new Map<string, Pod[]>();
  readonly #wrong = new Map<string, string>();
  #watcher: FSWatcher | undefined;
  #changed = new AbortController();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** Resolves when everything was read once; `closed` when the signal has aborted. */
  async start(signal: AbortSignal): Promise<{ closed: Promise<void> }> {
    const { path, url, fileInterval, urlInterval } = this.#options;
    if (path) await this.#readFiles();
    if (url) await this.#readUrl(signal);
    if (path) this.#watch(signal);
    const closed = Promise.all([
      path ? this.#followFiles(fileInterval, signal) : undefined,
      url ? this.#followUrl(urlInterval, signal) : undefined,
    ]).then(() => undefined);
    return { closed };
  }

  async #followFiles(interval: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(interval, AbortSignal.any([signal, this.#changed.signal])).catch(() => undefined);
      await delay(settle, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#changed = new AbortController();
      this.#watch(signal);
      await this.#readFiles();
    }
  }

  async #followUrl(interval: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(interval, signal).catch(() => undefined);
      if (!signal.aborted) await this.#readUrl(signal);
    }
  }

  /** A directory that is not there yet, or no longer, is looked for at every turn. */
  #watch(signal: AbortSignal): void {
    if (this.#watcher) return;
    try {
      const watcher = watch(this.#options.path, { signal }, () => this.#changed.abort());
      const over = () => {
        watcher.close();
        this.#watcher = undefined;
      };
      this.#watcher = watcher.on('error', over);
    } catch (err) {
      this.#options.log.debug({ err, path: this.#options.path }, 'manifests cannot be watched; looking now and then');
    }
  }

  async #readFiles(): Promise<void> {
    const { path } = this.#options;
    const files = await filesAt(path).catch((error: unknown) => this.#note(path, error));
    if (!files) return;
    this.#note(path, undefined);
    for (const place of this.#pods.keys())
      if (place !== this.#options.url && !files.includes(place)) this.#forget(place);
    for (const file of files) {
      const text = await readFile(file, 'utf8').catch((error: unknown) => this.#note(file, error));
      if (text !== undefined) await this.#take(file, 'file', text);
    }
    this.#tell();
  }

  async #readUrl(signal: AbortSignal): Promise<void> {
    const { url } = this.#options;
    const within = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const text = await textAt(url, within).catch((error: unknown) => this.#note(url, error));
    if (text === undefined) return;
    await this.#take(url, 'http', text);
    this.#tell();
  }

  async #take(place: string, source: Origin['source'], text: string): Promise<void> {
    const { nodeName } = this.#options;
    try {
      const fresh = await staticPods(text, { source, from: place, nodeName, now: Date.now() });
      // One that has not changed stays the very one it was, with the time it was first seen.
      const old = new Map(this.#pods.get(place)?.map((pod) => [pod.metadata.uid, pod]));
      this.#pods.set(
        place,
        fresh.map((pod) => old.get(pod.metadata.uid) ?? pod),
      );
      this.#note(place, undefined);
    } catch (error) {
      this.#note(place, error);
    }
  }

  #forget(place: string): void {
    this.#pods.delete(place);
    this.#wrong.delete(place);
  }

  #tell(): void {
    const found = new Map<string, Pod>();
    for (const [place, pods] of [...this.#pods].sort(([a], [b]) => (a < b ? -1 : 1)))
      for (const pod of pods) {
        const key = keyOf(pod);
        if (!found.has(key)) found.set(key, pod);
        else if (found.get(key) !== pod)
          this.#note(`${place} ${key}`, new Error(`another manifest has a pod ${key} too`));
      }
    this.#options.found(found);
  }

  /** Said once for each thing that is wrong. */
  #note(place: string, error: unknown): undefined {
    const words = error === undefined ? undefined : ((error as Error).message ?? String(error));
    if (words === this.#wrong.get(place)) return undefined;
    if (words === undefined) this.#wrong.delete(place);
    else {
      this.#wrong.set(place, words);
      this.#options.log.warn({ manifest: place, why: words }, 'a manifest of static pods cannot be used');
    }
    return undefined;
  }
}

/** Hidden files are those of editors. */
async function filesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) return [];
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((e) => !e.name.startsWith('.') && (e.isFile() || e.isSymbolicLink())).map((e) => e.name);
  return names.sort().map((name) => join(path, name));
}

async function textAt(url: string, signal: AbortSignal): Promise<string> {
  const { statusCode, body } = await request(url, { signal, headersTimeout: patience });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`the server answered ${statusCode}`);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if ((length += chunk.length) > largest) throw new Error(`it is longer than ${largest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
