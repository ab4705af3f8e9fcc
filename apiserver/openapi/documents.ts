import type { StructuralSchema } from '../../api/structural/schema.ts';
import { definitionOf, type Schema } from '../../api/schema.ts';
import { described } from '../../api/schema/descriptions.ts';
import { resourcePath, type Kind, type Subresource } from '../../api/kind.ts';
import { subresourceFacts, verbsOf } from '../subresources/facts.ts';
import { version } from '../version.ts';
import { definitionOfKind, definitionOfList, definitionsWith } from './vocabulary.ts';

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
      definitionOfKind(kind),
      definitionOfList(kind),
      ...kind.subresources.map((subresource) => {
        const {
          group = kind.group,
          version: of = kind.version,
          kind: name = kind.kind,
        } = subresourceFacts(kind, subresource);
        return definitionOf(group, of, name);
      }),
    ])
    .filter((name) => name !== undefined);

/** All definitions that the given ones refer to, themselves included. */
function closure(roots: readonly string[], definitions: Readonly<Record<string, Schema>>): string[] {
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
  const definitions = definitionsWith(kinds);
  const names = closure([...questions(kinds), ...common], definitions);
  return {
    openapi: '3.0.0',
    info,
    paths: pathsOf(kinds, path, 3),
    components: {
      schemas: Object.fromEntries(names.map((name) => [name, schemaV3(described(name, definitions[name]!))])),
    },
  };
}

/** Swagger 2.0 of everything. */
export function documentV2(kinds: readonly Kind[]): Json {
  const definitions = definitionsWith(kinds);
  const names = closure([...questions(kinds), ...common], definitions);
  return {
    swagger: '2.0',
    info,
    paths: pathsOf(kinds, '', 2),
    definitions: Object.fromEntries(names.map((name) => [name, schemaV2(described(name, definitions[name]!))])),
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
  const { default: _default, $ref, allOf, oneOf: _oneOf, ...whole } = schema;
  const rest = withoutV3(whole);
  const ref = $ref ?? allOf?.[0]?.$ref;
  return {
    ...mapChildren(rest, schemaV2),
    ...(ref === undefined ? {} : { $ref: `#/definitions/${ref.slice(refPrefix.length)}` }),
  };
}

/** What Swagger 2.0 cannot say of a structural schema: nothing is said rather than something wrong. */
function withoutV3(schema: Omit<Schema, '$ref'>): Omit<Schema, '$ref'> {
  const { anyOf: _anyOf, not: _not, nullable, ...rest } = schema as StructuralSchema as Omit<StructuralSchema, '$ref'>;
  const known = rest as Omit<Schema, '$ref'>;
  if (nullable || rest['x-kubernetes-int-or-string'] || rest['x-kubernetes-preserve-unknown-fields']) {
    const { type: _type, items: _items, properties: _properties, ...free } = known;
    return free;
  }
  return known;
}

function mapChildren(schema: Omit<Schema, '$ref'>, map: (child: Schema) => Json): Json {
  const out: Json = { ...schema };
  if (schema.properties)
    out['properties'] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, map(child)]),
    );
  if (schema.items) out['items'] = map(schema.items);
  if (typeof schema.additionalProperties === 'object') out['additionalProperties'] = map(schema.additionalProperties);
  return out;
}

type Version = 2 | 3;

/** The methods of a collection, of all namespaces and of one object, by verb. */
const objectVerbs = { get: 'get', update: 'put', patch: 'patch', delete: 'delete' } as const;
const collectionVerbs = { list: 'get', create: 'post', deletecollection: 'delete' } as const;
const actions: Record<string, string> = { create: 'post', update: 'put' };

function pathsOf(kinds: readonly Kind[], _path: string, v: Version): Json {
  const paths: Json = {};
  for (const kind of kinds) {
    const definition = definitionOfKind(kind);
    if (!definition) continue;
    const list = definitionOfList(kind) ?? definition;
    const answers = { list, deletecollection: `${meta}.Status`, delete: `${meta}.Status` } as Record<string, string>;
    const operations = (verbs: Readonly<Record<string, string>>, scope: string) =>
      Object.fromEntries(
        Object.entries(verbs)
          .filter(([verb]) => verbsOf(kind).includes(verb))
          .map(([verb, method]) => [
            method,
            operation(verb, { kind, definition, v, name: scope }, answers[verb] ?? definition),
          ]),
      );
    const scope = kind.namespaced ? 'Namespaced' : '';
    const collection = templated(resourcePath(kind, kind.namespaced ? '{namespace}' : undefined));
    const inPath = kind.namespaced ? ['namespace'] : [];
    const put = (path: string, members: Json, names: readonly string[]) => {
      if (Object.keys(members).length > 0) paths[path] = { ...members, parameters: parameters(v, names) };
    };
    put(collection, operations(collectionVerbs, scope), inPath);
    if (kind.namespaced) put(templated(resourcePath(kind)), operations({ list: 'get' }, 'ForAllNamespaces'), []);
    put(`${collection}/{name}`, operations(objectVerbs, scope), ['name', ...inPath]);
    for (const subresource of kind.subresources)
      put(`${collection}/{name}/${subresource}`, subresourceOperations(kind, subresource, v), ['name', ...inPath]);
  }
  return paths;
}

const methods: Readonly<Record<string, string>> = { ...objectVerbs, create: 'post' };
const connects = new Set(['exec', 'attach', 'portforward', 'proxy']);

function subresourceOperations(kind: Kind, subresource: Subresource, v: Version): Json {
  const facts = subresourceFacts(kind, subresource);
  const { group = kind.group, version: of = kind.version, kind: name = kind.kind } = facts;
  const isConnect = connects.has(subresource);
  const definition = definitionOf(group, of, name) ?? definitionOfKind(kind)!;
  const about = { ...kind, group, version: of, kind: name };
  const word = `${kind.namespaced ? 'Namespaced' : ''}${kind.kind}${subresource[0]!.toUpperCase()}${subresource.slice(1)}`;
  return Object.fromEntries(
    facts.verbs.map((verb) => [
      methods[verb]!,
      isConnect
        ? connectOperation(about, `connect${methods[verb]![0]!.toUpperCase()}${methods[verb]!.slice(1)}${word}`, v)
        : operation(verb, { kind: about, definition, v, name: '', id: `${verb}${word}` }, definition),
    ]),
  );
}

const connectOperation = (kind: Kind, operationId: string, v: Version): Json => ({
  'x-kubernetes-action': 'connect',
  'x-kubernetes-group-version-kind': { group: kind.group, version: kind.version, kind: kind.kind },
  operationId,
  responses: {
    200:
      v === 2
        ? { description: 'OK', schema: { type: 'string' } }
        : { description: 'OK', content: { '*/*': { schema: { type: 'string' } } } },
  },
});

const templated = (path: string): string => path.replaceAll('%7B', '{').replaceAll('%7D', '}');

const writes = new Set(['post', 'put', 'patch']);

interface About {
  kind: Kind;
  definition: string;
  v: Version;
  /** `Namespaced`, `ForAllNamespaces` or nothing. */
  name: string;
  id?: string;
}

function operation(verb: string, { kind, v, definition, name, id }: About, answer: string): Json {
  const action = actions[verb] ?? verb;
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
    operationId: id ?? operationId(verb, kind, name),
    tags: [kind.group ? kind.group.replace(/\W.*/, '') : 'core'],
    ...body,
    parameters: [...queryParameters(v, query), ...((body['parameters'] as Json[] | undefined) ?? [])],
    responses: { 200: answerOf(answer, v) },
  };
}

/** `createCoreV1NamespacedPod`. */
function operationId(verb: string, { group, version: of, kind }: Kind, scope: string): string {
  const word = (text: string) =>
    text.replace(/(^|[^A-Za-z0-9])([a-z0-9])/g, (_, __, first: string) => first.toUpperCase());
  const gv = `${word(group.replace(/\.k8s\.io$/, '') || 'core')}${word(of)}`;
  const [what, names] = verbWords[verb] ?? [verb, scope + kind];
  return scope === 'ForAllNamespaces' ? `list${gv}${kind}ForAllNamespaces` : `${what}${gv}${names || scope + kind}`;
}

const verbWords: Record<string, [word: string, names: string]> = {
  get: ['read', ''],
  update: ['replace', ''],
  deletecollection: ['deleteCollection', ''],
};

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
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
