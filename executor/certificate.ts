import { type KeyPair, fingerprint, selfSigned } from '../lib/certs.ts';

export interface ServingCertificate extends KeyPair {
  /** SHA-256 of the certificate, hex: what the node's annotation says, and the apiserver holds it to. */
  fingerprint: string;
}

/** A key and a certificate of our own for the kubelet's port; nobody signs it, the apiserver trusts the fingerprint. */
export async function servingCertificate(nodeName: string, nodeIp: string): Promise<ServingCertificate> {
  const commonName = `system:node:${nodeName}`;
  const pair = await selfSigned({ commonName, organizations: ['system:nodes'], hosts: [nodeName, nodeIp] });
  return { ...pair, fingerprint: fingerprint(pair.cert) };
}
