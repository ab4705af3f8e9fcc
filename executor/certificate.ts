import 'reflect-metadata';
import { createHash, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export interface ServingCertificate {
  /** PEM. */
  cert: string;
  key: string;
  /** SHA-256 of the certificate, hex: what the node's annotation says, and the apiserver holds it to. */
  fingerprint: string;
}

const days = 24 * 3600 * 1000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A key and a certificate of our own for the kubelet's port; nobody signs it, the apiserver trusts the fingerprint. */
export async function servingCertificate(
  nodeName: string,
  nodeIp: string,
  now = Date.now(),
): Promise<ServingCertificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
      .toString('hex')
      .replace(/^[89a-f]/, '1'),
    name: `O=system:nodes, CN=system:node:${nodeName}`,
    notBefore: new Date(now - 3600 * 1000),
    notAfter: new Date(now + 3650 * days),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: nodeName },
        { type: 'ip', value: nodeIp },
      ]),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const cert = certificate.toString('pem');
  return {
    cert,
    key: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
    fingerprint: createHash('sha256').update(new X509Certificate(cert).raw).digest('hex'),
  };
}
