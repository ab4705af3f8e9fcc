import protobuf from 'protobufjs/minimal.js';
import { extensions, fieldsOf, isListMessage, magic, meta, scalars, type Field } from './fields.ts';

const { Writer } = protobuf;
type Writer = protobuf.Writer;

/** Objects as Kubernetes' protobuf: the inverse of decode.ts. Writers are made once for each message. */
type Write = (writer: Writer, value: unknown) => void;

/** An object as the bytes of its message, without envelope. */
export function encodeMessage(object: unknown, message: string): Buffer {
  const writer = Writer.create();
  members(message)(writer, object);
  return asBuffer(writer.finish());
}

/** What goes before the bytes of an object, so that together they are a body; they must be `length` long. */
export function envelope(apiVersion: string, kind: string, length: number): Buffer {
  const writer = Writer.create();
  writer.uint32(tag(1, 2)).fork();
  writer.uint32(tag(1, 2)).string(apiVersion).uint32(tag(2, 2)).string(kind).ldelim();
  writer.uint32(tag(2, 2)).uint32(length);
  return Buffer.concat([magic, writer.finish()]);
}

/** The head of a list's item, which must be `length` long. */
export const itemHead = (length: number): Buffer => asBuffer(Writer.create().uint32(tag(2, 2)).uint32(length).finish());

/** The metadata of a list: its first field. */
export function listHead(metadata: unknown): Buffer {
  const writer = Writer.create();
  writer.uint32(tag(1, 2)).fork();
  members(`${meta}.ListMeta`)(writer, metadata);
  return asBuffer(writer.ldelim().finish());
}

/** One frame of a watch: its length in four bytes, then a WatchEvent around a whole body. */
export function watchFrame(type: string, body: Buffer): Buffer {
  const writer = Writer.create();
  writer.uint32(tag(1, 2)).string(type);
  writer.uint32(tag(2, 2)).fork().uint32(tag(1, 2)).bytes(body).ldelim();
  const event = writer.finish();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(event.length);
  return Buffer.concat([length, event]);
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const tag = (number: number, wire: number): number => ((number << 3) | wire) >>> 0;

const compiled = new Map<string, Write>();

/** Writes the fields of a message, without its length. */
function members(message: string): Write {
  const known = compiled.get(message);
  if (known) return known;
  let target: Write | undefined = undefined as Write | undefined;
  // Messages may contain themselves: hand out a door that is filled below.
  compiled.set(message, (writer, value) => target!(writer, value));
  target = specials[message] ?? (isListMessage(message) ? listOf : structOf(message));
  compiled.set(message, target);
  return target;
}

const listOf: Write = (writer, value) => {
  for (const item of value as string[]) writer.uint32(tag(1, 2)).string(item);
};

function structOf(message: string): Write {
  const fields = fieldsOf(message).map((field) => ({ field, write: fieldWriter(field) }));
  return (writer, value) => {
    const object = value as Record<string, unknown>;
    for (const { field, write } of fields) {
      const member = field.inline ? object : object[field.name];
      if (member !== undefined && member !== null) write(writer, member);
    }
  };
}

function fieldWriter(field: Field): Write {
  const one = single(field);
  if (field.inline) return inlineWriter(field, one);
  if (field.map) return mapWriter(field);
  if (!field.repeated) return one;
  return (writer, value) => {
    for (const item of value as unknown[]) one(writer, item);
  };
}

/** An embedded struct is there when one of its members is. */
function inlineWriter({ type }: Field, write: Write): Write {
  const names = new Set(fieldsOf(type).flatMap(namesIn));
  return (writer, value) => {
    for (const name in value as object)
      if (names.has(name)) {
        write(writer, value);
        return;
      }
  };
}

const namesIn = (field: Field): string[] => (field.inline ? fieldsOf(field.type).flatMap(namesIn) : [field.name]);

function mapWriter({ number, type }: Field): Write {
  const write = single({ number: 2, type });
  return (writer, value) => {
    const entries = Object.entries(value as object);
    for (const [key, item] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.uint32(tag(number, 2)).fork().uint32(tag(1, 2)).string(key);
      write(writer, item);
      writer.ldelim();
    }
  };
}

/** One value with its tag. */
function single({ number, type }: Pick<Field, 'number' | 'type'>): Write {
  if (!scalars.has(type)) {
    const write = members(type);
    return (writer, value) => {
      writer.uint32(tag(number, 2)).fork();
      write(writer, value);
      writer.ldelim();
    };
  }
  const [wire, write] = scalarWriters[type]!;
  return (writer, value) => {
    writer.uint32(tag(number, wire));
    write(writer, value);
  };
}

const scalarWriters: Record<string, [wire: number, write: Write]> = {
  string: [2, (writer, value) => void writer.string(value as string)],
  bool: [0, (writer, value) => void writer.bool(value as boolean)],
  int32: [0, (writer, value) => void writer.int32(value as number)],
  int64: [0, (writer, value) => void writer.int64(value as number)],
  double: [1, (writer, value) => void writer.double(value as number)],
  bytes: [2, (writer, value) => void writer.bytes(Buffer.from(value as string, 'base64'))],
};

const time: Write = (writer, value) => {
  const text = value as string;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return;
  const nanos = Number((/\.(\d+)/.exec(text)?.[1] ?? '').padEnd(9, '0').slice(0, 9));
  writer
    .uint32(tag(1, 0))
    .int64(Math.floor(ms / 1000))
    .uint32(tag(2, 0))
    .int32(nanos);
};

/** A schema, or what may stand in its place. */
const schemaOr =
  (schemaField: number, other: (writer: Writer, value: never) => void): Write =>
  (writer, value) => {
    if (typeof value !== 'object' || Array.isArray(value)) return other(writer, value as never);
    if (schemaField === 2) writer.uint32(tag(1, 0)).bool(true);
    writer.uint32(tag(schemaField, 2)).fork();
    members(`${extensions}.JSONSchemaProps`)(writer, value);
    writer.ldelim();
  };

const schemas = (writer: Writer, value: readonly unknown[]): void => {
  for (const item of value) {
    writer.uint32(tag(2, 2)).fork();
    members(`${extensions}.JSONSchemaProps`)(writer, item);
    writer.ldelim();
  }
};

const rawJson: Write = (writer, value) => void writer.uint32(tag(1, 2)).string(JSON.stringify(value));

/** Messages whose JSON form is not an object of their fields. */
const specials: Record<string, Write> = {
  [`${meta}.Time`]: time,
  [`${meta}.MicroTime`]: time,
  [`${meta}.FieldsV1`]: rawJson,
  [`${extensions}.JSON`]: rawJson,
  [`${extensions}.JSONSchemaPropsOrArray`]: schemaOr(1, schemas),
  [`${extensions}.JSONSchemaPropsOrBool`]: schemaOr(
    2,
    (writer, value: boolean) => void writer.uint32(tag(1, 0)).bool(value),
  ),
  [`${extensions}.JSONSchemaPropsOrStringArray`]: schemaOr(1, (writer, value: readonly string[]) => {
    for (const item of value) writer.uint32(tag(2, 2)).string(item);
  }),
  'k8s.io.apimachinery.pkg.runtime.RawExtension': rawJson,
  'k8s.io.apimachinery.pkg.api.resource.Quantity': (writer, value) =>
    void writer.uint32(tag(1, 2)).string(String(value)),
  'k8s.io.apimachinery.pkg.util.intstr.IntOrString': (writer, value) => {
    if (typeof value === 'number') writer.uint32(tag(1, 0)).int64(0).uint32(tag(2, 0)).int32(value);
    else
      writer
        .uint32(tag(1, 0))
        .int64(1)
        .uint32(tag(3, 2))
        .string(value as string);
  },
};
