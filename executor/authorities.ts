import type { X509Certificate } from 'node:crypto';
import { ConfigMap } from '../api/kinds/config-map.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';
import { readCertificates } from '../lib/read-certificates.ts';

/** The controller-manager keeps it in every namespace; nobody but the cluster's own writes in this one. */
const published = { namespace: 'kube-system', name: 'kube-root-ca.crt' };

/**
 * Tells when the CA by which the apiserver is known becomes another, so that it can be replaced while we run: what Mesos told us
 * when we were launched stays as it was. What is published is believed while it has a certificate in common with what we believe
 * already: another is some other server's, and would lock us out. The first certificate is the one that signs.
 */
export function followAuthorities(
  client: Client,
  ca: string,
  changed: (ca: string, signer: X509Certificate) => void,
  { signal, log }: { signal: AbortSignal; log: Logger },
): void {
  const { namespace, name } = published;
  const informer = new Informer(client, ConfigMap, { namespace, fieldSelector: `metadata.name=${name}` }, log);
  let known = fingerprintsOf(certificatesIn(ca));
  informer.on(({ type, object }) => {
    const text = object.data?.['ca.crt'];
    if (type === 'deleted' || text === undefined) return;
    const certificates = certificatesIn(text);
    const said = fingerprintsOf(certificates);
    if (said.join() === known.join()) return;
    if (!said.some((one) => known.includes(one)))
      return log.debug({ said, known }, 'the published CA is not the one by which we know the apiserver');
    known = said;
    log.info({ certificates: said }, 'the apiserver is known by another CA from now on');
    changed(certificates.map((one) => one.toString()).join(''), certificates[0]!);
  });
  informer.start(signal).catch(() => undefined); // we are ending
}

/** What holds something else is as good as empty. */
function certificatesIn(pem: string): X509Certificate[] {
  try {
    return readCertificates(pem);
  } catch {
    return [];
  }
}

const fingerprintsOf = (certificates: readonly X509Certificate[]): string[] =>
  certificates.map(({ fingerprint256 }) => fingerprint256);
