/**
 * The `zookeeper` package behind our port. It is native: present only where it was built for the Node that runs. Only for
 * a process that starts no others; `zookeeper-native.ts` says why, and gives it one.
 */
import type { EventEmitter } from 'node:events';
import {
  ZooKeeperError,
  type ConnectZooKeeper,
  type ZooKeeper,
  type ZooKeeperOptions,
  type ZooKeeperState,
} from './zookeeper.ts';

type Callback<T extends unknown[] = []> = (code: number, text: string, ...values: T) => void;

/** The part of the package that we use; its own declarations have `any` everywhere. */
interface AddonClient extends EventEmitter {
  readonly client_id: string | number;
  init(config: object): unknown;
  close(): void;
  add_auth(scheme: string, auth: string, done: Callback): number;
  a_create(path: string, data: Buffer, flags: number, done: Callback<[string]>): number;
  a_exists(path: string, watch: boolean, done: Callback): number;
  aw_exists(path: string, watch: () => void, done: Callback): number;
  a_get(path: string, watch: boolean, done: Callback<[object, Buffer | undefined]>): number;
  aw_get(path: string, watch: () => void, done: Callback<[object, Buffer | undefined]>): number;
  a_get_children(path: string, watch: boolean, done: Callback<[string[]]>): number;
  aw_get_children(path: string, watch: () => void, done: Callback<[string[]]>): number;
  a_set(path: string, data: Buffer, version: number, done: Callback): number;
  a_delete_(path: string, version: number, done: Callback): number;
}
export type Addon = new (config: object) => AddonClient;

const noNode = -101;
const expired = -112;
const authenticationFailed = -113;
const flags = { ephemeral: 1, sequential: 2 };

/** Undefined where the package is not installed or was built for another Node. */
export async function loadAddon(): Promise<Addon | undefined> {
  try {
    const name: string = 'zookeeper';
    const { default: client } = (await import(name)) as { default: Addon };
    return client;
  } catch {
    // It is an optional dependency; our own client takes over.
    return undefined;
  }
}

export function connectAddon(module: Addon): ConnectZooKeeper {
  return (options) => new AddonZooKeeper(module, options);
}

class AddonZooKeeper implements ZooKeeper {
  readonly #options: ZooKeeperOptions;
  readonly #client: AddonClient;
  #state: ZooKeeperState = 'connecting';

  constructor(module: Addon, options: ZooKeeperOptions) {
    this.#options = options;
    this.#client = new module({
      connect: options.servers.join(','),
      timeout: options.sessionTimeout,
      debug_level: 0,
      host_order_deterministic: false,
      // It takes so many wake-ups without data for an expired session; connecting alone causes several.
      response_counter_limit: 1_000_000,
    });
    this.#client.on('connect', () => this.#become('connected'));
    this.#client.on('connecting', () => {
      if (this.#state === 'connected') this.#become('disconnected');
    });
    this.#client.on('close', (_client: unknown, code: number) => {
      this.#become(code === expired ? 'expired' : code === authenticationFailed ? 'unauthenticated' : 'closed');
    });
    this.#client.init({});
    const { digest } = options;
    if (digest !== undefined)
      this.#client.add_auth('digest', digest, (code) => {
        if (code === authenticationFailed || code === -115) this.#become('unauthenticated');
      });
  }

  get state(): ZooKeeperState {
    return this.#state;
  }

  get sessionId(): string {
    const id = String(this.#client.client_id);
    return id === '0' ? '' : id;
  }

  create(path: string, data: Uint8Array, { ephemeral = false, sequential = false } = {}): Promise<string> {
    const flag = (ephemeral ? flags.ephemeral : 0) | (sequential ? flags.sequential : 0);
    return this.#call(`create ${path}`, (done) => this.#client.a_create(path, Buffer.from(data), flag, done));
  }

  async get(path: string, onChange?: () => void): Promise<Buffer> {
    const read = (done: Callback<[object, Buffer | undefined]>) =>
      onChange ? this.#client.aw_get(path, onChange, done) : this.#client.a_get(path, false, done);
    const data = await this.#call<Buffer | undefined>(`get ${path}`, (done) =>
      read((code, text, _stat, bytes) => done(code, text, bytes)),
    );
    return data ?? Buffer.alloc(0);
  }

  children(path: string, onChange?: () => void): Promise<string[]> {
    return this.#call(`children of ${path}`, (done) =>
      onChange ? this.#client.aw_get_children(path, onChange, done) : this.#client.a_get_children(path, false, done),
    );
  }

  exists(path: string, onChange?: () => void): Promise<boolean> {
    return this.#call(`exists ${path}`, (done) => {
      const told: Callback = (code, text) => (code === noNode ? done(0, text, false) : done(code, text, true));
      return onChange ? this.#client.aw_exists(path, onChange, told) : this.#client.a_exists(path, false, told);
    });
  }

  async set(path: string, data: Uint8Array): Promise<void> {
    await this.#call(`set ${path}`, (done) =>
      this.#client.a_set(path, Buffer.from(data), -1, (code, text) => done(code, text, undefined)),
    );
  }

  async remove(path: string): Promise<void> {
    await this.#call(`remove ${path}`, (done) =>
      this.#client.a_delete_(path, -1, (code, text) => done(code, text, undefined)),
    );
  }

  close(): Promise<void> {
    if (!this.#isFinal()) this.#client.close();
    this.#become('closed');
    return Promise.resolve();
  }

  #isFinal(): boolean {
    return ['closed', 'expired', 'unauthenticated'].includes(this.#state);
  }

  #become(state: ZooKeeperState): void {
    if (this.#state === state || this.#isFinal()) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #call<T>(what: string, start: (done: Callback<[T]>) => number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'expired') return reject(new ZooKeeperError(expired, what));
      if (this.#isFinal()) return reject(new ZooKeeperError(-116, what));
      const rc = start((code, _text, value) => (code === 0 ? resolve(value) : reject(new ZooKeeperError(code, what))));
      if (rc !== 0) reject(new ZooKeeperError(rc, what));
    });
  }
}
