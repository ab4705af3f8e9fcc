import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest, conflict, isNotFound, modified } from '../../api/status.ts';
import { invalid, bad } from '../../api/field-error.ts';
import { bodyTypeOf, decodeBody, reportProblems } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Door, Registry } from '../registry.ts';
import { writeOptions } from '../write-options.ts';

/** PUT of one object, through its main door or a subresource's. */
export async function update(registry: Registry, call: Call, door: Door = 'main'): Promise<Answer> {
  const { kind, name, namespace } = call;
  const options = writeOptions(call);
  const { object, problems } = decodeBody(call.contentType, call.body, bodyTypeOf(kind));
  reportProblems(problems, call);
  checkPlace(object, kind, namespace, name);
  try {
    const entry = await registry.update(kind, keyIn(kind, namespace, name), door, options, (current) => {
      checkPreconditions(object, current, kind);
      // The registry may ask again after a conflict, and it changes what it gets.
      return structuredClone(object);
    });
    return { code: 200, kind, entry };
  } catch (error) {
    if (!isNotFound(error) || !kind.createOnUpdate || door !== 'main') throw error;
    const { resourceVersion } = object.metadata;
    if (resourceVersion && resourceVersion !== '0') throw error;
    return { code: 201, kind, entry: await registry.create(kind, object, namespace, options) };
  }
}

function checkPlace({ metadata }: KubeObject, kind: Kind, namespace: string, name: string): void {
  if (metadata.name && metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (!metadata.name) throw badRequest('name must be provided');
  if (!kind.namespaced) return;
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  metadata.namespace = namespace;
}

/** Refuses a write that was made from an older object, or for another one of the same name. */
export function checkPreconditions(given: KubeObject, current: KubeObject, kind: Kind): void {
  const { name = '', uid, resourceVersion } = given.metadata;
  if (uid && uid !== current.metadata.uid)
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    );
  if (!resourceVersion || resourceVersion === '0') {
    if (kind.unconditionalUpdate === false)
      throw invalid(kind, name, [bad('metadata.resourceVersion', '', 'must be specified for an update')]);
    return;
  }
  if (resourceVersion !== current.metadata.resourceVersion) throw modified(kind, name);
}
