import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CertificateSigningRequest } from '../api/kinds/certificate-signing-request.ts';
import { type Condition, type Stored, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { type CertificateRequest, readRequest, signRequest } from './common/signing.ts';

type StoredRequest = CertificateSigningRequest & Stored;

export const kubeletClient = 'kubernetes.io/kube-apiserver-client-kubelet';
export const kubeletServing = 'kubernetes.io/kubelet-serving';
const client_ = 'kubernetes.io/kube-apiserver-client';

const usagesOf = (...more: string[]): string[][] => [
  ['digital signature', ...more],
  ['digital signature', 'key encipherment', ...more],
];

/** What a kubelet asks for as a client: its own name and group, no addresses. */
export function isKubeletClient({ spec }: CertificateSigningRequest, x509: CertificateRequest): boolean {
  return (
    x509.organizations.join() === 'system:nodes' &&
    x509.commonName.startsWith('system:node:') &&
    x509.names.length === 0 &&
    hasUsages(spec.usages, usagesOf('client auth'))
  );
}

/** What it asks for as a server: in its own name, with the names and addresses by which it is reached. */
export function isKubeletServing({ spec }: CertificateSigningRequest, x509: CertificateRequest): boolean {
  return (
    x509.organizations.join() === 'system:nodes' &&
    x509.commonName.startsWith('system:node:') &&
    x509.commonName === spec.username &&
    x509.names.length > 0 &&
    x509.names.every(({ type }) => type === 'dns' || type === 'ip') &&
    hasUsages(spec.usages, usagesOf('server auth'))
  );
}

const hasUsages = (usages: readonly string[] = [], choices: readonly string[][]): boolean =>
  choices.some((choice) => choice.length === usages.length && choice.every((usage) => usages.includes(usage)));

/** Why the signer refuses; undefined if it signs. */
export function refusal(request: CertificateSigningRequest, x509: CertificateRequest): string | undefined {
  const { signerName, usages = [] } = request.spec;
  if (signerName === kubeletClient && !isKubeletClient(request, x509))
    return 'a kubelet asks as system:node:<name> in the group system:nodes, without addresses, for client auth';
  if (signerName === kubeletServing && !isKubeletServing(request, x509))
    return 'a kubelet asks for its own name in the group system:nodes, with names or addresses, for server auth';
  const allowed = ['digital signature', 'key encipherment', 'client auth'];
  if (signerName === client_ && !(usages.includes('client auth') && usages.every((usage) => allowed.includes(usage))))
    return 'only client auth, digital signature and key encipherment are signed';
  return undefined;
}

export interface SigningOptions {
  clusterSigningCertFile: string;
  clusterSigningKeyFile: string;
  /** Milliseconds. */
  clusterSigningDuration: number;
}

/** Signs what was approved, with the cluster's CA, for the signers that Kubernetes itself has. */
export const certificateSigning =
  (options: SigningOptions) =>
  ({ client, informer, now }: World): Reconciler => {
    const requests = informer(CertificateSigningRequest);
    const authority = {
      cert: readFileSync(options.clusterSigningCertFile, 'utf8'),
      key: readFileSync(options.clusterSigningKeyFile, 'utf8'),
    };
    return {
      name: 'csr-signing',
      watches: [watching(requests)],
      async reconcile(name, signal) {
        const request = requests.get(name);
        if (!request || !isApproved(request) || request.status?.certificate || has(request, 'Failed')) return;
        const { signerName, expirationSeconds } = request.spec;
        if (![kubeletClient, kubeletServing, client_].includes(signerName)) return;
        const x509 = readRequest(request.spec.request);
        const why = x509 ? refusal(request, x509) : 'the request cannot be read';
        const status = why
          ? { ...request.status, conditions: [...(request.status?.conditions ?? []), failed(why, now())] }
          : {
              ...request.status,
              certificate: await signRequest(
                authority,
                request.spec,
                Math.min(options.clusterSigningDuration, expirationSeconds ? expirationSeconds * 1000 : Infinity),
                now(),
              ),
            };
        await client.update(CertificateSigningRequest, { ...request, status }, { subresource: 'status' }, signal);
      },
    };
  };

const has = ({ status }: CertificateSigningRequest, type: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type) ?? false;
const isApproved = (request: CertificateSigningRequest): boolean => has(request, 'Approved') && !has(request, 'Denied');

const failed = (message: string, now: number): Condition => ({
  type: 'Failed',
  status: 'True',
  reason: 'SignerValidationFailure',
  message,
  lastUpdateTime: timestamp(now),
});

const hour = 3_600_000;

/** Deletes requests that nobody needs any more. */
export function certificateCleaning({ client, informer, now }: World): Reconciler {
  const requests = informer(CertificateSigningRequest);
  return {
    name: 'csr-cleaning',
    watches: [watching(requests)],
    async reconcile(name, signal) {
      const request = requests.get(name);
      if (!request) return;
      const left = lifeLeft(request, now());
      if (left > 0) return { again: Math.min(left, hour) };
      const { uid } = request.metadata;
      await client
        .delete(CertificateSigningRequest, { name }, { preconditions: { uid } }, signal)
        .catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
    },
  };
}

/** Milliseconds: an hour after the answer, a day without one, and no longer than the certificate is good. */
export function lifeLeft(request: StoredRequest, now: number): number {
  const { conditions = [], certificate } = request.status ?? {};
  const since = (type: string) => {
    const at = conditions.find((condition) => condition.type === type);
    return at ? Date.parse(at.lastUpdateTime ?? at.lastTransitionTime ?? '') : undefined;
  };
  const answered = since('Denied') ?? since('Failed') ?? (certificate ? since('Approved') : undefined);
  const made = Date.parse(request.metadata.creationTimestamp ?? '');
  const end = answered !== undefined ? answered + hour : made + 24 * hour;
  return Math.min(end, expiryOf(certificate)) - now;
}

function expiryOf(certificate: string | undefined): number {
  if (!certificate) return Infinity;
  try {
    return new X509Certificate(Buffer.from(certificate, 'base64')).validToDate.getTime();
  } catch {
    // Whatever another signer wrote there runs out with the request.
    return Infinity;
  }
}
