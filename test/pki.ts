import { createAuthority, issue, type KeyPair } from '../lib/certs.ts';

export interface TestAuthority {
  /** Its own certificate, PEM. */
  pem: string;
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
    issue: (commonName, ...organizations) =>
      issue(authority, { commonName, organizations, hosts: ['localhost', '127.0.0.1'] }),
    issueFor: (...hosts) => issue(authority, { commonName: hosts[0] ?? 'server', organizations: [], hosts }),
  };
}
