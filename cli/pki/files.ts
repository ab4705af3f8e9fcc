import { X509Certificate, createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyPair } from '../../lib/certs.ts';

export const filesOf = (directory: string, name: string): { cert: string; key: string } => ({
  cert: join(directory, `${name}.crt`),
  key: join(directory, `${name}.key`),
});

/** Makes a file that only its owner reads; throws when there is one. */
export const makeSecret = (path: string, text: string): void => writeFileSync(path, text, { mode: 0o600, flag: 'wx' });

/** What is kept in the file; made once. */
export function keptText(path: string, make: () => string): string {
  if (!existsSync(path)) makeSecret(path, make());
  return readFileSync(path, 'utf8').trim();
}

/** Throws an Error that names the file where it holds no certificate. */
export function readCertificate(path: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(path));
  } catch (cause) {
    throw new Error(`${path} holds no certificate that can be read: ${(cause as Error).message}`, { cause });
  }
}

/** The pair in the files; undefined where one is missing, cannot be read, or is not the other's. */
export function readPair(directory: string, name: string): KeyPair | undefined {
  const { cert, key } = filesOf(directory, name);
  if (!existsSync(cert) || !existsSync(key)) return undefined;
  const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)) ? pair : undefined;
  } catch {
    return undefined;
  }
}

/** The names and addresses that a server's certificate is for. */
export const hostsIn = (certificate: X509Certificate): string[] =>
  (certificate.subjectAltName ?? '')
    .split(', ')
    .map((name) => name.replace(/^(DNS|IP Address):/, ''))
    .filter((name) => name !== '');
