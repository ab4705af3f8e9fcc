import { humanDuration } from '../age.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, notSupported, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { timestamp } from '../meta.ts';

export interface CertificateSigningRequest extends KubeObject {
  spec: {
    /** PEM of a PKCS #10 request, base64. */
    request: string;
    signerName: string;
    usages?: string[];
    expirationSeconds?: number;
    /** Who asked; only the server writes these. */
    username?: string;
    uid?: string;
    groups?: string[];
    extra?: Record<string, string[]>;
  };
  status?: {
    conditions?: Condition[];
    /** PEM chain, base64. */
    certificate?: string;
  };
}

const usages = [
  ...['any', 'cert sign', 'client auth', 'code signing', 'content commitment', 'crl sign', 'data encipherment'],
  ...['decipher only', 'digital signature', 'email protection', 'encipher only', 'ipsec end system', 'ipsec tunnel'],
  ...['ipsec user', 'key agreement', 'key encipherment', 'microsoft sgc', 'netscape sgc', 'ocsp signing', 's/mime'],
  ...['server auth', 'signing', 'timestamping'],
];

/** Conditions that only the approval door may change. */
export const isVerdict = ({ type }: Condition): boolean => type === 'Approved' || type === 'Denied';

export const CertificateSigningRequest = kind<CertificateSigningRequest>({
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  short: ['csr'],
  namespaced: false,
  subresources: ['status', 'approval'],
  generation: false,
  prepareCreate: (request) => {
    request.status = {};
  },
  prepareUpdate: (request, old) => {
    request.spec = structuredClone(old.spec);
  },
  prepareStatus: (request, old) => {
    const others = (request.status?.conditions ?? []).filter((condition) => !isVerdict(condition));
    const verdicts = (old.status?.conditions ?? []).filter(isVerdict);
    request.status = { ...request.status, conditions: stamped([...verdicts, ...others], old) };
  },
  validate: ({ spec, status }) => [
    ...validateSpec(spec ?? { request: '', signerName: '' }),
    ...validateConditions(status?.conditions ?? []),
  ],
  columns: [
    nameColumn,
    ageColumn,
    { name: 'SignerName', value: ({ spec }) => spec.signerName },
    { name: 'Requestor', value: ({ spec }) => spec.username ?? '' },
    {
      name: 'RequestedDuration',
      value: ({ spec }) =>
        spec.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
    },
    { name: 'Condition', value: conditionOf },
  ],
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
});

/** Gives new conditions their times. */
export function stamped(conditions: Condition[], old: CertificateSigningRequest): Condition[] {
  const now = timestamp(Date.now());
  return conditions.map((condition) => {
    const before = old.status?.conditions?.find(({ type }) => type === condition.type);
    return {
      ...condition,
      lastUpdateTime: condition.lastUpdateTime ?? now,
      lastTransitionTime:
        before?.status === condition.status
          ? (before.lastTransitionTime ?? now)
          : (condition.lastTransitionTime ?? now),
    };
  });
}

function validateSpec({
  request,
  signerName,
  usages: wanted = [],
  expirationSeconds,
}: CertificateSigningRequest['spec']) {
  const errors: FieldError[] = [];
  const pem = Buffer.from(request ?? '', 'base64').toString();
  if (!/-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----/.test(pem))
    errors.push(bad('spec.request', request, 'PEM block type must be CERTIFICATE REQUEST'));
  if (wanted.length === 0) errors.push(required('spec.usages'));
  for (const [i, usage] of wanted.entries()) {
    if (!usages.includes(usage)) errors.push(notSupported(`spec.usages[${i}]`, usage, usages));
    if (wanted.indexOf(usage) < i)
      errors.push({ type: 'Duplicate', field: `spec.usages[${i}]`, value: usage, detail: '' });
  }
  if (!signerName) errors.push(required('spec.signerName'));
  else if (signerName === 'kubernetes.io/legacy-unknown')
    errors.push(bad('spec.signerName', signerName, 'the legacy signerName is not allowed via this API version'));
  else if (!/^[a-z0-9][-a-z0-9.]*\.[a-z0-9][-a-z0-9]*\/[a-zA-Z0-9._~:-]+$/.test(signerName))
    errors.push(
      bad(
        'spec.signerName',
        signerName,
        'must be a fully qualified domain and path of the form "example.com/signer-name"',
      ),
    );
  if (expirationSeconds !== undefined && expirationSeconds < 600)
    errors.push(
      bad('spec.expirationSeconds', expirationSeconds, 'may not specify a duration less than 600 seconds (10 minutes)'),
    );
  return errors;
}

function validateConditions(conditions: readonly Condition[]): FieldError[] {
  const field = 'status.conditions';
  const errors: FieldError[] = [];
  const types = conditions.map(({ type }) => type);
  for (const [i, { type, status }] of conditions.entries()) {
    if (!type) errors.push(required(`${field}[${i}].type`));
    if (!status) errors.push(required(`${field}[${i}].status`));
    else if (!['True', 'False', 'Unknown'].includes(status))
      errors.push(notSupported(`${field}[${i}].status`, status, ['True', 'False', 'Unknown']));
    else if (['Approved', 'Denied', 'Failed'].includes(type) && status !== 'True')
      errors.push(notSupported(`${field}[${i}].status`, status, ['True']));
    if (types.indexOf(type) < i)
      errors.push({ type: 'Duplicate', field: `${field}[${i}].type`, value: type, detail: '' });
  }
  if (types.includes('Approved') && types.includes('Denied'))
    errors.push(
      bad(
        `${field}[${types.indexOf('Denied')}].type`,
        'Denied',
        'Approved and Denied conditions are mutually exclusive',
      ),
    );
  return errors;
}

function conditionOf({ status }: CertificateSigningRequest): string {
  const words = (status?.conditions ?? []).map(({ type }) => type);
  if (words.length === 0) words.push('Pending');
  if (status?.certificate) words.push('Issued');
  return words.join(',');
}
