import { existsSync, readFileSync } from 'node:fs';
import { refOf, type Schema } from '../schema.ts';

/** By the OpenAPI name of a definition: what it is, and what each of its properties is. */
export type Descriptions = Record<string, { description: string; properties: Record<string, string> }>;

export const descriptionsFile = new URL('./descriptions.json', import.meta.url);

/** Milliseconds: they are much text, and seldom asked for. */
const keptFor = 30_000;
let kept: Descriptions | undefined;

/** What there is to say of Kubernetes' definitions; nothing where make-descriptions.ts has not run. */
function descriptions(): Descriptions {
  if (kept) return kept;
  kept = existsSync(descriptionsFile) ? (JSON.parse(readFileSync(descriptionsFile, 'utf8')) as Descriptions) : {};
  setTimeout(() => (kept = undefined), keptFor).unref();
  return kept;
}

/** The definition with words for itself and its properties, where there are any. */
export function described(name: string, schema: Schema): Schema {
  const found = descriptions()[name];
  if (!found) return schema;
  const properties = Object.entries(schema.properties ?? {}).map(([property, own]) => {
    // Of a property that is an object of another definition, words are lost on the way: it is described as that one is.
    const description = found.properties[property] ?? descriptions()[refOf(own) ?? '']?.description;
    return [property, description ? { ...own, description } : own];
  });
  return {
    ...(found.description ? { description: found.description } : {}),
    ...schema,
    ...(schema.properties ? { properties: Object.fromEntries(properties) as Record<string, Schema> } : {}),
  };
}
