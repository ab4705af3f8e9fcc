import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { readCertificates } from '../../lib/read-certificates.ts';
import { authenticated, type User } from './user.ts';

/** Users by client certificate: CN is the user, every O a group, if the cluster's CA signed it. */
export class CertificateUsers {
  readonly #known = new WeakMap<object, User | null>();
  readonly #authorities: readonly X509Certificate[];

  /** Without `ca` every certificate counts that the TLS server accepted. */
  constructor(ca?: string | Buffer) {
    this.#authorities = ca ? readCertificates(ca) : [];
  }

  identify(socket: TLSSocket): User | undefined {
    const known = this.#known.get(socket);
    if (known !== undefined) return known ?? undefined;
    const certificate = clientCertificate(socket);
    const isOurs = certificate && (this.#authorities.length === 0 || isSignedBy(certificate, this.#authorities));
    const user = isOurs ? userOf(certificate) : null;
    this.#known.set(socket, user);
    return user ?? undefined;
  }

  /** The caller showed a certificate, and it is none of ours. */
  refuses(socket: TLSSocket): boolean {
    return this.identify(socket) === undefined && socket.getPeerX509Certificate?.() !== undefined;
  }
}

/** What the caller showed, if the TLS server found it good. */
export const clientCertificate = (socket: TLSSocket): X509Certificate | undefined =>
  socket.authorized ? socket.getPeerX509Certificate?.() : undefined;

/** Follows the chain that the caller sent up to one of the authorities. */
export function isSignedBy(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let current: X509Certificate | undefined = certificate;
  for (let depth = 0; current && depth < 8; depth++) {
    const link: X509Certificate = current;
    if (authorities.some((ca) => link.checkIssued(ca) && link.verify(ca.publicKey))) return true;
    const issuer: X509Certificate | undefined = link.issuerCertificate;
    if (!issuer || !link.checkIssued(issuer) || !link.verify(issuer.publicKey)) return false;
    current = issuer === link ? undefined : issuer;
  }
  return false;
}

export const commonNameOf = ({ subject }: X509Certificate): string | undefined =>
  linesOf(subject)
    .find((line) => line.startsWith('CN='))
    ?.slice(3);

const linesOf = (subject: string | undefined): string[] => (subject ?? '').split('\n');

function userOf(certificate: X509Certificate): User | null {
  const name = commonNameOf(certificate);
  if (!name) return null;
  const groups = linesOf(certificate.subject)
    .filter((line) => line.startsWith('O='))
    .map((line) => line.slice(2));
  const id = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return authenticated({ name, groups, extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${id}`] } });
}
