/**
 * What km needs of ZooKeeper. Two clients give it: the `zookeeper` package (native, there only where it was built)
 * and our own; `zookeeper-choose.ts` picks. One behaviour suite holds both.
 */
import type { Tls } from './transport.ts';

/**
 * `disconnected`: the session may still live, and watches will fire after reconnecting; who leads must step down when this
 * lasts one session timeout, because expiry is only learnt from a server. `expired`, `unauthenticated` and `closed` are final.
 */
export type ZooKeeperState = 'connecting' | 'connected' | 'disconnected' | 'expired' | 'unauthenticated' | 'closed';

export interface ZooKeeperOptions {
  /** `host:port` of every server. */
  servers: readonly string[];
  /** Milliseconds to ask for; the server may grant another. */
  sessionTimeout: number;
  /** `user:password` of the digest scheme. */
  digest?: string | undefined;
  /** Of our own client alone. */
  tls?: Tls | undefined;
  /** Told of each connection that was not to be had or broke, by our own client; it goes on trying. */
  onFault?: ((error: Error) => void) | undefined;
  /** Called at each change of state. */
  onState?: ((state: ZooKeeperState) => void) | undefined;
}

/** Every method rejects with ZooKeeperError. A watch fires once, and never for a call that rejected. */
export interface ZooKeeper {
  readonly state: ZooKeeperState;
  /** Hexadecimal, empty before the first connection. */
  readonly sessionId: string;
  /** Open to everyone. Gives the path made, which has ten digits appended when `sequential`. */
  create(path: string, data: Uint8Array, options?: { ephemeral?: boolean; sequential?: boolean }): Promise<string>;
  get(path: string, onChange?: () => void): Promise<Buffer>;
  children(path: string, onChange?: () => void): Promise<string[]>;
  /** With `onChange`, also tells when a missing node comes. */
  exists(path: string, onChange?: () => void): Promise<boolean>;
  set(path: string, data: Uint8Array): Promise<void>;
  remove(path: string): Promise<void>;
  /** Ends the session, so that its ephemeral nodes go without waiting for the timeout. Never rejects. */
  close(): Promise<void>;
}

export type ZooKeeperErrorCode =
  | 'no-node'
  | 'node-exists'
  | 'not-empty'
  | 'not-permitted'
  | 'connection-lost'
  | 'session-expired'
  | 'closed'
  | 'other';

const codes: Record<number, ZooKeeperErrorCode> = {
  [-4]: 'connection-lost',
  [-7]: 'connection-lost',
  [-101]: 'no-node',
  [-102]: 'not-permitted',
  [-110]: 'node-exists',
  [-111]: 'not-empty',
  [-112]: 'session-expired',
  [-115]: 'not-permitted',
  [-116]: 'closed',
};

export class ZooKeeperError extends Error {
  readonly code: ZooKeeperErrorCode;
  /** As ZooKeeper numbers it. */
  readonly number: number;
  /** What was asked: `get /mesos`. */
  readonly what: string;

  constructor(number: number, what: string) {
    const code = codes[number] ?? 'other';
    super(`ZooKeeper: ${what}: ${code === 'other' ? `error ${number}` : code.replace('-', ' ')}`);
    this.name = 'ZooKeeperError';
    this.code = code;
    this.number = number;
    this.what = what;
  }
}

/** Starts to connect at once and keeps trying until closed or expired. */
export type ConnectZooKeeper = (options: ZooKeeperOptions) => ZooKeeper;
