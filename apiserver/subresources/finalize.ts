import type { Namespace } from '../../api/kinds/namespace.ts';
import { bodyTypeOf, decodeBody } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { checkPreconditions } from '../verbs/update.ts';
import { writeOptions } from '../write-options.ts';

/** PUT of `namespaces/<name>/finalize`: who has emptied a namespace takes its finalizer out of `spec.finalizers`. */
export async function finalize(registry: Registry, call: Call): Promise<Answer> {
  const { kind } = call;
  const { object } = decodeBody<Namespace>(call.contentType, call.body, bodyTypeOf(kind));
  const entry = await registry.update(kind, keyIn(kind, '', call.name), 'server', writeOptions(call), (current) => {
    checkPreconditions(object, current, kind);
    return { ...current, spec: { ...object.spec } } as Namespace;
  });
  return { code: 200, kind, entry };
}
