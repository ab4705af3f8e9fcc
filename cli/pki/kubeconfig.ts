import { stringify } from 'yaml';
import type { KeyPair } from '../../lib/certs.ts';

/** A kubeconfig with everything in it, as kubectl and km's own components read it; YAML. */
export function kubeconfigOf(server: string, ca: string, user: string, pair: KeyPair): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'km', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [
      { name: user, user: { 'client-certificate-data': base64(pair.cert), 'client-key-data': base64(pair.key) } },
    ],
    contexts: [{ name: 'km', context: { cluster: 'km', user } }],
    'current-context': 'km',
  });
}
