import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type KeyPair, createAuthority, expiry, issue } from '../lib/certs.ts';

/** Everything that proves who is who in one cluster, kept in files that only their owner reads. */
export interface Pki {
  caFile: string;
  /** PEM of the CA's key, with which certificate requests are signed. */
  caKeyFile: string;
  ca: string;
  /** The CA of who may vouch for users in headers: the apiserver, towards servers behind APIServices. */
  frontProxyCaFile: string;
  /** Files of a certificate and its key. */
  files(name: CertificateName): { cert: string; key: string };
  pair(name: CertificateName): KeyPair;
  /** CSV that the apiserver reads: the executors' bootstrap token. */
  tokenFile: string;
  executorToken: string;
  /** PEM of the key that signs service-account tokens. */
  tokenKeyFile: string;
}

export type CertificateName =
  'apiserver' | 'kubelet-client' | 'front-proxy-client' | 'admin' | 'controller-manager' | 'scheduler' | 'proxy';

const renewBefore = 30 * 86_400_000;

/** Makes what is missing or about to run out; what is there stays, so that kubeconfigs go on working. */
export async function ensurePki(directory: string, hosts: readonly string[]): Promise<Pki> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const authority = await kept(directory, 'ca', () => createAuthority('km cluster CA'));
  const subjects = {
    apiserver: { commonName: 'kube-apiserver', hosts },
    'kubelet-client': { commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'] },
    admin: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
    'controller-manager': { commonName: 'system:kube-controller-manager' },
    scheduler: { commonName: 'system:kube-scheduler' },
    proxy: { commonName: 'system:kube-proxy' },
  } as const;
  const pairs = new Map<string, KeyPair>();
  for (const [name, subject] of Object.entries(subjects))
    pairs.set(name, await kept(directory, name, () => issue(authority, subject), 'hosts' in subject ? hosts : []));
  const frontProxy = await kept(directory, 'front-proxy-ca', () => createAuthority('km front proxy CA'));
  const vouching = { commonName: 'front-proxy-client' };
  pairs.set(vouching.commonName, await kept(directory, vouching.commonName, () => issue(frontProxy, vouching)));
  const executorToken = keptText(directory, 'executor-token', () => randomBytes(24).toString('base64url'));
  const tokenFile = join(directory, 'tokens.csv');
  writeFileSync(tokenFile, `${executorToken},system:bootstrap:executor,executor,"system:nodes"\n`, { mode: 0o600 });
  keptText(directory, 'service-account.key', newKey);
  return {
    tokenKeyFile: join(directory, 'service-account.key'),
    caFile: join(directory, 'ca.crt'),
    caKeyFile: join(directory, 'ca.key'),
    ca: authority.cert,
    frontProxyCaFile: join(directory, 'front-proxy-ca.crt'),
    files: (name) => ({ cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) }),
    pair: (name) => pairs.get(name)!,
    tokenFile,
    executorToken,
  };
}

async function kept(
  directory: string,
  name: string,
  make: () => Promise<KeyPair>,
  hosts: readonly string[] = [],
): Promise<KeyPair> {
  const [certFile, keyFile] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  if (existsSync(certFile) && existsSync(keyFile)) {
    const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    if (expiry(pair.cert) - Date.now() > renewBefore && isFor(pair.cert, hosts)) return pair;
  }
  const pair = await make();
  writeFileSync(keyFile, pair.key, { mode: 0o600 });
  writeFileSync(certFile, pair.cert);
  return pair;
}

/** A cluster that is started under other names needs a certificate that has them. */
function isFor(cert: string, hosts: readonly string[]): boolean {
  const x509 = new X509Certificate(cert);
  return hosts.every((host) => (isIP(host) ? x509.checkIP(host) : x509.checkHost(host)) !== undefined);
}

const newKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();

function keptText(directory: string, name: string, make: () => string): string {
  const file = join(directory, name);
  if (!existsSync(file)) writeFileSync(file, make(), { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}

/** A kubeconfig with everything in it, as kubectl and km's own components read it. */
export function writeKubeconfig(path: string, server: string, ca: string, user: string, pair: KeyPair): void {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'km', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [
      { name: user, user: { 'client-certificate-data': base64(pair.cert), 'client-key-data': base64(pair.key) } },
    ],
    contexts: [{ name: 'km', context: { cluster: 'km', user } }],
    'current-context': 'km',
  };
  writeFileSync(path, stringify(config), { mode: 0o600 });
}
