import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createAuthority, issue, type KeyPair } from '../lib/certs.ts';

export interface TestAuthority {
  /** Its own certificate, PEM. */
  pem: string;
  /** PEM of its key. */
  key: string;
  /** A certificate for a client, and for a server on this machine. */
  issue: (commonName: string, ...organizations: string[]) => Promise<KeyPair>;
  /** A certificate for a server of these names. */
  issueFor: (...hosts: string[]) => Promise<KeyPair>;
}

/** A certificate authority for one test file. */
export async function makeCa(name = 'test-ca'): Promise<TestAuthority> {
  const authority = await createAuthority(name);
  return {
    pem: authority.cert,
    key: authority.key,
    issue: (commonName, ...organizations) =>
      issue(authority, { commonName, organizations, hosts: ['localhost', '127.0.0.1'] }),
    issueFor: (...hosts) => issue(authority, { commonName: hosts[0] ?? 'server', organizations: [], hosts }),
  };
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** A signing request as the API takes it: PEM in base64. */
export async function requestFor(name: string, hosts: string[] = []): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const names = hosts.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions: hosts.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  return Buffer.from(request.toString('pem')).toString('base64');
}
