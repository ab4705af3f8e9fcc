import { parse as parseYaml, type Tags } from 'yaml';
import { DecodeContext, DecodeError, decoderOf, type Decoder } from '../api/decode.ts';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { definitionOf } from '../api/schema.ts';
import { badRequest, StatusError } from '../api/status.ts';
import { countMembers, findDuplicates, measure } from './duplicates.ts';
import { parseJson } from './json.ts';
import { decodeProtobuf } from './protobuf/decode.ts';
import type { Call } from './call.ts';

export interface Decoded<T> {
  object: T;
  /** What Kubernetes says of unknown and duplicate fields: `unknown field "spec.foo"`. */
  problems: string[];
}

/** The names that a body may carry and the definition that it must follow. */
export interface BodyType {
  group: string;
  version: string;
  kind: string;
  /** OpenAPI definition name; without one, and without a decoder, the body is taken as it is. */
  definition: string | undefined;
  decode?: Decoder | undefined;
  /** Of the same shape, as `group/version`; `any` of options, which come under the version of whatever group they are used with. */
  otherVersions?: 'any' | readonly string[];
}

export const bodyTypeOf = (kind: Kind): BodyType => ({
  group: kind.group,
  version: kind.version,
  kind: kind.kind,
  definition: definitionOf(kind.group, kind.version, kind.kind),
  decode: kind.decode,
});

const maxDepth = 1000;

/** Bytes of a request → a clean object of the expected type, or 400/415 in Kubernetes' words. */
export function decodeBody<T extends KubeObject>(contentType: string, body: Buffer, type: BodyType): Decoded<T> {
  const media = mediaOf(contentType);
  if (media === 'protobuf') {
    const object = decodeProtobuf(body, type);
    checkType(object, type, body);
    return finish<T>(object, type, []);
  }
  const text = body.toString('utf8');
  const parsed = media === 'yaml' ? fromYaml(text, type, body) : fromJson(text, type, body);
  checkType(parsed.value, type, body);
  return finish<T>(parsed.value, type, parsed.duplicates);
}

export function mediaOf(contentType: string): 'json' | 'yaml' | 'protobuf' {
  const media = contentType.split(';')[0]!.trim().toLowerCase();
  switch (media) {
    case '':
    case 'application/json':
    case '*/*':
      return 'json';
    case 'application/yaml':
    case 'application/x-yaml':
    case 'text/yaml':
      return 'yaml';
    case 'application/vnd.kubernetes.protobuf':
      return 'protobuf';
    default:
      throw new StatusError(
        415,
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`,
      );
  }
}

function fromJson(
  text: string,
  type: BodyType,
  body: Buffer,
): { value: Record<string, unknown>; duplicates: string[] } {
  const { depth, members } = measure(text);
  if (depth > maxDepth)
    throw unrecognized(type, "couldn't get version/kind; json parse error: exceeded max depth", body);
  try {
    const value = parseJson(text) as Record<string, unknown>;
    return { value, duplicates: countMembers(value) === members ? [] : findDuplicates(text) };
  } catch (error) {
    throw unrecognized(type, `couldn't get version/kind; json parse error: ${goJsonError(text, error as Error)}`, body);
  }
}

/** Times are text to Kubernetes. */
const withoutTimestamps = (tags: Tags): Tags =>
  tags.filter((tag) => typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:timestamp');

function fromYaml(
  text: string,
  type: BodyType,
  body: Buffer,
): { value: Record<string, unknown>; duplicates: string[] } {
  try {
    const value: unknown = parseYaml(text, {
      version: '1.1',
      maxAliasCount: 100,
      uniqueKeys: true,
      customTags: withoutTimestamps,
    });
    return { value: parseJson(JSON.stringify(value ?? null)) as Record<string, unknown>, duplicates: [] };
  } catch (error) {
    throw unrecognized(type, `error converting YAML to JSON: yaml: ${(error as Error).message.split('\n')[0]}`, body);
  }
}

/** V8's complaint in Go's words. */
export function goJsonError(text: string, error: Error): string {
  if (text.trim() === '' || error.message.includes('end of JSON')) return 'unexpected end of JSON input';
  const position = /position (\d+)/.exec(error.message)?.[1];
  const quoted = /token '?(.)/s.exec(error.message)?.[1];
  const char = position !== undefined ? (text[Number(position)] ?? '') : (quoted ?? text.trim()[0] ?? '');
  return char === '' ? 'unexpected end of JSON input' : `invalid character '${char}' looking for beginning of value`;
}

function unrecognized(type: BodyType, why: string, body: Buffer): StatusError {
  return badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${why} (${summarize(body)})`);
}

function summarize(body: Buffer): string {
  if (body.length === 0) return '<empty>';
  const tail = body.length > 30 ? ' ...' : '';
  const head = body.subarray(0, 30);
  return `${head[0] === 0x7b ? head.toString('utf8') : head.toString('hex')}${tail}`;
}

function checkType(value: unknown, type: BodyType, body: Buffer): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unrecognized(
      type,
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
      body,
    );
  const { apiVersion, kind } = value as { apiVersion?: unknown; kind?: unknown };
  const expected = type.group ? `${type.group}/${type.version}` : type.version;
  const given = apiVersion === undefined || apiVersion === '' ? expected : String(apiVersion);
  if (given !== expected && type.otherVersions !== 'any' && !type.otherVersions?.includes(given))
    throw badRequest(`the API version in the data (${given}) does not match the expected API version (${expected})`);
  if (kind !== undefined && kind !== '' && kind !== type.kind)
    throw badRequest(
      `${String(kind)} in version "${type.version}" cannot be handled as a ${type.kind}: no kind "${String(kind)}" is registered for version "${expected}"`,
    );
}

function finish<T extends KubeObject>(
  value: Record<string, unknown>,
  type: BodyType,
  duplicates: string[],
): Decoded<T> {
  const context = new DecodeContext();
  try {
    const decode = type.decode ?? (type.definition ? decoderOf(type.definition) : undefined);
    decode?.(value, context);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${error.message}`);
  }
  value['kind'] = type.kind;
  value['apiVersion'] = type.group ? `${type.group}/${type.version}` : type.version;
  value['metadata'] ??= {};
  const problems = [
    ...context.unknown.map((path) => `unknown field "${path}"`),
    ...duplicates.map((path) => `duplicate field "${path}"`),
  ];
  return { object: value as unknown as T, problems: [...new Set(problems)] };
}

/** Applies `fieldValidation` to what decoding found: refuses, warns or keeps silent. */
export function reportProblems(problems: readonly string[], { kind, query, warnings }: Call): void {
  const mode = query.get('fieldValidation') || 'Warn';
  if (problems.length === 0 || mode === 'Ignore') return;
  if (mode === 'Strict')
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${problems.join(', ')}`,
    );
  warnings.push(...problems);
}
