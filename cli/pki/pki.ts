/**
 * Everything that proves who is who in one cluster, in one directory of files that only their owner reads:
 *
 *   ca.crt, ca.key                        the cluster's CA: servers, users and components
 *     ├─ apiserver, kubelet-client        of the apiserver: what it serves with, what it shows to kubelets
 *     └─ admin, controller-manager, scheduler, proxy, dns
 *   front-proxy-ca.crt, .key              who may vouch for users in headers
 *     └─ front-proxy-client
 *   executor-token, page-token            by which executors ask for their first certificate; who shows the other may see the framework's page
 *   tokens.csv                            the apiserver's file of both
 *   service-account.key                   signs tokens of service accounts
 *
 * A CA is made once; rotation.ts replaces it, step by step. The first certificate of its file is the one that signs.
 * https://kubernetes.io/docs/setup/best-practices/certificates/
 */
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { firstAddress, parseCidr } from '../../api/cidr.ts';
import { type KeyPair, createAuthority, isFor, issue } from '../../lib/certs.ts';
import { replaceFile } from '../../lib/replace-file.ts';
import { filesOf, hostsIn, keptText, makeSecret, readCertificate, readPair } from './files.ts';
import { kubeconfigOf } from './kubeconfig.ts';

export interface Pki {
  caFile: string;
  /** PEM of the CA's key, with which certificate requests are signed. */
  caKeyFile: string;
  /** PEM of all that is trusted: while a CA is replaced, the old one and the new one. */
  ca: string;
  /** The CA of who may vouch for users in headers: the apiserver, towards servers behind APIServices. */
  frontProxyCaFile: string;
  /** Files of a certificate and its key. */
  files(name: CertificateName): { cert: string; key: string };
  pair(name: CertificateName): KeyPair;
  /** CSV that the apiserver reads: the executors' bootstrap token. */
  tokenFile: string;
  executorTokenFile: string;
  /** The file with the token that opens the framework's page, and nothing else. */
  pageTokenFile: string;
  /** PEM of the key that signs service-account tokens. */
  tokenKeyFile: string;
  /** What was made now: names of CAs and certificates. */
  made: readonly string[];
}

interface Holder {
  commonName: string;
  organizations?: readonly string[];
  /** Who signs it. */
  by: AuthorityName;
}

/** Of each certificate, whom it names. */
export const holders = {
  apiserver: { commonName: 'kube-apiserver', by: 'ca' },
  'kubelet-client': { commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'], by: 'ca' },
  admin: { commonName: 'kubernetes-admin', organizations: ['system:masters'], by: 'ca' },
  'controller-manager': { commonName: 'system:kube-controller-manager', by: 'ca' },
  scheduler: { commonName: 'system:kube-scheduler', by: 'ca' },
  proxy: { commonName: 'system:kube-proxy', by: 'ca' },
  dns: { commonName: 'system:kube-dns', by: 'ca' },
  'front-proxy-client': { commonName: 'front-proxy-client', by: 'front-proxy-ca' },
} as const satisfies Record<string, Holder>;

export type CertificateName = keyof typeof holders;

export const authorities = ['ca', 'front-proxy-ca'] as const;
export type AuthorityName = (typeof authorities)[number];

/** Their common names. */
export const titles: Readonly<Record<AuthorityName, string>> = {
  ca: 'km cluster CA',
  'front-proxy-ca': 'km front proxy CA',
};

/** Who gets a kubeconfig. */
export const withKubeconfig = ['admin', 'controller-manager', 'scheduler', 'proxy', 'dns'] as const;

export const day = 86_400_000;

/** By these names the apiserver is known: those given, this machine's, and those that pods use. */
export const servingHosts = (given: readonly string[], serviceCidr: string): string[] => [
  ...new Set([
    ...given,
    'localhost',
    '127.0.0.1',
    '::1',
    hostname(),
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
    // The address of the Service kubernetes; of two ranges it is in the first.
    ...[parseCidr(serviceCidr.split(',')[0]!)].flatMap((range) => (range ? [firstAddress(range)] : [])),
  ]),
];

/**
 * Makes what is missing, what runs out within `renewBefore` (milliseconds) and what is not for all `hosts` (none: those it
 * had); what is there stays, so that kubeconfigs go on working. Throws an Error where half of a CA is there.
 */
export async function ensurePki(
  directory: string,
  hosts: readonly string[],
  { renewBefore = 30 * day } = {},
): Promise<Pki> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const made: string[] = [];
  const signers = {
    ca: await keptAuthority(directory, 'ca', made),
    'front-proxy-ca': await keptAuthority(directory, 'front-proxy-ca', made),
  };
  const pairs = new Map<string, KeyPair>();
  for (const [name, holder] of Object.entries<Holder>(holders)) {
    const authority = signers[holder.by];
    const wanted = name === 'apiserver' ? hosts : [];
    const kept = usable(directory, name, authority, wanted, Date.now() + renewBefore);
    pairs.set(name, kept ?? (await renewed(directory, name, authority, { ...holder, hosts: wanted })));
    if (!kept) made.push(name);
  }
  const newToken = () => randomBytes(24).toString('base64url');
  const executorTokenFile = join(directory, 'executor-token');
  const executorToken = keptText(executorTokenFile, newToken);
  const pageTokenFile = join(directory, 'page-token');
  const pageToken = keptText(pageTokenFile, newToken);
  const tokenFile = join(directory, 'tokens.csv');
  const lines = [
    executorLine(executorToken, joinsOnly(tokenFile, executorToken) ? 'system:bootstrappers' : 'system:nodes'),
    `${pageToken},km:page,page,"km:page"`,
  ];
  replaceFile(tokenFile, `${lines.join('\n')}\n`);
  const tokenKeyFile = join(directory, 'service-account.key');
  keptText(tokenKeyFile, newKey);
  return {
    tokenKeyFile,
    caFile: filesOf(directory, 'ca').cert,
    caKeyFile: filesOf(directory, 'ca').key,
    ca: signers.ca.cert,
    frontProxyCaFile: filesOf(directory, 'front-proxy-ca').cert,
    files: (name) => filesOf(directory, name),
    pair: (name) => pairs.get(name)!,
    tokenFile,
    executorTokenFile,
    pageTokenFile,
    made,
  };
}

const executorLine = (token: string, group: string): string => `${token},system:bootstrap:executor,executor,"${group}"`;

/**
 * Whether the token is good for asking for a certificate alone. Where it was made before executors did that, it is a node by
 * itself, and stays so for those that still run, until somebody changes its line: docs/upgrade.md says when.
 */
const joinsOnly = (tokenFile: string, token: string): boolean =>
  !existsSync(tokenFile) || !readFileSync(tokenFile, 'utf8').split('\n').includes(executorLine(token, 'system:nodes'));

/** Writes what `withKubeconfig` lists into the directory, as `<name>.kubeconfig`; answers the files. */
export function writeKubeconfigs(directory: string, server: string, pki: Pki): string[] {
  return withKubeconfig.map((name) => {
    const path = join(directory, `${name}.kubeconfig`);
    replaceFile(path, kubeconfigOf(server, pki.ca, holders[name].commonName, pki.pair(name)));
    return path;
  });
}

/**
 * The authority in the directory; the text of its certificate is all that is trusted, itself first. Throws an Error that says what to
 * do where there is none, or half of one.
 */
export function readAuthority(directory: string, name = 'ca'): KeyPair {
  const { cert, key } = filesOf(directory, name);
  if (!existsSync(cert) && !existsSync(key))
    throw new Error(`there is no CA in ${directory}; km pki init --dir ${directory} makes one`);
  const pair = readPair(directory, name);
  if (pair) return pair;
  if (existsSync(cert)) readCertificate(cert);
  throw new Error(
    `${cert} and ${key} are not the two halves of one CA, and neither can be made again: put back what is missing, or begin in another directory`,
  );
}

async function keptAuthority(directory: string, name: AuthorityName, made: string[]): Promise<KeyPair> {
  const { cert, key } = filesOf(directory, name);
  if (existsSync(cert) || existsSync(key)) return readAuthority(directory, name);
  const pair = await createAuthority(titles[name]);
  makeSecret(key, pair.key);
  makeSecret(cert, pair.cert);
  made.push(name);
  return pair;
}

/** The pair that is there, if the authority signed it, it is for the hosts and it lasts until `until`. */
function usable(
  directory: string,
  name: string,
  authority: KeyPair,
  hosts: readonly string[],
  until: number,
): KeyPair | undefined {
  const pair = readPair(directory, name);
  if (!pair) return undefined;
  const certificate = new X509Certificate(pair.cert);
  const isGood =
    certificate.verify(new X509Certificate(authority.cert).publicKey) &&
    certificate.validToDate.getTime() > until &&
    isFor(certificate, hosts);
  return isGood ? pair : undefined;
}

async function renewed(
  directory: string,
  name: string,
  authority: KeyPair,
  subject: Holder & { hosts: readonly string[] },
): Promise<KeyPair> {
  const { cert, key } = filesOf(directory, name);
  const hosts = subject.hosts.length === 0 && name === 'apiserver' ? hostsIn(readCertificate(cert)) : subject.hosts;
  const pair = await issue(authority, { ...subject, hosts });
  replaceFile(key, pair.key);
  replaceFile(cert, pair.cert);
  return pair;
}

const newKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
