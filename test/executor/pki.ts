import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

type KeyPair = Awaited<ReturnType<typeof generate>>;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const generate = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

async function pem({ privateKey }: KeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}

export interface Authority {
  ca: string;
  /** A certificate for a client and for a server on 127.0.0.1; `name` such as `O=system:masters, CN=admin`. */
  client(name: string): Promise<{ cert: string; key: string }>;
}

export async function authority(): Promise<Authority> {
  const keys = await generate();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test ca',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  return {
    ca: ca.toString('pem'),
    async client(name) {
      const own = await generate();
      const cert = await x509.X509CertificateGenerator.create({
        subject: name,
        issuer: ca.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
        ],
      });
      return { cert: cert.toString('pem'), key: await pem(own) };
    },
  };
}
