import { Agent, buildConnector, type Dispatcher } from 'undici';
import type { StatusError } from '../../api/status.ts';

/** Where a request is passed on to. */
export interface Target {
  /** `https://10.0.0.1:8443` */
  origin: string;
  /** With the query. */
  path: string;
  dispatcher: Dispatcher;
  /** Headers in place of, or beside, the caller's. */
  headers?: Record<string, string | string[]>;
  /** The path of our own under which the server's root appears: links and redirects in its answers are made to lead there. */
  prefix?: string;
  /** What the caller is told when the server cannot be reached. */
  unreachable: (error: Error) => StatusError;
}

/** Milliseconds that a server has to accept a connection. */
const connectTimeoutMs = 10_000;

/** Connections to servers that may take all their time to answer; `check` says what is wrong with one that was made. */
export function agentOf(
  tls: { cert?: string | Buffer | undefined; key?: string | Buffer | undefined; ca?: string | Buffer | undefined },
  check?: Check,
): Agent {
  const plain = buildConnector({
    rejectUnauthorized: false,
    allowH2: false,
    timeout: connectTimeoutMs,
    // A resumed session would not show its certificate again.
    maxCachedSessions: 0,
    ...(tls.cert && tls.key ? { cert: tls.cert, key: tls.key } : {}),
    ...(tls.ca ? { ca: tls.ca } : {}),
  });
  const connect = check ? checked(plain, check) : plain;
  return new Agent({ connect, bodyTimeout: 0, headersTimeout: 0 });
}

type Socket = Parameters<buildConnector.Callback>[1] & object;
export type Check = (socket: Socket) => Error | undefined;

const checked =
  (connect: buildConnector.connector, check: Check): buildConnector.connector =>
  (options, done) =>
    connect(options, (error, socket) => {
      if (error) return done(error, null);
      const wrong = check(socket!);
      if (!wrong) return done(null, socket!);
      socket!.destroy();
      done(wrong, null);
    });

export const originOf = (scheme: string, host: string, port: string | number): string =>
  `${scheme}://${host.includes(':') ? `[${host}]` : host}${port === '' ? '' : `:${port}`}`;
