import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { definitionOf } from '../../api/schema.ts';
import { decodeProtobuf } from '../../apiserver/protobuf/decode.ts';

/** One recorded request and its answer: test/golden/kubectl/README.md. */
export interface Exchange {
  command: string;
  method: string;
  path: string;
  status: number;
  type?: string;
  accept?: string;
  contentType?: string;
  as?: string;
  body?: string;
  answer?: string;
  cut?: boolean;
}

export function readTrace(version: string): Exchange[] {
  const file = join(import.meta.dirname, '..', 'golden', 'kubectl', `kubectl-${version}.jsonl.gz`);
  return gunzipSync(readFileSync(file))
    .toString()
    .split('\n')
    .map((line) => JSON.parse(line) as Exchange);
}

/** The bytes of a recorded body. */
export const bytesOf = (body: string): Buffer =>
  body.startsWith('base64:') ? Buffer.from(body.slice('base64:'.length), 'base64') : Buffer.from(body);

/** A body as a value, JSON or protobuf; undefined where it is neither. Of JSON that was cut off, what there is. */
export function valueOf(body: Buffer, type: string | undefined): unknown {
  if (type?.startsWith('application/json')) return parseCut(body.toString());
  if (type?.startsWith('application/vnd.kubernetes.protobuf')) return decodeAny(body);
  return undefined;
}

/** Reads the `k8s\0` envelope: TypeMeta comes first in it, `apiVersion` then `kind`. */
function decodeAny(body: Buffer): unknown {
  const text = (at: number): [string, number] => [
    body.subarray(at + 2, at + 2 + body[at + 1]!).toString(),
    at + 2 + body[at + 1]!,
  ];
  const [apiVersion, next] = text(6);
  const [kind] = text(next);
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const definition = definitionOf(group!, version!, kind);
  return decodeProtobuf(body, { group: group!, version: version!, kind, definition });
}

/** JSON that may end anywhere: the last unfinished member is dropped, what is open is closed. */
export function parseCut(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Cut off.
  }
  const open: string[] = [];
  let inText = false;
  let whole = 0;
  let closers = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (inText) {
      if (char === '\\') at += 1;
      else if (char === '"') inText = false;
      continue;
    }
    if (char === '"') inText = true;
    if (char === '{' || char === '[') open.push(char === '{' ? '}' : ']');
    if (char === '}' || char === ']') open.pop();
    if (char === ',' || char === '{' || char === '[') {
      whole = char === ',' ? at : at + 1;
      closers = open.toReversed().join('');
    }
  }
  return JSON.parse(text.slice(0, whole) + closers);
}

/** Everything that differs from one run to the next, in one word each. */
const normalised = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UID')
    .replace(/\b(\d+d)?(\d+h)?(\d+m)?\d+s\b/g, 'AGE')
    .replace(/\b(web|j1|cj1|csvc|app-svc|sa1-token)-[a-z0-9]{5,10}(-[a-z0-9]{5})?\b/g, '$1-GENERATED')
    .replace(/\bkube-api-access-[a-z0-9]{5}\b/g, 'kube-api-access-GENERATED')
    .replace(/pod-template-hash=[a-z0-9]+/g, 'pod-template-hash=GENERATED')
    .replace(/\b10\.\d+\.\d+\.\d+\b/g, 'IP');

/** Values without meaning for a comparison; that they are there still has one. */
const opaque =
  /(^|\.)(resourceVersion|uid|continue|generation|observedGeneration|pod-template-hash|controller-uid|token)$/;

/** `path → value` for every leaf; members of lists go by their name, type or key, else by their place. */
export function leaves(value: unknown, path = ''): Map<string, string> {
  const found = new Map<string, string>();
  if (value === undefined) return found;
  collect(value, path, found);
  return found;
}

function collect(value: unknown, path: string, found: Map<string, string>): void {
  if (Array.isArray(value)) {
    if (value.length === 0) found.set(path, '[]');
    value.forEach((item, at) => collect(item, `${path}[${normalised(keyOf(item) ?? String(at))}]`, found));
  } else if (value !== null && typeof value === 'object') {
    const members = Object.entries(value);
    if (members.length === 0) found.set(path, '{}');
    for (const [name, member] of members) collect(member, path ? `${path}.${name}` : name, found);
  } else found.set(path, opaque.test(path) ? typeof value : normalised(JSON.stringify(value)));
}

function keyOf(item: unknown): string | undefined {
  if (item === null || typeof item !== 'object') return undefined;
  const { name, type, key, manager, operation, subresource, metadata, cells, uid } = item as Record<string, unknown>;
  if (manager !== undefined) return [manager, operation, subresource].filter(Boolean).join(' ');
  if (Array.isArray(cells)) return String(cells[0]);
  if (metadata !== undefined) return keyOf(metadata);
  const word = name ?? type ?? key ?? uid;
  return typeof word === 'string' ? word : undefined;
}
