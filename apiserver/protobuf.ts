import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs/minimal.js';
import { definitions, type Schema } from '../api/schema.ts';
import { badRequest, StatusError } from '../api/status.ts';

/**
 * `application/vnd.kubernetes.protobuf`: the four bytes `k8s\0`, then a runtime.Unknown whose `raw` is the object.
 * Messages are read by tables of field numbers; the JSON shape follows the OpenAPI definition of the same name.
 */
type FieldFact = [number: number, name: string, type: string, label: 'optional' | 'repeated' | 'required'];

const facts = JSON.parse(readFileSync(new URL('../api/schema/protobuf-facts.json', import.meta.url), 'utf8')) as Record<
  string,
  FieldFact[]
>;

const magic = Buffer.from('k8s\0');
const meta = 'k8s.io.apimachinery.pkg.apis.meta.v1';
const unknownMessage = 'k8s.io.apimachinery.pkg.runtime.Unknown';

/** The message of a kind, for `apps/v1` and `Deployment`: `k8s.io.api.apps.v1.Deployment`. */
function messageOf(type: { group: string; version: string; kind: string; definition: string | undefined }): string {
  const { definition, kind } = type;
  if (definition && facts[`k8s.io${definition.slice('io.k8s'.length)}`])
    return `k8s.io${definition.slice('io.k8s'.length)}`;
  if (facts[`${meta}.${kind}`]) return `${meta}.${kind}`;
  throw badRequest(`no protobuf form of ${kind} is known; send JSON`);
}

export const isProtobuf = (body: Buffer): boolean => body.subarray(0, 4).equals(magic);

/** A protobuf body as the object that JSON would have given. */
export function decodeProtobuf(
  body: Buffer,
  type: { group: string; version: string; kind: string; definition: string | undefined },
): Record<string, unknown> {
  if (!isProtobuf(body))
    throw badRequest('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  try {
    const unknown = read(protobuf.Reader.create(body.subarray(4)), unknownMessage) as {
      typeMeta?: { apiVersion?: string; kind?: string };
      raw?: Uint8Array;
    };
    const object = read(protobuf.Reader.create(unknown.raw ?? new Uint8Array()), messageOf(type)) as Record<
      string,
      unknown
    >;
    return { ...unknown.typeMeta, ...object };
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw badRequest(`unable to decode protobuf: ${(error as Error).message}`);
  }
}

interface Field {
  name: string;
  repeated: boolean;
  /** Members go into the parent: Go's embedded structs. */
  inline: boolean;
  map: boolean;
  read: (reader: protobuf.Reader) => unknown;
  /** What Go would have left out of JSON. */
  isZero: (value: unknown) => boolean;
}

const tables = new Map<string, Map<number, Field>>();

function tableOf(message: string): Map<number, Field> {
  const known = tables.get(message);
  if (known) return known;
  const table = new Map<number, Field>();
  tables.set(message, table);
  const definition = definitions[message.replace(/^k8s\.io\./, 'io.k8s.')];
  for (const fact of facts[message] ?? []) table.set(fact[0], fieldOf(fact, message, definition));
  return table;
}

function fieldOf([, name, type, label]: FieldFact, message: string, definition: Schema | undefined): Field {
  const map = type.startsWith('map<');
  const valueType = map ? type.slice('map<string,'.length, -1) : type;
  const scalar = scalars[valueType];
  const target = scalar ? valueType : absolute(valueType, message);
  const known = definition?.properties;
  const jsonName = jsonNameOf(name, known);
  const inline =
    !scalar && !map && known !== undefined && !Object.hasOwn(known, jsonName) && message !== unknownMessage;
  const isPointerless = droppedZeros.has(name);
  return {
    name: jsonName,
    repeated: label === 'repeated',
    map,
    inline,
    read:
      message === unknownMessage && valueType === 'bytes'
        ? (reader) => reader.bytes()
        : (scalar ?? ((reader) => readMessage(reader, target))),
    isZero: (value) => value === '' || ((value === 0 || value === false) && isPointerless),
  };
}

/** A few fields are spelt otherwise in protobuf: `Webhooks`, `uID`. */
function jsonNameOf(name: string, known: Schema['properties']): string {
  if (names[name]) return names[name];
  if (!known || Object.hasOwn(known, name)) return name;
  return Object.keys(known).find((key) => key.toLowerCase() === name.toLowerCase()) ?? name;
}

const names: Record<string, string> = { Raw: 'raw', xRef: '$ref', xSchema: '$schema' };

/** Numbers and booleans that are no pointers in Go: protobuf always carries them, JSON leaves their zero out. */
const droppedZeros = new Set(
  `generation hostNetwork hostPID hostIPC stdin stdinOnce tty readOnly hostPort nodePort initialDelaySeconds timeoutSeconds
   periodSeconds successThreshold failureThreshold minReadySeconds paused publishNotReadyAddresses unschedulable
   observedGeneration healthCheckNodePort count orphan force`.split(/\s+/),
);

const absolute = (type: string, message: string): string =>
  type.startsWith('.') ? type.slice(1) : `${message.slice(0, message.lastIndexOf('.'))}.${type}`;

const scalars: Record<string, (reader: protobuf.Reader) => unknown> = {
  string: (reader) => reader.string(),
  bool: (reader) => reader.bool(),
  int32: (reader) => reader.int32(),
  int64: (reader) => Number(reader.int64()),
  double: (reader) => reader.double(),
  bytes: (reader) => Buffer.from(reader.bytes()).toString('base64'),
};

function readMessage(reader: protobuf.Reader, message: string): unknown {
  const inner = protobuf.Reader.create(reader.bytes());
  const special = specials[message];
  if (special) return special(inner);
  const value = read(inner, message);
  return message.endsWith('.ExtraValue') || message.endsWith('.Verbs')
    ? ((value as { items?: unknown[] }).items ?? [])
    : value;
}

function read(reader: protobuf.Reader, message: string): Record<string, unknown> {
  const table = tableOf(message);
  const out: Record<string, unknown> = {};
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = table.get(tag >>> 3);
    if (!field) {
      reader.skipType(tag & 7);
      continue;
    }
    if (field.map) readMapEntry(reader, field, out);
    else {
      const value = field.read(reader);
      if (field.repeated) ((out[field.name] ??= []) as unknown[]).push(value);
      else if (field.inline) Object.assign(out, value);
      else if (value !== undefined && !field.isZero(value)) out[field.name] = value;
    }
  }
  return out;
}

function readMapEntry(reader: protobuf.Reader, field: Field, out: Record<string, unknown>): void {
  const entry = protobuf.Reader.create(reader.bytes());
  let key = '';
  let value: unknown = '';
  while (entry.pos < entry.len) {
    const tag = entry.uint32();
    if (tag >>> 3 === 1) key = entry.string();
    else if (tag >>> 3 === 2) value = field.read(entry);
    else entry.skipType(tag & 7);
  }
  const map = (out[field.name] ??= {}) as object;
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Messages whose JSON form is not an object of their fields. */
const specials: Record<string, (reader: protobuf.Reader) => unknown> = {
  [`${meta}.Time`]: (reader) => time(reader, `${meta}.Time`, 0),
  [`${meta}.MicroTime`]: (reader) => time(reader, `${meta}.MicroTime`, 6),
  [`${meta}.Duration`]: (reader) => read(reader, `${meta}.Duration`)['duration'],
  [`${meta}.FieldsV1`]: rawJson(1),
  'k8s.io.apimachinery.pkg.runtime.RawExtension': rawJson(1),
  'k8s.io.apimachinery.pkg.api.resource.Quantity': (reader) => firstString(reader),
  'k8s.io.apimachinery.pkg.util.intstr.IntOrString': intOrString,
};

function time(reader: protobuf.Reader, message: string, digits: number): string | undefined {
  const { seconds = 0, nanos = 0 } = read(reader, message) as { seconds?: number; nanos?: number };
  if (seconds === 0 && nanos === 0) return undefined;
  const fraction = digits === 0 ? '' : `.${String(nanos).padStart(9, '0').slice(0, digits)}`;
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, `${fraction}Z`);
}

function rawJson(field: number): (reader: protobuf.Reader) => unknown {
  return (reader) => {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag >>> 3 === field) return JSON.parse(Buffer.from(reader.bytes()).toString() || 'null') as unknown;
      reader.skipType(tag & 7);
    }
    return undefined;
  };
}

function firstString(reader: protobuf.Reader): string {
  let text = '0';
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) text = reader.string();
    else reader.skipType(tag & 7);
  }
  return text;
}

function intOrString(reader: protobuf.Reader): number | string {
  let type = 0;
  let number = 0;
  let text = '';
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) type = Number(reader.int64());
    else if (tag >>> 3 === 2) number = reader.int32();
    else if (tag >>> 3 === 3) text = reader.string();
    else reader.skipType(tag & 7);
  }
  return type === 1 ? text : number;
}
