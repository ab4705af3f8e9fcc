import type { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { attributes, type Authorizer } from '../auth/authorize.ts';
import { readRequest } from './certificate-requestor.ts';
import { equal } from '../../lib/equal.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { refusal } from './requests.ts';

const group = 'certificates.k8s.io';
const isRequest = ({ kind, operation }: AdmissionRequest): boolean =>
  kind.plural === 'certificatesigningrequests' && kind.group === group && operation !== 'delete';

/** May the user do this for the signer: by its whole name, or for its domain? */
async function mayFor(authorizer: Authorizer, { options, object }: AdmissionRequest, verb: string): Promise<boolean> {
  const { signerName } = (object as CertificateSigningRequest).spec;
  for (const name of [signerName, `${signerName.split('/')[0]}/*`]) {
    const asked = attributes({ verb, group, version: '*', resource: 'signers', name });
    if ((await authorizer.judge(options.user, asked)).allowed) return true;
  }
  return false;
}

/** Who approves or denies a request must be let `approve` for its signer. */
export const certificateApproval = (authorizer: Authorizer): AdmissionRule => ({
  name: 'CertificateApproval',
  validate: async (request) => {
    if (!isRequest(request) || request.options.subresource !== 'approval') return;
    if (await mayFor(authorizer, request, 'approve')) return;
    throw refusal(request, `user not permitted to approve requests with signerName "${signerOf(request)}"`);
  },
});

/** Who puts a certificate into a request must be let `sign` for its signer. */
export const certificateSigning = (authorizer: Authorizer): AdmissionRule => ({
  name: 'CertificateSigning',
  validate: async (request) => {
    if (!isRequest(request) || request.options.subresource !== 'status') return;
    const [now, before] = [request.object, request.old].map((one) => (one as CertificateSigningRequest).status);
    if (now?.certificate === before?.certificate && equal(now?.conditions, before?.conditions)) return;
    if (await mayFor(authorizer, request, 'sign')) return;
    throw refusal(request, `user not permitted to sign requests with signerName "${signerOf(request)}"`);
  },
});

/** Nobody becomes a master by certificate. */
export const certificateSubjectRestriction: AdmissionRule = {
  name: 'CertificateSubjectRestriction',
  validate: (request) => {
    if (!isRequest(request) || request.operation !== 'create') return;
    const { spec } = request.object as CertificateSigningRequest;
    if (spec.signerName !== 'kubernetes.io/kube-apiserver-client') return;
    const groups = readRequest(spec.request)?.subjectName.getField('O') ?? [];
    if (groups.includes('system:masters'))
      throw refusal(
        request,
        `use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`,
      );
  },
};

const signerOf = ({ object }: AdmissionRequest): string => (object as CertificateSigningRequest).spec.signerName;
