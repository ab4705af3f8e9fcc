import { DecodeContext, DecodeError, decoderOfKind } from '../../api/decode.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest } from '../../api/status.ts';
import { equal } from '../../lib/equal.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import { toStored } from '../served.ts';
import { rescale } from '../subresources/scale.ts';

/**
 * Makes the request's object what a webhook or a policy made of it, as a version of its kind shows it: decoded and filled in
 * as a body is, in the form that is kept. Throws a StatusError when it is no such object.
 */
export async function rewrite(request: AdmissionRequest, next: KubeObject, kind: Kind): Promise<void> {
  const { body, subresource } = request.options;
  if (body && subresource === 'binding' && !equal(body, next)) throw badRequest(unbending);
  if (body) become(body, next);
  else if (subresource === 'scale') rescale(request.object, next, kind);
  else become(request.object, await clean(next, kind));
}

/** What a request is about: an Eviction or a Binding that was sent, else the object. */
export const subjectOf = ({ object, options }: AdmissionRequest): KubeObject => options.body ?? object;

/** Takes back what was made of the request's subject since it looked so. */
export const restore = (request: AdmissionRequest, before: KubeObject): void => become(subjectOf(request), before);

/** The pod has its node already when admission is asked: a change would be lost without a word. */
const unbending = 'a Binding can be refused, not changed';

/** Whoever holds on to the object sees its members change. */
function become(object: KubeObject, next: KubeObject): void {
  for (const name of Object.keys(object)) Reflect.deleteProperty(object, name);
  Object.assign(object, next);
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
