import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import type { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { loadX509 } from '../../lib/x509.ts';

export interface CertificateRequest {
  commonName: string;
  organizations: string[];
  /** Subject alternative names. */
  names: { type: string; value: string }[];
}

/** Reads a PKCS #10 request: base64 of PEM. Undefined if it is none. */
export function readRequest(request: string): CertificateRequest | undefined {
  const x509 = loadX509();
  try {
    const read = new x509.Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString());
    return {
      commonName: read.subjectName.getField('CN')[0] ?? '',
      organizations: read.subjectName.getField('O'),
      names: namesIn(read)?.names.items.map(({ type, value }) => ({ type, value })) ?? [],
    };
  } catch {
    return undefined;
  }
}

function namesIn(request: Pkcs10CertificateRequest): SubjectAlternativeNameExtension | undefined {
  const { SubjectAlternativeNameExtension: Names } = loadX509();
  return request.extensions.find((extension) => extension instanceof Names);
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const backdate = 5 * 60_000;

/** The certificate, base64 of PEM, good for `lifetime` milliseconds and no longer than the authority's own. */
export async function signRequest(
  authority: { cert: string; key: string },
  { request, usages = [] }: { request: string; usages?: string[] },
  lifetime: number,
  now: number,
): Promise<string> {
  const x509 = loadX509();
  const extended: Readonly<Record<string, string>> = {
    'client auth': x509.ExtendedKeyUsage.clientAuth,
    'server auth': x509.ExtendedKeyUsage.serverAuth,
  };
  const read = new x509.Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString());
  if (!(await read.verify())) throw new Error('the request is not signed by its own key');
  const issuer = new x509.X509Certificate(authority.cert);
  const der = createPrivateKey(authority.key).export({ format: 'der', type: 'pkcs8' });
  const signingKey = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
  const names = namesIn(read);
  const serial = randomBytes(16);
  serial[0]! &= 0x7f;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: read.subjectName,
    issuer: issuer.subject,
    publicKey: read.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    serialNumber: serial.toString('hex'),
    notBefore: new Date(now - backdate),
    notAfter: new Date(Math.min(now + lifetime, issuer.notAfter.getTime())),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature |
          (usages.includes('key encipherment') ? x509.KeyUsageFlags.keyEncipherment : 0),
        true,
      ),
      new x509.ExtendedKeyUsageExtension(usages.flatMap((usage) => extended[usage] ?? [])),
      ...(names ? [names] : []),
    ],
  });
  return Buffer.from(`${certificate.toString('pem')}\n`).toString('base64');
}
