import type { X509Certificate } from 'node:crypto';
import { Client } from '../client/client.ts';
import type { Credential, CredentialSource } from '../client/exec-credential.ts';
import type { Logger } from '../lib/log.ts';
import { signedCertificate } from './certificate-request.ts';
import type { Introduction } from './introduction.ts';
import { KeptCertificate, type KeptFigures } from './kept-certificate.ts';

export interface NodeClientOptions {
  introduction: Introduction;
  nodeName: string;
  /** Where the node's certificate is kept. */
  file: string;
  log: Logger;
}

/** The apiserver as the node sees it, and is seen. */
export interface NodeClient {
  client: Client;
  /** Resolves once it asks with a certificate. Rejects when the signal aborts before. */
  certified: Promise<unknown>;
  figures(): KeptFigures;
  /** PEM: the CA by which the apiserver is known from now on; and who of it signs. */
  believe(ca: string, signer: X509Certificate): void;
  close(): Promise<void>;
}

interface SelfSubjectReview {
  status?: { userInfo?: { groups?: string[] } };
}

const userAgent = 'km-executor';

/** The user that a node is. */
export const nodeUser = (nodeName: string): { commonName: string; organizations: readonly string[] } => ({
  commonName: `system:node:${nodeName}`,
  organizations: ['system:nodes'],
});

/**
 * The apiserver, asked as `system:node:<name>` with a certificate of the node's own. The token that we were given asks for the
 * first one, and for another where that has run out or is not believed; until it is there, requests wait. A token that is in
 * system:nodes itself, as all were before there were such certificates, is good for what a node does, and nobody waits.
 *
 *   token ──▶ CertificateSigningRequest ──▶ certificate ──▶ everything else, and the next request before it runs out
 */
export function openNodeClient(
  { introduction, nodeName, file, log }: NodeClientOptions,
  signal: AbortSignal,
): NodeClient {
  const { server, ca, token } = introduction;
  let isNodes: Promise<boolean> | undefined;
  const refused = ({ cert }: Credential) => {
    certificate.refused(cert);
    isNodes = undefined;
  };
  const clientWith = (credentials: CredentialSource) => new Client({ server, ca, userAgent, credentials });
  const joining = clientWith({ get: async () => certificate.current ?? { token }, refused });
  const subject = nodeUser(nodeName);
  const signerName = 'kubernetes.io/kube-apiserver-client-kubelet';
  const certificate = new KeptCertificate({
    file,
    subject,
    ask: (within) => signedCertificate(joining, { signerName, usage: 'client auth', subject }, log, within),
    log,
  });
  // Of the token alone: with a certificate everybody is a node.
  const byToken = new Client({ server, ca, token, userAgent });
  const tokenWillDo = () =>
    (isNodes ??= isOfNodes(byToken, signal).catch((error: unknown) => {
      isNodes = undefined;
      throw error;
    }));
  const get = async (within?: AbortSignal) => {
    if (certificate.current) return certificate.current;
    if (await tokenWillDo()) return { token };
    // It may have come while we asked: the next one is a long time off then.
    return certificate.current ?? certificate.next(within ? AbortSignal.any([within, signal]) : signal);
  };
  const client = clientWith({ get, refused });
  const certified = certificate.current ? Promise.resolve() : certificate.next(signal);
  certified.catch(() => undefined); // for who does not wait for it
  const kept = certificate.keep(signal);
  return {
    client,
    certified,
    figures: () => certificate.figures,
    believe(text, signer) {
      client.trust(text);
      joining.trust(text);
      byToken.trust(text);
      certificate.signedBy(signer);
    },
    async close() {
      await kept;
      await Promise.all([client, joining, byToken].map((one) => one.close()));
    },
  };
}

/** Whether the token alone makes a node of who shows it. */
async function isOfNodes(client: Client, signal: AbortSignal): Promise<boolean> {
  const group = 'authentication.k8s.io/v1';
  const body = { apiVersion: group, kind: 'SelfSubjectReview' };
  const { status } = await client.raw<SelfSubjectReview>('POST', `/apis/${group}/selfsubjectreviews`, body, signal);
  return status?.userInfo?.groups?.includes('system:nodes') ?? false;
}
