/** The binary encoding: proto2 on the wire, plain objects in memory. */
import { Reader, Writer } from 'protobufjs';
import { maxDepth, type Field, type Shape } from './schema.ts';

type Message = Record<string, unknown>;

const varint = 0;
const fixed64 = 1;
const delimited = 2;
const fixed32 = 5;

export function fromProtobuf(shape: Shape, bytes: Uint8Array): Message {
  const reader = Reader.create(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return readMessage(shape, reader, reader.len, {}, 0);
}

function readMessage(shape: Shape, reader: Reader, end: number, out: Message, depth: number): Message {
  if (depth > maxDepth) throw new Error('nested too deeply');
  while (reader.pos < end) {
    const tag = reader.uint32();
    const wire = tag & 7;
    const field = shape.byId.get(tag >>> 3);
    if (field?.map && wire === delimited) readEntry(field, reader, out, depth);
    else if (field && wire === wireType(field)) store(field, readOne(field, reader, out, depth), out);
    else if (field?.repeated && wire === delimited) readPacked(field, reader, out, depth);
    else reader.skipType(wire);
  }
  if (reader.pos !== end) throw new Error('a field reaches over the end of its message');
  return out;
}

function store(field: Field, value: unknown, out: Message): void {
  if (value === undefined) return;
  if (field.repeated) ((out[field.name] ??= []) as unknown[]).push(value);
  else out[field.name] = value;
}

function readPacked(field: Field, reader: Reader, out: Message, depth: number): void {
  const end = length(reader);
  while (reader.pos < end) store(field, readOne(field, reader, out, depth), out);
}

function readEntry(field: Field, reader: Reader, out: Message, depth: number): void {
  const end = length(reader);
  let key = '';
  let value: unknown;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readOne(field, reader, {}, depth);
    else reader.skipType(tag & 7);
  }
  value ??= field.kind === 'message' ? {} : undefined;
  if (value === undefined) return;
  out[field.name] = Object.fromEntries([...Object.entries((out[field.name] ?? {}) as Message), [key, value]]);
}

function readOne(field: Field, reader: Reader, out: Message, depth: number): unknown {
  switch (field.kind) {
    case 'message': {
      const end = length(reader);
      const before = field.repeated ? {} : ((out[field.name] ?? {}) as Message);
      return readMessage(field.shape!, reader, end, before, depth + 1);
    }
    case 'enum':
      return field.names.get(reader.int32());
    case 'string':
      return reader.string();
    case 'bytes':
      return Buffer.from(reader.bytes());
    case 'bool':
      return reader.bool();
    case 'double':
      return reader.double();
    case 'float':
      return reader.float();
    case 'int32':
      return reader.int32();
    case 'uint32':
      return reader.uint32();
    case 'int64':
      return BigInt.asIntN(64, readVarint(reader));
    case 'uint64':
      return readVarint(reader);
  }
}

/** Reads a length and gives the position where that many bytes end. */
function length(reader: Reader): number {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new Error('a length reaches over the end of the message');
  return end;
}

function readVarint(reader: Reader): bigint {
  const { buf } = reader;
  let low = 0;
  let shift = 0;
  while (shift < 28) {
    if (reader.pos >= reader.len) throw new Error('the message ends in the middle of a number');
    const byte = buf[reader.pos++]!;
    low |= (byte & 127) << shift;
    if (byte < 128) return BigInt(low);
    shift += 7;
  }
  let value = BigInt(low);
  for (; shift < 70; shift += 7) {
    if (reader.pos >= reader.len) throw new Error('the message ends in the middle of a number');
    const byte = buf[reader.pos++]!;
    value |= BigInt(byte & 127) << BigInt(shift);
    if (byte < 128) return BigInt.asUintN(64, value);
  }
  throw new Error('a number has too many bytes');
}

function wireType({ kind }: Field): number {
  if (kind === 'message' || kind === 'string' || kind === 'bytes') return delimited;
  if (kind === 'double') return fixed64;
  return kind === 'float' ? fixed32 : varint;
}

/** The bytes of a message that has all its required fields. */
export function toProtobuf(shape: Shape, value: Message): Buffer {
  const writer = Writer.create();
  writeMessage(shape, value, writer);
  return writer.finish() as Buffer;
}

function writeMessage(shape: Shape, value: Message, writer: Writer): void {
  for (const field of shape.fields) {
    const inner = value[field.name];
    if (inner == null) continue;
    const tag = ((field.id << 3) | wireType(field)) >>> 0;
    if (field.repeated) for (const item of inner as unknown[]) writeOne(field, item, writer.uint32(tag));
    else if (field.map) {
      for (const [key, item] of Object.entries(inner)) {
        writer.uint32(((field.id << 3) | delimited) >>> 0).fork();
        writer.uint32((1 << 3) | delimited).string(key);
        writeOne(field, item, writer.uint32((2 << 3) | wireType(field)));
        writer.ldelim();
      }
    } else writeOne(field, inner, writer.uint32(tag));
  }
}

function writeOne(field: Field, value: unknown, writer: Writer): void {
  switch (field.kind) {
    case 'message':
      writeMessage(field.shape!, value as Message, writer.fork());
      writer.ldelim();
      return;
    case 'enum':
      writer.int32(field.numbers.get(value as string)!);
      return;
    case 'int64':
    case 'uint64':
      writeVarint(value as bigint | number, writer);
      return;
    case 'string':
      writer.string(value as string);
      return;
    case 'bytes':
      writer.bytes(value as Uint8Array);
      return;
    case 'bool':
      writer.bool(value as boolean);
      return;
    default:
      writer[field.kind](value as number);
  }
}

function writeVarint(value: bigint | number, writer: Writer): void {
  const n = typeof value === 'bigint' ? value : BigInt(value);
  if (n >= 0n && n <= 0xffff_ffffn) writer.uint32(Number(n));
  else writer.uint64(BigInt.asUintN(64, n).toString());
}
