/**
 * A ZooKeeper client of our own: for TLS, and for machines where the native one does not load.
 *
 *   socket ── connect frame (session id, password, last zxid) ──▶ server
 *          ── SetWatches as the first request of a reconnect, so that no change in between is missed
 *          ── a ping after a third of the session timeout without traffic
 *          ◀─ nothing for two thirds: the server is frozen or cut off; drop it, try the next
 */
import type { Socket } from 'node:net';
import { JuteReader, JuteWriter } from './jute.ts';
import { ZooKeeperError, type ZooKeeper, type ZooKeeperOptions, type ZooKeeperState } from './zookeeper.ts';
import { openSocket } from './zookeeper-tls.ts';

const operation = {
  create: 1,
  remove: 2,
  exists: 3,
  get: 4,
  set: 5,
  ping: 11,
  children: 12,
  auth: 100,
  setWatches: 101,
  close: -11,
};
const xids = { notification: -1, ping: -2, auth: -4, setWatches: -8 };
const eventTypes = { created: 1, deleted: 2, changed: 3, children: 4 };
const errors = { connectionLoss: -4, noNode: -101, expired: -112, closing: -116 };
const flags = { ephemeral: 1, sequential: 2 };
const maxFrameBytes = 16 * 1024 * 1024;
const maxWaiting = 10_000;

interface Request {
  xid: number;
  what: string;
  frame: Buffer;
  done: (reply: JuteReader) => void;
  fail: (error: Error, code: number) => void;
}

type Watches = Map<string, Set<() => void>>;

export function connectOwn(options: ZooKeeperOptions): ZooKeeper {
  return new OwnZooKeeper(options);
}

class OwnZooKeeper implements ZooKeeper {
  readonly #options: ZooKeeperOptions;
  #state: ZooKeeperState = 'connecting';
  #socket: Socket | undefined;
  #established = false;
  #input: Buffer = Buffer.alloc(0);
  #next: number;
  #xid = 0;
  #zxid = 0n;
  #session: { id: bigint; password: Buffer; timeout: number } = { id: 0n, password: Buffer.alloc(16), timeout: 0 };
  #sent: Request[] = [];
  #waiting: Request[] = [];
  #watches = { data: new Map() as Watches, missing: new Map() as Watches, children: new Map() as Watches };
  #heardAt = 0;
  #wroteAt = 0;
  #ticker: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: ZooKeeperOptions) {
    this.#options = options;
    this.#next = Math.floor(Math.random() * options.servers.length);
    this.#ticker = setInterval(() => this.#tick(), Math.max(10, options.sessionTimeout / 40));
    this.#connect();
  }

  get state(): ZooKeeperState {
    return this.#state;
  }

  get sessionId(): string {
    return this.#session.id === 0n ? '' : BigInt.asUintN(64, this.#session.id).toString(16);
  }

  create(path: string, data: Uint8Array, { ephemeral = false, sequential = false } = {}): Promise<string> {
    const body = (w: JuteWriter) =>
      w
        .text(path)
        .bytes(data)
        .int(1)
        .int(31)
        .text('world')
        .text('anyone')
        .int((ephemeral ? flags.ephemeral : 0) | (sequential ? flags.sequential : 0));
    return this.#call(operation.create, `create ${path}`, body, (reply) => reply.text());
  }

  get(path: string, onChange?: () => void): Promise<Buffer> {
    return this.#call(
      operation.get,
      `get ${path}`,
      (w) => w.text(path).bool(onChange !== undefined),
      (reply) => {
        watch(this.#watches.data, path, onChange);
        return reply.bytes();
      },
    );
  }

  children(path: string, onChange?: () => void): Promise<string[]> {
    return this.#call(
      operation.children,
      `children of ${path}`,
      (w) => w.text(path).bool(onChange !== undefined),
      (reply) => {
        watch(this.#watches.children, path, onChange);
        return reply.texts();
      },
    );
  }

  exists(path: string, onChange?: () => void): Promise<boolean> {
    return this.#call(
      operation.exists,
      `exists ${path}`,
      (w) => w.text(path).bool(onChange !== undefined),
      () => {
        watch(this.#watches.data, path, onChange);
        return true;
      },
      (code) => {
        if (code !== errors.noNode) return undefined;
        watch(this.#watches.missing, path, onChange);
        return false;
      },
    );
  }

  set(path: string, data: Uint8Array): Promise<void> {
    return this.#call(
      operation.set,
      `set ${path}`,
      (w) => w.text(path).bytes(data).int(-1),
      () => undefined,
    );
  }

  remove(path: string): Promise<void> {
    return this.#call(
      operation.remove,
      `remove ${path}`,
      (w) => w.text(path).int(-1),
      () => undefined,
    );
  }

  async close(): Promise<void> {
    if (this.#isFinal()) return;
    if (this.#established) {
      const said = this.#call(
        operation.close,
        'close',
        (w) => w,
        () => undefined,
      );
      // A server that does not answer in time will let the session expire.
      const late = new Promise<void>((resolve) => setTimeout(resolve, 1000).unref());
      await Promise.race([said.catch(() => undefined), late]);
    }
    this.#finish('closed', errors.closing);
  }

  #isFinal(): boolean {
    return ['closed', 'expired', 'unauthenticated'].includes(this.#state);
  }

  #become(state: ZooKeeperState): void {
    if (this.#state === state || this.#isFinal()) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #finish(state: ZooKeeperState, code: number): void {
    if (this.#isFinal()) return;
    clearInterval(this.#ticker);
    clearTimeout(this.#retry);
    this.#established = false;
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#become(state);
    for (const request of [...this.#sent.splice(0), ...this.#waiting.splice(0)])
      request.fail(new ZooKeeperError(code, request.what), code);
  }

  #connect(): void {
    if (this.#isFinal()) return;
    const server = this.#options.servers[this.#next++ % this.#options.servers.length]!;
    const colon = server.lastIndexOf(':');
    const host = server.slice(0, colon).replace(/^\[|\]$/g, '');
    this.#input = Buffer.alloc(0);
    this.#established = false;
    this.#heardAt = Date.now();
    const port = Number(server.slice(colon + 1));
    const socket = openSocket({ host, port }, this.#options.tls, () => this.#greet());
    this.#socket = socket;
    socket.on('data', (data) => this.#receive(socket, data));
    // 'close' follows every error and does what there is to do.
    socket.on('error', (error) => {
      this.#options.onFault?.(error);
      socket.destroy();
    });
    socket.on('close', (broken) => {
      // A server that speaks TLS alone ends a plain connection without a word.
      if (this.#socket === socket && !this.#established && !broken)
        this.#options.onFault?.(new Error(`${server} gives no session`));
      this.#lost(socket);
    });
  }

  #greet(): void {
    const { id, password } = this.#session;
    const hello = new JuteWriter().int(0).long(this.#zxid).int(this.#options.sessionTimeout).long(id).bytes(password);
    this.#write(hello.bool(false).frame());
  }

  #write(frame: Buffer): void {
    this.#wroteAt = Date.now();
    this.#socket?.write(frame);
  }

  #lost(socket: Socket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#established = false;
    if (this.#state === 'connected') this.#become('disconnected');
    for (const request of this.#sent.splice(0))
      request.fail(new ZooKeeperError(errors.connectionLoss, request.what), errors.connectionLoss);
    if (!this.#isFinal()) this.#retry = setTimeout(() => this.#connect(), 50 + Math.random() * 150);
  }

  #tick(): void {
    const socket = this.#socket;
    if (!socket) return;
    const now = Date.now();
    const timeout = this.#session.timeout || this.#options.sessionTimeout;
    const patience = this.#established ? (timeout * 2) / 3 : timeout / this.#options.servers.length;
    if (now - this.#heardAt > patience) socket.destroy();
    else if (this.#established && now - this.#wroteAt > timeout / 3)
      this.#write(new JuteWriter().int(xids.ping).int(operation.ping).frame());
  }

  #receive(socket: Socket, data: Buffer): void {
    if (this.#socket !== socket) return;
    this.#heardAt = Date.now();
    this.#input = this.#input.length > 0 ? Buffer.concat([this.#input, data]) : data;
    try {
      while (this.#socket === socket && this.#input.length >= 4) {
        const length = this.#input.readInt32BE(0);
        if (length < 0 || length > maxFrameBytes) throw new RangeError(`a ZooKeeper frame of ${length} bytes`);
        if (this.#input.length < 4 + length) return;
        const frame = this.#input.subarray(4, 4 + length);
        this.#input = this.#input.subarray(4 + length);
        if (this.#established) this.#reply(new JuteReader(frame));
        else this.#welcome(new JuteReader(frame));
      }
    } catch (error) {
      socket.destroy(error as Error);
    }
  }

  /** The answer to the connect frame: a session, or that the old one is gone (timeout 0). */
  #welcome(reply: JuteReader): void {
    reply.int();
    const timeout = reply.int();
    if (timeout <= 0) return this.#finish('expired', errors.expired);
    this.#session = { timeout, id: reply.long(), password: reply.bytes() };
    this.#established = true;
    if (this.#options.digest !== undefined) {
      const auth = new JuteWriter().int(xids.auth).int(operation.auth).int(0).text('digest');
      this.#write(auth.text(this.#options.digest).frame());
    }
    this.#setWatches();
    this.#become('connected');
    for (const request of this.#waiting.splice(0)) this.#send(request);
  }

  #setWatches(): void {
    const { data, missing, children } = this.#watches;
    if (data.size + missing.size + children.size === 0) return;
    const frame = new JuteWriter().int(xids.setWatches).int(operation.setWatches).long(this.#zxid);
    this.#write(
      frame
        .texts([...data.keys()])
        .texts([...missing.keys()])
        .texts([...children.keys()])
        .frame(),
    );
  }

  #reply(reply: JuteReader): void {
    const xid = reply.int();
    const zxid = reply.long();
    const code = reply.int();
    if (zxid > 0n) this.#zxid = zxid;
    if (xid === xids.notification) return this.#notify(reply.int(), (reply.int(), reply.text()));
    if (xid === xids.auth && code !== 0) return this.#finish('unauthenticated', code);
    if (xid < 0) return;
    const request = this.#sent.shift();
    if (request?.xid !== xid) throw new RangeError('ZooKeeper answered out of order');
    if (code === 0) request.done(reply);
    else request.fail(new ZooKeeperError(code, request.what), code);
  }

  #notify(type: number, path: string): void {
    const { data, missing, children } = this.#watches;
    const concerned =
      type === eventTypes.children
        ? [children]
        : type === eventTypes.deleted
          ? [data, missing, children]
          : [data, missing];
    for (const watches of concerned) {
      const callbacks = watches.get(path);
      watches.delete(path);
      for (const callback of callbacks ?? []) callback();
    }
  }

  #call<T>(
    op: number,
    what: string,
    body: (w: JuteWriter) => JuteWriter,
    read: (reply: JuteReader) => T,
    refused: (code: number) => T | undefined = () => undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isFinal()) {
        const code = this.#state === 'closed' ? errors.closing : this.#state === 'expired' ? errors.expired : -115;
        return reject(new ZooKeeperError(code, what));
      }
      this.#xid = (this.#xid % 0x7fffffff) + 1;
      const request: Request = {
        xid: this.#xid,
        what,
        frame: body(new JuteWriter().int(this.#xid).int(op)).frame(),
        done: (reply) => resolve(read(reply)),
        fail: (error, code) => {
          const value = refused(code);
          if (value === undefined) reject(error);
          else resolve(value);
        },
      };
      if (this.#established) this.#send(request);
      else if (this.#waiting.length < maxWaiting) this.#waiting.push(request);
      else reject(new ZooKeeperError(errors.connectionLoss, what));
    });
  }

  #send(request: Request): void {
    this.#sent.push(request);
    this.#write(request.frame);
  }
}

function watch(watches: Watches, path: string, callback: (() => void) | undefined): void {
  if (!callback) return;
  const callbacks = watches.get(path) ?? new Set();
  callbacks.add(callback);
  watches.set(path, callbacks);
}
