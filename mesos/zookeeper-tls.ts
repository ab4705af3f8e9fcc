import { readFileSync } from 'node:fs';
import { type Socket, connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Values, text } from '../lib/options.ts';
import type { Tls } from './transport.ts';

/** Rows of every server that looks for its masters in ZooKeeper. */
export const zooKeeperTlsOptions = {
  mesosZkCaFile: text('CA certificate of a ZooKeeper that speaks TLS; naming it turns TLS on', '', '<file>'),
  mesosZkCertFile: text('Client certificate for ZooKeeper', '', '<file>'),
  mesosZkKeyFile: text('Key of that client certificate', '', '<file>'),
} as const;

/** Undefined where ZooKeeper is talked to in plain. Throws where a file cannot be read. */
export function zooKeeperTls(o: Values<typeof zooKeeperTlsOptions>): Tls | undefined {
  const read = (path: string) => readFileSync(path, 'utf8');
  if (!o.mesosZkCaFile) return undefined;
  return {
    ca: read(o.mesosZkCaFile),
    ...(o.mesosZkCertFile ? { cert: read(o.mesosZkCertFile) } : {}),
    ...(o.mesosZkKeyFile ? { key: read(o.mesosZkKeyFile) } : {}),
  };
}

/** `ready` is called when the socket may be written to: with TLS, once the server is known for who it is. */
export function openSocket(at: { host: string; port: number }, tls: Tls | undefined, ready: () => void): Socket {
  if (!tls) return connect({ ...at, noDelay: true }, ready);
  const { ca, cert, key } = tls;
  // Names are told the server; addresses may not be (RFC 6066), and are looked for in its certificate all the same.
  const name = isIP(at.host) ? {} : { servername: at.host };
  return connectTls({ ...at, ca, cert, key, ...name }, ready).setNoDelay(true);
}
