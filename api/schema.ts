import { readFileSync } from 'node:fs';
import { aggregatorDefinitions } from './schema/aggregator.ts';
import { metricsDefinitions } from './schema/metrics.ts';

/** An OpenAPI v3 schema as the facts hold it. */
export interface Schema {
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';
  format?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
  $ref?: string;
  allOf?: Schema[];
  oneOf?: Schema[];
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: 'atomic' | 'granular';
  'x-kubernetes-v2-schema'?: Schema;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  description?: string;
}

const facts = JSON.parse(readFileSync(new URL('./schema/schema-facts.json', import.meta.url), 'utf8')) as Record<
  string,
  Schema
>;

/** Every definition of Kubernetes 1.36 by its OpenAPI name, such as `io.k8s.api.core.v1.Pod`: facts, without descriptions. */
export const definitions: Readonly<Record<string, Schema>> = {
  ...facts,
  ...aggregatorDefinitions,
  ...metricsDefinitions,
};

const prefix = '#/components/schemas/';

/** The definition name that a schema points to, if it is a reference. */
export function refOf(schema: Schema | undefined): string | undefined {
  const ref = schema?.$ref ?? schema?.allOf?.[0]?.$ref;
  return ref?.startsWith(prefix) ? ref.slice(prefix.length) : undefined;
}

/** Follows a reference; other schemas are themselves. */
export function resolve(schema: Schema | undefined): Schema | undefined {
  const ref = refOf(schema);
  return ref === undefined ? schema : definitions[ref];
}

const names = new Map<string, string>();
for (const [name, schema] of Object.entries(definitions)) {
  const gvks = schema['x-kubernetes-group-version-kind'];
  if (gvks?.length !== 1) continue;
  const { group, version, kind } = gvks[0]!;
  names.set(`${group}/${version}/${kind}`, name);
}

/** The OpenAPI name of a kind. */
export const definitionOf = (group: string, version: string, kind: string): string | undefined =>
  names.get(`${group}/${version}/${kind}`);

/** The schema of a kind's objects: its own for one made at run time, else that of Kubernetes. */
export function schemaOf(kind: { group: string; version: string; kind: string; schema?: Schema }): Schema | undefined {
  if (kind.schema) return kind.schema;
  const name = definitionOf(kind.group, kind.version, kind.kind);
  return name === undefined ? undefined : definitions[name];
}
