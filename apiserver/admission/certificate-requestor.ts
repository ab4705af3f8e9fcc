import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import type { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { loadX509 } from '../../lib/x509.ts';
import { userInfo } from '../auth/user.ts';
import type { AdmissionRule } from './order.ts';

/** A certificate request says who made it, and only the server knows that; its signature proves that they hold the key. */
export const certificateRequestor: AdmissionRule = {
  name: 'CertificateRequestor',
  mutate: ({ operation, kind, object, options }) => {
    if (operation !== 'create' || kind.kind !== 'CertificateSigningRequest') return;
    const { spec } = object as CertificateSigningRequest;
    if (!spec) return;
    const { username, uid, groups, extra } = userInfo(options.user);
    Object.assign(spec, { username, groups: [...groups] });
    if (uid) spec.uid = uid;
    else delete spec.uid;
    if (extra) spec.extra = structuredClone(extra) as Record<string, string[]>;
    else delete spec.extra;
  },
  validate: async ({ operation, kind, object }) => {
    if (operation !== 'create' || kind.kind !== 'CertificateSigningRequest') return;
    const { request } = (object as CertificateSigningRequest).spec;
    const why = await flawOf(request);
    if (why) throw invalid(kind, object.metadata.name ?? '', [bad('spec.request', request, why)]);
  },
};

async function flawOf(base64: string): Promise<string | undefined> {
  const request = readRequest(base64);
  if (!request) return 'PEM block holds no certificate request';
  return (await request.verify().catch(() => false)) ? undefined : 'the signature of the request is not valid';
}

/** The request in a CertificateSigningRequest; undefined when it is none. */
export function readRequest(base64: string): Pkcs10CertificateRequest | undefined {
  const x509 = loadX509();
  try {
    return new x509.Pkcs10CertificateRequest(Buffer.from(base64, 'base64').toString());
  } catch {
    return undefined; // not the DER of a request
  }
}
