import { X509Certificate, createHash, createPrivateKey, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { Extension, JsonName } from '@peculiar/x509';
import { loadX509 } from './x509.ts';

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface Subject {
  /** CN: the user, towards the apiserver. */
  commonName: string;
  /** O: the user's groups. */
  organizations?: readonly string[];
  /** Names and addresses a server answers to. */
  hosts?: readonly string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const day = 86_400_000;
/** A little before now, for clocks that are behind. */
const leeway = 5 * 60_000;

/** A new authority, good for ten years. */
export async function createAuthority(commonName: string, now = Date.now()): Promise<KeyPair> {
  const x509 = loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: nameOf({ commonName }),
    keys,
    signingAlgorithm: algorithm,
    serialNumber: serial(),
    notBefore: new Date(now - leeway),
    notAfter: new Date(now + 3650 * day),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: cert.toString('pem'), key: await privatePem(keys) };
}

/** A certificate signed by the authority, good for a year unless told: for a server if it has hosts, and always for a client. */
export async function issue(
  authority: KeyPair,
  subject: Subject,
  now = Date.now(),
  lifetime = 365 * day,
): Promise<KeyPair> {
  const x509 = loadX509();
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await importKey(authority.key);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.create({
    subject: nameOf(subject),
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    serialNumber: serial(),
    notBefore: new Date(now - leeway),
    notAfter: new Date(now + lifetime),
    extensions: [...leafExtensions(subject), await x509.AuthorityKeyIdentifierExtension.create(issuer)],
  });
  return { cert: cert.toString('pem'), key: await privatePem(keys) };
}

/** A certificate that vouches for itself, good for ten years: its fingerprint is what others trust. */
export async function selfSigned(subject: Subject, now = Date.now()): Promise<KeyPair> {
  const x509 = loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: nameOf(subject),
    keys,
    signingAlgorithm: algorithm,
    serialNumber: serial(),
    notBefore: new Date(now - leeway),
    notAfter: new Date(now + 3650 * day),
    extensions: leafExtensions(subject),
  });
  return { cert: cert.toString('pem'), key: await privatePem(keys) };
}

/** What an authority is asked with: PEM of a PKCS #10 request, and the key that it is for. */
export async function requestCertificate(subject: Subject): Promise<{ request: string; key: string }> {
  const x509 = loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: nameOf(subject),
    keys,
    signingAlgorithm: algorithm,
    extensions: alternativeNames(subject),
  });
  return { request: request.toString('pem'), key: await privatePem(keys) };
}

/** SHA-256 of the certificate's DER form, lower-case hex. */
export const fingerprint = (certPem: string): string =>
  createHash('sha256').update(new X509Certificate(certPem).raw).digest('hex');

/** Milliseconds since the epoch at which a certificate is no longer good. */
export const expiry = (certPem: string): number => new X509Certificate(certPem).validToDate.getTime();

/** Whether a server that shows it may answer to all of these names and addresses. */
export const isFor = (certificate: X509Certificate, hosts: readonly string[]): boolean =>
  hosts.every((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined);

function leafExtensions({ hosts = [] }: Pick<Subject, 'hosts'>): Extension[] {
  const x509 = loadX509();
  const usages = [x509.ExtendedKeyUsage.clientAuth, ...(hosts.length > 0 ? [x509.ExtendedKeyUsage.serverAuth] : [])];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(usages),
    ...alternativeNames({ hosts }),
  ];
}

function alternativeNames({ hosts = [] }: Pick<Subject, 'hosts'>): Extension[] {
  const x509 = loadX509();
  const names = hosts.map((host) => ({ type: isIP(host) ? ('ip' as const) : ('dns' as const), value: host }));
  return names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [];
}

function nameOf({ commonName, organizations = [] }: Subject): JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }];
}

/** 16 random bytes, positive. */
function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
}
