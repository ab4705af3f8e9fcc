import { internalError, StatusError, type Reason } from '../../api/status.ts';

/** Forms of AdmissionReview that are spoken. */
const reviewVersions = ['v1', 'v1beta1'];

/** The first form that both sides speak. */
export const reviewVersionFor = ({ admissionReviewVersions = [] }: { admissionReviewVersions?: readonly string[] }) =>
  admissionReviewVersions.find((one) => reviewVersions.includes(one)) ?? 'v1';

export interface ReviewResponse {
  uid?: string;
  allowed?: boolean;
  status?: { message?: string; reason?: string; code?: number };
  patch?: string;
  patchType?: string;
  warnings?: string[];
  auditAnnotations?: Record<string, string>;
}

/** What a webhook answered, as it came. */
export interface Answered {
  apiVersion?: string;
  kind?: string;
  response?: ReviewResponse;
}

export const failing = (webhook: string, why: string): StatusError =>
  internalError(`failed calling webhook ${JSON.stringify(webhook)}: ${why}`);

/**
 * The response to a review, if it is one to this review. What is asked of a v1 response was not yet asked of those before it.
 * Throws 500. https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
 */
export function responseOf(
  webhook: string,
  { apiVersion, kind, response }: Answered,
  asked: { uid: string; apiVersion: string; mutating: boolean },
): ReviewResponse {
  const wrong = (why: string) => failing(webhook, why);
  if (!response) throw wrong('webhook response was absent');
  if (asked.apiVersion === 'admission.k8s.io/v1beta1')
    return response.patch ? { ...response, patchType: 'JSONPatch' } : response;
  if (response.uid !== asked.uid)
    throw wrong(`expected response.uid=${JSON.stringify(asked.uid)}, got ${JSON.stringify(response.uid ?? '')}`);
  if (apiVersion !== asked.apiVersion || kind !== 'AdmissionReview')
    throw wrong(
      `expected webhook response of ${asked.apiVersion}, Kind=AdmissionReview, got ${apiVersion ?? ''}, Kind=${kind ?? ''}`,
    );
  const { patch, patchType } = response;
  if (!asked.mutating && patch) throw wrong('validating webhook may not return response.patch');
  if (!asked.mutating && patchType !== undefined) throw wrong('validating webhook may not return response.patchType');
  if (patch && patchType === undefined) throw wrong('webhook returned response.patch but not response.patchType');
  if (!patch && patchType !== undefined) throw wrong('webhook returned response.patchType but not response.patch');
  if (patchType !== undefined && patchType !== 'JSONPatch')
    throw wrong(`webhook returned invalid response.patchType of ${JSON.stringify(patchType)}`);
  return response;
}

/** A refusal in the webhook's words, whatever it says of its success. */
export function denial(webhook: string, { status = {} }: ReviewResponse): StatusError {
  const who = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const words = status.message
    ? `${who}: ${status.message}`
    : status.reason
      ? `${who}: ${status.reason}`
      : `${who} without explanation`;
  return new StatusError(Math.max(status.code ?? 0, 400), status.reason as Reason | undefined, words);
}
