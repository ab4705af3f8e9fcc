/**
 * The `zookeeper` package in a process of its own.
 *
 * Its C client opens sockets that every child process inherits. When it closes one later, the copy in the child keeps the
 * registration with epoll alive: the loop spins on a descriptor it does not know, and the next client, whose socket has the
 * same number, never hears of its connection. It also closes a session with a blocking wait. A process that does nothing
 * else starts no children and may wait. docs/decisions/0005-zookeeper-client.md
 *
 *   NativeZooKeeper ── {id, method, args, watch} ──▶ zookeeper-addon-process.ts ──▶ addon
 *                   ◀── {state, sessionId} · {id, value} · {id, error} · {watch} ──
 */
import { fork, type ChildProcess } from 'node:child_process';
import { extname, join } from 'node:path';
import { loadAddon } from './zookeeper-addon.ts';
import {
  ZooKeeperError,
  type ConnectZooKeeper,
  type ZooKeeper,
  type ZooKeeperOptions,
  type ZooKeeperState,
} from './zookeeper.ts';

export type Method = 'create' | 'get' | 'children' | 'exists' | 'set' | 'remove' | 'close';
export type Request = { id: number; method: Method; args: unknown[]; watch: boolean };
export type Hello = Omit<ZooKeeperOptions, 'tls' | 'onFault' | 'onState'>;
export type Told =
  | { state: ZooKeeperState; sessionId: string }
  | { watch: number }
  | { id: number; value: unknown }
  | { id: number; error: { number: number; what: string } };

interface Asked {
  what: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
  onChange: (() => void) | undefined;
}

const program = join(import.meta.dirname, `zookeeper-addon-process${extname(import.meta.filename)}`);
const connectionLost = -4;
const expired = -112;
const closing = -116;
/** Milliseconds for the last word of a session. */
const farewell = 2000;

/** Undefined where the package is not installed or was built for another Node. */
export async function findNative(): Promise<ConnectZooKeeper | undefined> {
  return (await loadAddon()) ? (options) => new NativeZooKeeper(options) : undefined;
}

class NativeZooKeeper implements ZooKeeper {
  readonly #options: ZooKeeperOptions;
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, Asked>();
  readonly #watches = new Map<number, () => void>();
  readonly #gone: Promise<void>;
  #state: ZooKeeperState = 'connecting';
  #sessionId = '';
  #next = 1;

  constructor(options: ZooKeeperOptions) {
    this.#options = options;
    const { servers, sessionTimeout, digest } = options;
    const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const;
    this.#child = fork(program, { execArgv: [], serialization: 'advanced', stdio: [...stdio] });
    this.#child.on('message', (told: Told) => this.#hear(told));
    this.#gone = new Promise((resolve) => {
      const ended = () => {
        this.#finish('closed');
        resolve();
      };
      this.#child.on('exit', ended).on('error', ended);
    });
    this.#send({ servers: [...servers], sessionTimeout, digest } satisfies Hello);
  }

  get state(): ZooKeeperState {
    return this.#state;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  create(path: string, data: Uint8Array, options = {}): Promise<string> {
    return this.#ask('create', [path, data, options]);
  }

  async get(path: string, onChange?: () => void): Promise<Buffer> {
    return Buffer.from(await this.#ask<Uint8Array>('get', [path], onChange));
  }

  children(path: string, onChange?: () => void): Promise<string[]> {
    return this.#ask('children', [path], onChange);
  }

  exists(path: string, onChange?: () => void): Promise<boolean> {
    return this.#ask('exists', [path], onChange);
  }

  set(path: string, data: Uint8Array): Promise<void> {
    return this.#ask('set', [path, data]);
  }

  remove(path: string): Promise<void> {
    return this.#ask('remove', [path]);
  }

  async close(): Promise<void> {
    if (!this.#isFinal()) {
      const late = setTimeout(() => this.#child.kill('SIGKILL'), farewell);
      await this.#ask('close', []).catch(() => undefined);
      clearTimeout(late);
      this.#finish('closed');
    }
    await this.#gone;
  }

  #isFinal(): boolean {
    return ['closed', 'expired', 'unauthenticated'].includes(this.#state);
  }

  #ask<T>(method: Method, args: unknown[], onChange?: () => void): Promise<T> {
    const what = method === 'close' ? method : `${method} ${String(args[0])}`;
    return new Promise((resolve, reject) => {
      if (this.#isFinal()) return reject(new ZooKeeperError(this.#state === 'expired' ? expired : closing, what));
      const id = this.#next++;
      this.#asked.set(id, { what, resolve: (value) => resolve(value as T), reject, onChange });
      this.#send({ id, method, args, watch: onChange !== undefined } satisfies Request);
    });
  }

  #send(message: Hello | Request): void {
    // What cannot be delivered is answered by the end of the process.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #hear(told: Told): void {
    if ('state' in told) {
      this.#sessionId = told.sessionId;
      this.#become(told.state);
    } else if ('watch' in told) {
      const onChange = this.#watches.get(told.watch);
      this.#watches.delete(told.watch);
      onChange?.();
    } else this.#answer(told);
  }

  #answer(told: Extract<Told, { id: number }>): void {
    const asked = this.#asked.get(told.id);
    this.#asked.delete(told.id);
    if (!asked) return;
    if ('error' in told) return asked.reject(new ZooKeeperError(told.error.number, told.error.what));
    if (asked.onChange) this.#watches.set(told.id, asked.onChange);
    asked.resolve(told.value);
  }

  #become(state: ZooKeeperState): void {
    if (this.#state === state || this.#isFinal()) return;
    if (['closed', 'expired', 'unauthenticated'].includes(state)) return this.#finish(state);
    this.#state = state;
    this.#options.onState?.(state);
  }

  /** The last state, and the end of the process. */
  #finish(state: ZooKeeperState): void {
    if (this.#isFinal()) return;
    this.#state = state;
    const code = state === 'expired' ? expired : state === 'closed' ? closing : connectionLost;
    for (const { what, reject } of this.#asked.values()) reject(new ZooKeeperError(code, what));
    this.#asked.clear();
    this.#watches.clear();
    if (this.#child.connected) this.#child.disconnect();
    this.#options.onState?.(state);
  }
}
