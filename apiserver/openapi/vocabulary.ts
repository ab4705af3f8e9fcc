import type { Kind } from '../../api/kind.ts';
import { definitionOf, definitions, type Schema } from '../../api/schema.ts';
import type { StructuralSchema } from '../../api/structural/schema.ts';

const metaRoot = 'io.k8s.apimachinery.pkg.apis.meta.v1';

/** `com.example.stable.v1.CronTab`: how OpenAPI calls a kind that was made at run time. */
const customName = ({ group, version }: Kind, name: string): string =>
  `${group.split('.').reverse().join('.')}.${version}.${name}`;

/** The definition that a kind's objects follow. */
export const definitionOfKind = (kind: Kind): string | undefined =>
  kind.schema ? customName(kind, kind.kind) : definitionOf(kind.group, kind.version, kind.kind);

export const definitionOfList = (kind: Kind): string | undefined =>
  kind.schema ? customName(kind, kind.listKind) : definitionOf(kind.group, kind.version, kind.listKind);

/** All definitions there are while these kinds are served. */
export function definitionsWith(kinds: readonly Kind[]): Readonly<Record<string, Schema>> {
  const custom = kinds.filter(({ schema }) => schema);
  if (custom.length === 0) return definitions;
  const made: Record<string, Schema> = { ...definitions };
  for (const kind of custom) {
    made[customName(kind, kind.kind)] = customSchema(kind);
    made[customName(kind, kind.listKind)] = listOf(kind);
  }
  return made;
}

/** Where any member is allowed, Swagger 2.0 names none: kubectl would take those it does not name for wrong. */
function customSchema(kind: Kind): Schema {
  const schema: Schema = { ...kind.schema!, ...gvk(kind, kind.kind) };
  if (!(schema as StructuralSchema)['x-kubernetes-preserve-unknown-fields']) return schema;
  return { ...schema, 'x-kubernetes-v2-schema': { type: 'object', ...gvk(kind, kind.kind) } };
}

const gvk = ({ group, version }: Kind, kind: string) => ({
  'x-kubernetes-group-version-kind': [{ group, kind, version }],
});

const listOf = (kind: Kind): Schema => ({
  type: 'object',
  required: ['items'],
  properties: {
    apiVersion: { type: 'string' },
    items: { type: 'array', items: { $ref: `#/components/schemas/${customName(kind, kind.kind)}` } },
    kind: { type: 'string' },
    metadata: { $ref: `#/components/schemas/${metaRoot}.ListMeta` },
  },
  ...gvk(kind, kind.listKind),
});
