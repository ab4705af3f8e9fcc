import type { Convert } from './conversion.ts';
import { JSONPath } from 'jsonpath-plus';
import { DecodeContext, decoderOf, type Decoder } from '../../api/decode.ts';
import { age } from '../../api/age.ts';
import { ageColumn, nameColumn } from '../../api/columns.ts';
import { kind as makeKind, type Column, type Kind, type Subresource } from '../../api/kind.ts';
import type {
  CustomColumn,
  CustomResourceDefinition,
  CustomVersion,
} from '../../api/kinds/custom-resource-definition.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Schema } from '../../api/schema.ts';
import { dropNulls, fillDefaults } from '../../api/structural/defaults.ts';
import { prune } from '../../api/structural/prune.ts';
import { hasRules, validateByRules } from '../../api/structural/rules.ts';
import type { StructuralSchema } from '../../api/structural/schema.ts';
import { validateBySchema } from '../../api/structural/validate.ts';
import { compareVersions } from '../aggregation/priorities.ts';

const metaDefinition = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** The kinds of a definition: that of the stored version first, then the others that are served. */
export function customKinds(crd: Readonly<CustomResourceDefinition>, convert: Convert): Kind[] {
  const { versions } = crd.spec;
  const stored = versions.find(({ storage }) => storage)!;
  const kind = restoring(crd, stored, convert);
  const others = versions.filter((version) => version !== stored && version.served);
  return [kind, ...others.map((version) => otherVersion(customKind(crd, version), kind, convert))];
}

/** A version whose objects are kept in another one. */
const otherVersion = (kind: Kind, stored: Kind, convert: Convert): Kind => ({
  ...kind,
  storage: { kind: stored, toStored: conversionTo(stored, convert), fromStored: conversionTo(kind, convert) },
});

/** The stored version: objects that were written before it was, or before its schema had defaults, are shown as it has them. */
function restoring(crd: Readonly<CustomResourceDefinition>, version: CustomVersion, convert: Convert): Kind {
  const kind = customKind(crd, version);
  const wasAlwaysStored = (crd.status?.storedVersions ?? []).every((name) => name === version.name);
  const hasDefaults = JSON.stringify(version.schema ?? {}).includes('"default":');
  return wasAlwaysStored && !hasDefaults ? kind : { ...kind, restore: conversionTo(kind, convert) };
}

const conversionTo = (target: Kind, convert: Convert) => async (objects: KubeObject[]) => {
  const converted = await convert(objects, target.apiVersion);
  for (const object of converted) {
    target.decode?.(object, new DecodeContext());
    target.defaults?.(object);
  }
  return converted;
};

/** The kind that one version of a CustomResourceDefinition declares: the same object that a built-in kind is. */
export function customKind(crd: Readonly<CustomResourceDefinition>, version: CustomVersion): Kind {
  const { spec } = crd;
  const { names } = spec;
  const schema = version.schema?.openAPIV3Schema ?? { type: 'object' };
  const { status, scale } = version.subresources ?? {};
  const asSeen = (object: KubeObject) => shown(object, crd, version);
  const subresources: Subresource[] = [...(status ? ['status' as const] : []), ...(scale ? ['scale' as const] : [])];
  return makeKind<KubeObject>({
    group: spec.group,
    version: version.name,
    kind: names.kind,
    plural: names.plural,
    ...(names.singular ? { singular: names.singular } : {}),
    ...(names.listKind ? { listKind: names.listKind } : {}),
    short: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    subresources,
    schema: publishedSchema(schema),
    decode: decoderFor(schema),
    defaults: (object) => {
      fillDefaults(object, schema);
      dropNulls(object, schema);
    },
    validate: (object, old) => withoutPrefix(validateBySchema(asSeen(object), schema, '', old && asSeen(old))),
    ...rulesOf(schema),
    prepareStatus: keepMetadata,
    columns: columnsOf(version.additionalPrinterColumns),
    ...(version.selectableFields?.length ? { selectableFields: selectable(version.selectableFields) } : {}),
    ...(version.deprecated ? { deprecation: version.deprecationWarning ?? deprecationOf(crd, version.name) } : {}),
    ...(scale
      ? {
          scale: {
            replicas: members(scale.specReplicasPath),
            current: members(scale.statusReplicasPath),
            selector: scale.labelSelectorPath ? members(scale.labelSelectorPath) : undefined,
          },
        }
      : {}),
    ...(crd.metadata.deletionTimestamp
      ? { closed: 'create not allowed while custom resource definition is terminating' }
      : {}),
    unconditionalUpdate: false,
    createOnUpdate: false,
  });
}

/** Through /status nothing of metadata is changed either, unlike that of built-in kinds; who owns what is noted there. */
function keepMetadata(object: KubeObject, old: KubeObject): void {
  const { managedFields } = object.metadata;
  const { managedFields: _managedFields, resourceVersion: _resourceVersion, ...kept } = old.metadata;
  object.metadata = { ...structuredClone(kept), ...(managedFields ? { managedFields } : {}) };
}

/** Names the version to use instead, if there is one that clients would prefer. */
function deprecationOf({ spec }: CustomResourceDefinition, version: string): string {
  const [better] = spec.versions
    .filter((one) => one.served && !one.deprecated && compareVersions(one.name, version) < 0)
    .map(({ name }) => name)
    .sort(compareVersions);
  const named = (of: string) => `${spec.group}/${of} ${spec.names.kind}`;
  return `${named(version)} is deprecated${better === undefined ? '' : `; use ${named(better)}`}`;
}

/** `.spec.replicas` → spec, replicas. */
const members = (path: string): string[] => path.split('.').filter(Boolean);

/** metadata is checked as every object's is; what the schema says of it may only narrow names. */
const shown = (object: KubeObject, crd: Readonly<CustomResourceDefinition>, version: CustomVersion): object => {
  const { name, generateName } = object.metadata;
  return {
    ...{ apiVersion: `${crd.spec.group}/${version.name}`, kind: crd.spec.names.kind, ...object },
    metadata: { ...(name ? { name } : {}), ...(generateName ? { generateName } : {}) },
  };
};

const withoutPrefix = <T extends { field: string; detail: string }>(errors: T[]): T[] =>
  errors.map((error) => (error.field === '' ? { ...error, field: '<nil>', detail: error.detail.trimStart() } : error));

function rulesOf(schema: StructuralSchema): Partial<Kind> {
  if (!hasRules(schema)) return {};
  return { validateRules: (object, old) => withoutPrefix(validateByRules(object, old, withMeta(schema), '')) };
}

/** Rules may look at the name and the kind of the object, whatever the schema says of them. */
const withMeta = (schema: StructuralSchema): StructuralSchema => ({
  ...schema,
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object', properties: { name: { type: 'string' }, generateName: { type: 'string' } } },
    ...schema.properties,
  },
});

/** Metadata is decoded as everywhere; of the rest, what the schema does not know goes and is told. */
function decoderFor(schema: StructuralSchema): Decoder {
  const meta = decoderOf(metaDefinition);
  return (value, context) => {
    const object = value as KubeObject;
    if (object.metadata !== undefined && object.metadata !== null) {
      const own = new DecodeContext();
      own.path.push('metadata');
      meta(object.metadata, own);
      context.unknown.push(...own.unknown);
    }
    context.unknown.push(...prune(object, schema));
    return object;
  };
}

/** The schema as OpenAPI and apply see it: with the members that every object has. */
function publishedSchema(schema: StructuralSchema): Schema {
  const root = schema as Schema;
  return {
    ...root,
    properties: {
      ...root.properties,
      apiVersion: {
        type: 'string',
        description: 'APIVersion defines which schema the object is written in: group/version.',
      },
      kind: { type: 'string', description: 'Kind says which resource of the group the object is one of.' },
      metadata: {
        $ref: `#/components/schemas/${metaDefinition}`,
        default: {},
        description: "Standard object's metadata: its name, namespace, labels and what else every object has.",
      },
    },
  };
}

function columnsOf(columns: CustomColumn[] | undefined): Column<KubeObject>[] {
  if (!columns?.length) return [nameColumn, { ...ageColumn, type: 'date' }];
  return [nameColumn, ...columns.map(columnOf)];
}

function columnOf({ name, type, jsonPath, format, description, priority }: CustomColumn): Column<KubeObject> {
  return {
    name,
    type: type as NonNullable<Column<KubeObject>['type']>,
    ...(format ? { format } : {}),
    description: description ?? `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    ...(priority ? { priority } : {}),
    value: (object, now) => cell(at(object, jsonPath), type, now),
  };
}

/** What a Kubernetes JSONPath (`.status.conditions[?(@.type=="Ready")].status`) finds first. */
function at(object: Readonly<KubeObject>, path: string): unknown {
  const simple = /^(\.[A-Za-z_][\w-]*)+$/.test(path);
  if (simple)
    return members(path).reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined,
      object,
    );
  try {
    const found: unknown[] = JSONPath({
      path: `$${path.replace(/\\\./g, '.')}`,
      json: object,
      eval: 'safe',
      wrap: true,
    }) as unknown[];
    return found.length > 1 && path.includes('*') ? found : found[0];
  } catch {
    // A path that cannot be followed in this object shows nothing, as in kubectl's own columns.
    return undefined;
  }
}

function cell(value: unknown, type: string, now: number): string | number | boolean | null {
  if (value === undefined || value === null) return null;
  if (type === 'date') return typeof value === 'string' ? age(value, now) : null;
  if (type === 'integer') return typeof value === 'number' ? Math.trunc(value) : null;
  if (type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
}

function selectable(fields: readonly { jsonPath: string }[]): Record<string, (object: KubeObject) => string> {
  return Object.fromEntries(
    fields.map(({ jsonPath }) => [
      jsonPath.slice(1),
      (object: KubeObject) => {
        const value = at(object, jsonPath);
        return value === undefined || value === null ? '' : String(value as string | number | boolean);
      },
    ]),
  );
}
