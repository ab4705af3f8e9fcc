import { definitionOf, definitions, type Schema } from '../../api/schema.ts';
import { resourcePath, type Kind } from '../../api/kind.ts';
import { version } from '../version.ts';

export type Json = { [member: string]: unknown };

const info = { title: 'Kubernetes', version: version.gitVersion.replace(/\+.*/, '') };
const refPrefix = '#/components/schemas/';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const common = [
  `${meta}.DeleteOptions`,
  `${meta}.Status`,
  `${meta}.APIResourceList`,
  `${meta}.WatchEvent`,
  `${meta}.Patch`,
];

const questions = (kinds: readonly Kind[]): string[] =>
  kinds
    .flatMap((kind) => [
      ...[kind.kind, kind.listKind].map((name) => definitionOf(kind.group, kind.version, name)),
      ...(kind.subresources.includes('scale') ? ['io.k8s.api.autoscaling.v1.Scale'] : []),
      ...(kind.subresources.includes('eviction') ? ['io.k8s.api.policy.v1.Eviction'] : []),
      ...(kind.subresources.includes('token') ? ['io.k8s.api.authentication.v1.TokenRequest'] : []),
      ...(kind.subresources.includes('binding') ? ['io.k8s.api.core.v1.Binding'] : []),
    ])
    .filter((name) => name !== undefined);

/** All definitions that the given ones refer to, themselves included. */
function closure(roots: readonly string[]): string[] {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name) || !definitions[name]) return;
    seen.add(name);
    for (const ref of JSON.stringify(definitions[name]).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) visit(ref[1]!);
  };
  roots.forEach(visit);
  return [...seen].sort();
}

/** OpenAPI v3 of one group version. */
export function documentV3(kinds: readonly Kind[], path: string): Json {
  const names = closure([...questions(kinds), ...common]);
  return {
    openapi: '3.0.0',
    info,
    paths: pathsOf(kinds, path, 3),
    components: { schemas: Object.fromEntries(names.map((name) => [name, schemaV3(definitions[name]!)])) },
  };
}

/** Swagger 2.0 of everything. */
export function documentV2(kinds: readonly Kind[]): Json {
  const names = closure([...questions(kinds), ...common]);
  return {
    swagger: '2.0',
    info,
    paths: pathsOf(kinds, '', 2),
    definitions: Object.fromEntries(names.map((name) => [name, schemaV2(definitions[name]!)])),
  };
}

function schemaV3(schema: Schema): Json {
  const { 'x-kubernetes-v2-schema': _v2, $ref, ...rest } = schema;
  const out = mapChildren(rest, schemaV3);
  if ($ref === undefined) return out;
  return Object.keys(out).length === 0 ? { $ref } : { allOf: [{ $ref }], ...out };
}

function schemaV2(schema: Schema): Json {
  const given = schema['x-kubernetes-v2-schema'];
  if (given) return { ...given };
  const { default: _default, $ref, allOf, oneOf: _oneOf, ...rest } = schema;
  const ref = $ref ?? allOf?.[0]?.$ref;
  return {
    ...mapChildren(rest, schemaV2),
    ...(ref === undefined ? {} : { $ref: `#/definitions/${ref.slice(refPrefix.length)}` }),
  };
}

function mapChildren(schema: Omit<Schema, '$ref'>, map: (child: Schema) => Json): Json {
  const out: Json = { ...schema };
  if (schema.properties)
    out['properties'] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, map(child)]),
    );
  if (schema.items) out['items'] = map(schema.items);
  if (schema.additionalProperties) out['additionalProperties'] = map(schema.additionalProperties);
  return out;
}

type Version = 2 | 3;

function pathsOf(kinds: readonly Kind[], _path: string, v: Version): Json {
  const paths: Json = {};
  for (const kind of kinds) {
    const definition = definitionOf(kind.group, kind.version, kind.kind);
    if (!definition) continue;
    const listDefinition = definitionOf(kind.group, kind.version, kind.listKind) ?? definition;
    const one = { kind, definition, v };
    const collection = templated(resourcePath(kind, kind.namespaced ? '{namespace}' : undefined));
    if (kind.question) {
      paths[collection] = {
        post: operation('post', one, definition),
        parameters: parameters(v, kind.namespaced ? ['namespace'] : []),
      };
      continue;
    }
    paths[collection] = {
      get: operation('list', one, listDefinition),
      post: operation('post', one, definition),
      delete: operation('deletecollection', one, `${meta}.Status`),
      parameters: parameters(v, kind.namespaced ? ['namespace'] : []),
    };
    if (kind.namespaced) paths[templated(resourcePath(kind))] = { get: operation('list', one, listDefinition) };
    const object = `${collection}/{name}`;
    const inPath = kind.namespaced ? ['name', 'namespace'] : ['name'];
    paths[object] = {
      get: operation('get', one, definition),
      put: operation('put', one, definition),
      patch: operation('patch', one, definition),
      delete: operation('delete', one, `${meta}.Status`),
      parameters: parameters(v, inPath),
    };
    if (kind.subresources.includes('status'))
      paths[`${object}/status`] = {
        get: operation('get', one, definition),
        put: operation('put', one, definition),
        patch: operation('patch', one, definition),
        parameters: parameters(v, inPath),
      };
  }
  return paths;
}

const templated = (path: string): string => path.replaceAll('%7B', '{').replaceAll('%7D', '}');

const writes = new Set(['post', 'put', 'patch']);

function operation(
  action: string,
  { kind, v, definition }: { kind: Kind; definition: string; v: Version },
  answer: string,
): Json {
  const isWrite = writes.has(action);
  const query = [
    ...(isWrite || action.startsWith('delete') ? ['dryRun'] : []),
    ...(isWrite ? ['fieldManager', 'fieldValidation'] : []),
    ...(action === 'patch' ? ['force'] : []),
  ];
  const body = isWrite ? bodyOf(action, definition, v) : {};
  return {
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group: kind.group, version: kind.version, kind: kind.kind },
    operationId: `${action}${kind.kind}`,
    tags: [kind.group ? kind.group.replace(/\W.*/, '') : 'core'],
    ...body,
    parameters: [...queryParameters(v, query), ...((body['parameters'] as Json[] | undefined) ?? [])],
    responses: { 200: answerOf(answer, v) },
  };
}

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

function bodyOf(action: string, definition: string, v: Version): Json {
  const shown = action === 'patch' ? `${meta}.Patch` : definition;
  const types = action === 'patch' ? patchTypes : ['*/*'];
  if (v === 2)
    return {
      consumes: types,
      parameters: [{ name: 'body', in: 'body', required: true, schema: { $ref: `#/definitions/${shown}` } }],
    };
  const schema = { $ref: refPrefix + shown };
  return { requestBody: { required: true, content: Object.fromEntries(types.map((type) => [type, { schema }])) } };
}

const answerOf = (definition: string, v: Version): Json =>
  v === 2
    ? { description: 'OK', schema: { $ref: `#/definitions/${definition}` } }
    : { description: 'OK', content: { 'application/json': { schema: { $ref: refPrefix + definition } } } };

const typed = (v: Version, type: string): Json =>
  v === 2 ? { type, uniqueItems: true } : { schema: { type, uniqueItems: true } };

const queryParameters = (v: Version, names: readonly string[]): Json[] =>
  names.map((name) => ({ name, in: 'query', ...typed(v, name === 'force' ? 'boolean' : 'string') }));

const parameters = (v: Version, names: readonly string[]): Json[] =>
  names.map((name) => ({ name, in: 'path', required: true, ...typed(v, 'string') }));
