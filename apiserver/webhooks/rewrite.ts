import { DecodeContext, DecodeError, decoderOfKind } from '../../api/decode.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest } from '../../api/status.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import { toStored } from '../served.ts';

/**
 * Makes the request's object what a webhook or a policy made of it, as a version of its kind shows it: decoded and filled in
 * as a body is, in the form that is kept. Throws a StatusError when it is no such object.
 */
export async function rewrite(request: AdmissionRequest, next: KubeObject, kind: Kind): Promise<void> {
  const cleaned = await clean(next, kind);
  // The registry holds on to the object: its members change, it does not.
  for (const name of Object.keys(request.object)) Reflect.deleteProperty(request.object, name);
  Object.assign(request.object, cleaned);
}

async function clean(object: KubeObject, kind: Kind): Promise<KubeObject> {
  try {
    decoderOfKind(kind)?.(object, new DecodeContext());
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(error.message);
    throw error;
  }
  kind.defaults?.(object);
  return kind.storage ? toStored(kind, object) : object;
}
