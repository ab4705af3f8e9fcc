import { CertificateSigningRequest } from '../api/kinds/certificate-signing-request.ts';
import { Node } from '../api/kinds/node.ts';
import { type KubeObject, type Stored, timestamp } from '../api/meta.ts';
import type { Client } from '../client/client.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { isKubeletClient, isKubeletServing, kubeletClient, kubeletServing } from './certificates.ts';
import { type CertificateRequest, readRequest } from './common/signing.ts';

/** Whether the wishes for a client certificate of a kubelet are granted without a person: RBAC says who may ask for it. */
export function certificateApproving({ client, informer, now }: World): Reconciler {
  const requests = informer(CertificateSigningRequest);
  return {
    name: 'csr-approving',
    watches: [watching(requests)],
    async reconcile(name, signal) {
      const request = undecided(requests.get(name), kubeletClient);
      const x509 = request && readRequest(request.spec.request);
      if (!x509 || !isKubeletClient(request, x509)) return;
      const isSelf = request.spec.username === x509.commonName;
      if (!(await mayAsk(client, request, isSelf ? 'selfnodeclient' : 'nodeclient', signal))) return;
      const message = `Auto approving ${isSelf ? 'self ' : ''}kubelet client certificate after SubjectAccessReview.`;
      await approve(client, request, message, now(), signal);
    },
  };
}

/**
 * Grants a kubelet the certificate of its port, where all it names is the node's, as the Node says. Kubernetes leaves that to
 * others, who may turn this one off and judge themselves. A node says its addresses itself: the name in the certificate is what
 * tells it from the others.
 */
export function kubeletServingApproving({ client, informer, now }: World): Reconciler {
  const requests = informer(CertificateSigningRequest);
  const nodes = informer(Node);
  const isOf =
    ({ metadata }: Node) =>
    ({ spec }: CertificateSigningRequest): boolean =>
      spec.username === `system:node:${metadata.name}`;
  return {
    name: 'kubelet-serving-approving',
    watches: [
      watching(requests),
      watching(nodes, (change) => {
        const { object } = change;
        if (change.type === 'updated' && equal(object.status?.addresses, change.old.status?.addresses)) return [];
        return [...requests.list()].filter(isOf(object)).map(({ metadata }) => metadata.name);
      }),
    ],
    async reconcile(name, signal) {
      const request = undecided(requests.get(name), kubeletServing);
      const x509 = request && readRequest(request.spec.request);
      if (!x509 || !isKubeletServing(request, x509) || !request.spec.groups?.includes('system:nodes')) return;
      const node = nodes.get(x509.commonName.slice('system:node:'.length));
      if (!node || !areAddressesOf(node, x509)) return;
      const message = 'Auto approving kubelet serving certificate: all its names are addresses of the node.';
      await approve(client, request, message, now(), signal);
    },
  };
}

/** Whether the request is the node's to make: all names and addresses in it are among those of its status. */
export function areAddressesOf({ status }: Node, { names }: CertificateRequest): boolean {
  const known = (status?.addresses ?? []).map(
    ({ type, address }) => `${type.endsWith('IP') ? 'ip' : 'dns'} ${address}`,
  );
  return names.every(({ type, value }) => known.includes(`${type} ${value}`));
}

function undecided(
  request: (CertificateSigningRequest & Stored) | undefined,
  signerName: string,
): (CertificateSigningRequest & Stored) | undefined {
  return request?.spec.signerName === signerName && !request.status?.conditions?.length ? request : undefined;
}

async function mayAsk(
  client: Client,
  { spec: { username: user = '', uid, groups = [], extra } }: CertificateSigningRequest,
  subresource: string,
  signal: AbortSignal,
): Promise<boolean> {
  const resource = 'certificatesigningrequests';
  const resourceAttributes = { group: 'certificates.k8s.io', version: 'v1', resource, subresource, verb: 'create' };
  const review = await client.raw<KubeObject & { status?: { allowed?: boolean } }>(
    'POST',
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, uid, groups, extra, resourceAttributes },
    },
    signal,
  );
  return review.status?.allowed === true;
}

async function approve(
  client: Client,
  request: CertificateSigningRequest & Stored,
  message: string,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const lastUpdateTime = timestamp(now);
  const condition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message, lastUpdateTime } as const;
  const status = { ...request.status, conditions: [condition] };
  await client.update(CertificateSigningRequest, { ...request, status }, { subresource: 'approval' }, signal);
}
