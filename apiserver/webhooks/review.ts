import { randomUUID } from 'node:crypto';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import { spokenIn } from '../subresources/facts.ts';
import { scaleOf } from '../subresources/scale.ts';

/** The `request` of an AdmissionReview, and the variable of that name in CEL. */
export interface ReviewRequest {
  uid: string;
  operation: string;
  name?: string;
  namespace?: string;
  object: KubeObject | null;
  oldObject: KubeObject | null;
  dryRun: boolean;
  [member: string]: unknown;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request */
export function reviewRequest(
  request: AdmissionRequest,
  kind: Kind,
  object: KubeObject | undefined,
  old: KubeObject | undefined,
): ReviewRequest {
  const { name, namespace } = request.object.metadata;
  const { user, dryRun, subresource } = request.options;
  const gvk = spokenKind(kind, subresource);
  const gvr = { group: kind.group, version: kind.version, resource: kind.plural };
  const own = request.kind;
  return {
    uid: randomUUID(),
    kind: gvk,
    resource: gvr,
    requestKind: spokenKind(own, subresource),
    requestResource: { group: own.group, version: own.version, resource: own.plural },
    ...(subresource ? { subResource: subresource, requestSubResource: subresource } : {}),
    ...(name ? { name } : {}),
    ...(namespace ? { namespace } : {}),
    operation: operationOf(request),
    userInfo: {
      username: user.name,
      ...(user.uid ? { uid: user.uid } : {}),
      groups: user.groups,
      ...(user.extra ? { extra: user.extra } : {}),
    },
    object: object ?? null,
    oldObject: old ?? null,
    dryRun,
    options: optionsOf(request),
  };
}

/** A subresource may speak in a kind of its own. */
function spokenKind(served: Kind, subresource: string | undefined): { group: string; version: string; kind: string } {
  const { group, version, kind, subresources } = served;
  const spoken = subresources.find((one) => one === subresource);
  return { group, version, kind, ...(spoken ? spokenIn(served, spoken) : {}) };
}

/** What webhooks and policies take a request for. */
export const operationOf = ({ operation, options: { body } }: AdmissionRequest): string =>
  body ? 'CREATE' : operation.toUpperCase();

function optionsOf(request: AdmissionRequest): object | null {
  const { options } = request;
  const operation = operationOf(request);
  const names: Record<string, string> = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' };
  if (!names[operation]) return null;
  return {
    kind: names[operation],
    apiVersion: 'meta.k8s.io/v1',
    ...(options.dryRun ? { dryRun: ['All'] } : {}),
    ...(options.fieldManager && operation !== 'DELETE' ? { fieldManager: options.fieldManager } : {}),
  };
}

/** The objects of a request as a version of their kind shows them; what a deletion deletes is its old object. */
export async function shownIn(
  kind: Kind,
  request: AdmissionRequest,
): Promise<{ object: KubeObject | undefined; old: KubeObject | undefined }> {
  const { body, subresource } = request.options;
  if (body) return { object: structuredClone(body), old: undefined };
  if (subresource === 'scale')
    return { object: scaleOf(request.object, request.kind), old: request.old && scaleOf(request.old, request.kind) };
  const isDelete = request.operation === 'delete';
  const object = isDelete ? undefined : await shown(kind, request.object);
  const old = request.old ?? (isDelete ? request.object : undefined);
  return { object, old: old && (await shown(kind, old)) };
}

async function shown(kind: Kind, object: Readonly<KubeObject>): Promise<KubeObject> {
  const copy = {
    ...structuredClone(object),
    kind: object.kind ?? kind.kind,
    apiVersion: object.apiVersion ?? kind.apiVersion,
  };
  return kind.storage ? (await kind.storage.fromStored([copy]))[0]! : copy;
}
