import { CertificateSigningRequest } from '../api/kinds/certificate-signing-request.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import { type KeyPair, type Subject, requestCertificate } from '../lib/certs.ts';
import { unlessAborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';

export interface Wish {
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving';
  usage: 'client auth' | 'server auth';
  subject: Subject;
}

/** An answer takes a moment where those who give it are there, milliseconds. */
const patience = 10_000;

/**
 * A key of our own and the certificate that the cluster gives for it, by a CertificateSigningRequest. Waits for the answer as
 * long as the request is there. Throws where it is denied, or goes without an answer.
 */
export async function signedCertificate(
  client: Client,
  { signerName, usage, subject }: Wish,
  log: Logger,
  signal: AbortSignal,
): Promise<KeyPair> {
  const { request, key } = await requestCertificate(subject);
  const spec = { signerName, usages: ['digital signature', usage], request: Buffer.from(request).toString('base64') };
  const asked = { metadata: { generateName: 'csr-' }, spec };
  const { metadata } = await client.create(CertificateSigningRequest, asked, {}, signal);
  const { name } = metadata;
  const waiting = setTimeout(() => {
    const hint =
      'the controller-manager approves and signs it, with --cluster-signing-cert-file and --cluster-signing-key-file';
    log.warn({ request: name, signerName, hint }, 'nobody has answered the request for a certificate yet');
  }, patience);
  try {
    return { cert: await answerTo(client, name, log, signal), key };
  } finally {
    clearTimeout(waiting);
  }
}

async function answerTo(client: Client, name: string, log: Logger, signal: AbortSignal): Promise<string> {
  const answered = new AbortController();
  const informer = new Informer(client, CertificateSigningRequest, { fieldSelector: `metadata.name=${name}` }, log);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const gone = () => reject(new Error(`the request for a certificate ${name} went without an answer`));
  informer.on(({ type, object: { status } }) => {
    const no = status?.conditions?.find((condition) => condition.type === 'Denied' || condition.type === 'Failed');
    if (status?.certificate) resolve(Buffer.from(status.certificate, 'base64').toString());
    else if (no)
      reject(new Error(`the request for a certificate ${name} was refused: ${no.message ?? no.reason ?? ''}`));
    else if (type === 'deleted') gone();
  });
  informer.start(AbortSignal.any([signal, answered.signal])).then(
    // It may have been deleted before anybody looked.
    () => (informer.get(name) ? undefined : gone()),
    () => undefined, // we have it, or are ending
  );
  try {
    return await unlessAborted(promise, signal);
  } finally {
    answered.abort();
  }
}
