import { X509Certificate } from 'node:crypto';

/** Every certificate of a PEM bundle, in its order. */
export const readCertificates = (pem: string | Buffer): X509Certificate[] =>
  (String(pem).match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one),
  );
