import { bodyTypeOf, decodeBody, reportProblems } from '../body.ts';
import { writeOptions, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';

/** POST to a collection. */
export async function create(registry: Registry, call: Call): Promise<Answer> {
  const { kind } = call;
  const options = writeOptions(call);
  const { object, problems } = decodeBody(call.contentType, call.body, bodyTypeOf(kind));
  reportProblems(problems, call.query.get('fieldValidation'), 'CreateOptions', kind, call.warnings);
  const entry = await registry.create(kind, object, call.namespace, options);
  return { code: 201, kind, entry };
}
