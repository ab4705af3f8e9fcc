import protobuf from 'protobufjs/minimal.js';
import { badRequest, StatusError } from '../../api/status.ts';
import {
  extensions,
  fieldsOf,
  isAbsent,
  isListMessage,
  magic,
  messageFor,
  messageOf,
  meta,
  unknownMessage,
  type Field,
} from './fields.ts';

interface BodyType {
  group: string;
  version: string;
  kind: string;
  definition: string | undefined;
}

export const isProtobuf = (body: Buffer): boolean => body.subarray(0, 4).equals(magic);

/** A protobuf body as the object that JSON would have given. */
export function decodeProtobuf(body: Buffer, type: BodyType): Record<string, unknown> {
  if (!isProtobuf(body))
    throw badRequest('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  try {
    const unknown = read(protobuf.Reader.create(body.subarray(4)), unknownMessage) as {
      typeMeta?: { apiVersion?: string; kind?: string };
      raw?: Uint8Array;
    };
    const object = read(protobuf.Reader.create(unknown.raw ?? new Uint8Array()), bodyMessage(type)) as Record<
      string,
      unknown
    >;
    return { ...unknown.typeMeta, ...object };
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw badRequest(`unable to decode protobuf: ${(error as Error).message}`);
  }
}

function bodyMessage({ group, version, kind, definition }: BodyType): string {
  const message = messageOf(definition) ?? messageFor(group, version, kind);
  if (message) return message;
  throw new StatusError(
    415,
    'UnsupportedMediaType',
    `no protobuf form of ${kind} is known: accepted media types include: application/json, application/yaml`,
  );
}

interface Readable extends Field {
  read: (reader: protobuf.Reader) => unknown;
}

const tables = new Map<string, Map<number, Readable>>();

function tableOf(message: string): Map<number, Readable> {
  const known = tables.get(message);
  if (known) return known;
  const table = new Map(fieldsOf(message).map((field) => [field.number, { ...field, read: readerOf(field, message) }]));
  tables.set(message, table);
  return table;
}

const readerOf = ({ type }: Field, message: string): Readable['read'] =>
  message === unknownMessage && type === 'bytes'
    ? (reader) => reader.bytes()
    : (scalars[type] ?? ((reader) => readMessage(reader, type)));

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
  return isListMessage(message) ? ((value as { items?: unknown[] }).items ?? []) : value;
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
      else if (value !== undefined && !isAbsent(field, value)) out[field.name] = value;
    }
  }
  return out;
}

function readMapEntry(reader: protobuf.Reader, field: Readable, out: Record<string, unknown>): void {
  const entry = protobuf.Reader.create(reader.bytes());
  let key = '';
  let value: unknown = '';
  while (entry.pos < entry.len) {
    const tag = entry.uint32();
    if (tag >>> 3 === 1) key = entry.string();
    else if (tag >>> 3 === 2) value = field.read(entry) ?? null;
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
  [`${extensions}.JSON`]: rawJson(1),
  [`${extensions}.JSONSchemaPropsOrArray`]: alternative('JSONSchemaPropsOrArray', 'jSONSchemas'),
  [`${extensions}.JSONSchemaPropsOrBool`]: alternative('JSONSchemaPropsOrBool', 'allows'),
  [`${extensions}.JSONSchemaPropsOrStringArray`]: alternative('JSONSchemaPropsOrStringArray', 'property'),
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

/** A schema, or what stands in its place. */
function alternative(message: string, other: string): (reader: protobuf.Reader) => unknown {
  return (reader) => {
    const { schema, [other]: value } = read(reader, `${extensions}.${message}`);
    return schema ?? value;
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
