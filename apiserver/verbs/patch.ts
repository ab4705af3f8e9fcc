import { DecodeContext, DecodeError, decoderOfKind } from '../../api/decode.ts';
import { parse as parseYaml } from 'yaml';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { definitionOf } from '../../api/schema.ts';
import { badRequest, modified, StatusError } from '../../api/status.ts';
import { apply } from './apply.ts';
import { goJsonError, reportProblems } from '../body.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import { applyJsonPatch, isRecord, mergePatch, type Json } from '../patch/json.ts';
import { strategicMerge } from '../patch/strategic.ts';
import type { Door, Registry } from '../registry.ts';
import { parseJson } from '../json.ts';
import { applyType, mediaType, writeOptions } from '../write-options.ts';

export const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  applyType,
] as const;

/** PATCH of one object, through its main door or a subresource's. */
export async function patch(registry: Registry, call: Call, door: Door = 'main'): Promise<Answer> {
  const { kind, name, namespace } = call;
  if (mediaType(call) === applyType) return apply(registry, call, door);
  const options = writeOptions(call);
  const change = patcher(call);
  const entry = await registry.update(kind, keyIn(kind, namespace, name), door, options, (current) => {
    const before = current.metadata.resourceVersion;
    const { metadata } = current;
    const kept = { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid };
    const object = clean(change(current as unknown as Json), kind, call);
    object.metadata.uid ??= kept.uid!;
    if (object.metadata.resourceVersion && object.metadata.resourceVersion !== before) throw modified(kind, name);
    return object;
  });
  return { code: 200, kind, entry };
}

/** The function that applies the body of a PATCH to an object. */
export function patcher(call: Call): (object: Json) => Json {
  const { kind } = call;
  switch (mediaType(call)) {
    case 'application/json-patch+json': {
      const patch = parse(call.body);
      return (object) => applyJsonPatch(object, patch);
    }
    case 'application/merge-patch+json': {
      const patch = parseObject(call.body);
      return (object) => mergePatch(object, patch) as Json;
    }
    case 'application/strategic-merge-patch+json': {
      if (kind.schema) throw unsupported(patchTypes.filter((type) => !type.includes('strategic')));
      const patch = parseObject(call.body);
      const definition = definitionOf(kind.group, kind.version, kind.kind);
      return (object) => strategicMerge(object, patch, definition);
    }
    default:
      throw unsupported(patchTypes);
  }
}

const unsupported = (types: readonly string[]): StatusError =>
  new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
  );

function parse(body: Buffer): unknown {
  const text = body.toString();
  try {
    return parseJson(text);
  } catch (error) {
    return parseLoosely(text, error as Error);
  }
}

/** kubectl sends `-p` as it was typed, which may be YAML. */
function parseLoosely(text: string, cause: Error): unknown {
  try {
    const value: unknown = parseYaml(text, { maxAliasCount: 0 });
    if (typeof value === 'object' && value !== null) return parseJson(JSON.stringify(value));
  } catch {
    throw badRequest(`error decoding patch: ${goJsonError(text, cause)}`);
  }
  throw badRequest(`error decoding patch: ${goJsonError(text, cause)}`);
}

function parseObject(body: Buffer): Json {
  const patch = parse(body);
  if (!isRecord(patch))
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${Array.isArray(patch) ? 'array' : typeof patch} into Go value of type map[string]interface {}`,
    );
  return patch;
}

/** Decodes what a patch made, as a body is decoded. */
function clean(value: unknown, kind: Kind, call: Call): KubeObject {
  if (!isRecord(value)) throw badRequest(`the patch made no ${kind.kind} of the object`);
  const { apiVersion, kind: name } = value;
  if (apiVersion !== kind.apiVersion || name !== kind.kind)
    throw badRequest(
      `the patch changes the kind: ${String(apiVersion)} ${String(name)} is no ${kind.apiVersion} ${kind.kind}`,
    );
  const context = new DecodeContext();
  try {
    decoderOfKind(kind)?.(value, context);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw badRequest(`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${error.message}`);
  }
  const problems = [...new Set(context.unknown)].map((path) => `unknown field "${path}"`);
  reportProblems(problems, call);
  if (!isRecord(value['metadata'])) value['metadata'] = {};
  return value as unknown as KubeObject;
}
