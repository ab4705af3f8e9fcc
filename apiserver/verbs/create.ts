import { bodyTypeOf, decodeBody, reportProblems } from '../body.ts';
import { type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { writeOptions } from '../write-options.ts';

/** POST to a collection. */
export async function create(registry: Registry, call: Call): Promise<Answer> {
  const { kind } = call;
  const options = writeOptions(call);
  const { object, problems } = decodeBody(call.contentType, call.body, bodyTypeOf(kind));
  reportProblems(problems, call);
  const entry = await registry.create(kind, object, call.namespace, options);
  return { code: 201, kind, entry };
}
