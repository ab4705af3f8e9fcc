/**
 * Bytes ↔ plain objects, in both content types of Mesos.
 *
 *   schedulerCall.encode({ type: 'REVIVE', framework_id }, 'application/x-protobuf') → Buffer
 *   schedulerEvent.decode(bytes, 'application/json')                                  → Event
 *
 * What the objects look like is told in types.ts. Fields that this house does not know are skipped; an enum value
 * that it does not know counts as not set, so an event of a newer Mesos comes without a `type`.
 */
import { fromJson, parseJson, toJson } from './codec-json.ts';
import { fromProtobuf, toProtobuf } from './codec-protobuf.ts';
import { missingFields, shapeOf, type Field, type Shape } from './schema.ts';
import type * as agent from './agent.ts';
import type * as executor from './executor.ts';
import type * as master from './master.ts';
import type * as scheduler from './scheduler.ts';

export const contentTypes = ['application/json', 'application/x-protobuf'] as const;
export type ContentType = (typeof contentTypes)[number];

/**
 * `syntax`: the bytes are no JSON text. `shape`: the JSON is not this message. `protobuf`: the bytes are no such message.
 * `message` is what Mesos says of it, without its "Failed to …" in front (empty for `protobuf`, as there).
 */
export class DecodeError extends Error {
  readonly kind: 'syntax' | 'shape' | 'protobuf';
  constructor(kind: DecodeError['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'DecodeError';
    this.kind = kind;
  }
}

export interface MessageType<T> {
  /** `mesos.v1.scheduler.Call` */
  readonly name: string;
  /**
   * Throws an Error that names the field when a required one is missing or a value does not fit. `filled`: fields that are not
   * set and have a default are written, too, in JSON: so do masters and agents.
   */
  encode(value: T, contentType: ContentType, filled?: boolean): Buffer;
  /** Throws DecodeError. */
  decode(bytes: Uint8Array, contentType: ContentType): T;
}

/** A message by its full name, such as `mesos.v1.TaskInfo`. */
export function messageType<T extends object>(name: string): MessageType<T> {
  return {
    name,
    encode(value, contentType, filled) {
      const shape = shapeOf(name);
      check(shape, value as Record<string, unknown>, name);
      return contentType === 'application/json'
        ? Buffer.from(toJson(shape, value as Record<string, unknown>, filled))
        : toProtobuf(shape, value as Record<string, unknown>);
    },
    decode(bytes, contentType) {
      const shape = shapeOf(name);
      return (contentType === 'application/json' ? decodeJson(shape, bytes) : decodeProtobuf(shape, bytes)) as T;
    },
  };
}

function decodeJson(shape: Shape, bytes: Uint8Array): object {
  let json;
  try {
    json = parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (error) {
    throw new DecodeError('syntax', (error as Error).message, error);
  }
  let value;
  try {
    value = fromJson(shape, json);
  } catch (error) {
    throw new DecodeError('shape', (error as Error).message, error);
  }
  const missing = missingFields(shape, value);
  if (missing.length > 0) throw new DecodeError('shape', `Missing required fields: ${missing.join(', ')}`);
  return value;
}

function decodeProtobuf(shape: Shape, bytes: Uint8Array): object {
  let value;
  try {
    value = fromProtobuf(shape, bytes);
  } catch (error) {
    throw new DecodeError('protobuf', '', error);
  }
  const missing = missingFields(shape, value);
  if (missing.length > 0)
    throw new DecodeError('protobuf', '', new Error(`Missing required fields: ${missing.join(', ')}`));
  return value;
}

/** One walk before encoding, so that nothing half-written leaves and the complaint names the place. */
function check(shape: Shape, value: Record<string, unknown>, path: string): void {
  for (const field of shape.fields) {
    const inner = value[field.name];
    const at = `${path}.${field.name}`;
    if (inner == null) {
      if (field.required) throw new Error(`cannot encode: ${at} is required and not set`);
    } else if (field.repeated) {
      if (!Array.isArray(inner)) throw new Error(`cannot encode: ${at} must be an array`);
      for (let i = 0; i < inner.length; i++) checkOne(field, inner[i], `${at}[${i}]`);
    } else if (field.map) {
      for (const [key, item] of Object.entries(inner)) checkOne(field, item, `${at}[${key}]`);
    } else checkOne(field, inner, at);
  }
}

function checkOne(field: Field, value: unknown, at: string): void {
  const { kind } = field;
  if (kind === 'message') {
    if (typeof value !== 'object' || value === null) throw new Error(`cannot encode: ${at} must be an object`);
    check(field.shape!, value as Record<string, unknown>, at);
  } else if (kind === 'enum') {
    if (!field.numbers.has(value as string))
      throw new Error(
        `cannot encode: ${at} is "${String(value)}", expected one of ${[...field.numbers.keys()].join(', ')}`,
      );
  } else if (!fits(kind, value)) throw new Error(`cannot encode: ${at} must be ${wanted[kind]}`);
}

const wanted = {
  string: 'a string',
  bytes: 'a Uint8Array',
  bool: 'a boolean',
  double: 'a number',
  float: 'a number',
  int32: 'a 32-bit integer',
  uint32: 'an unsigned 32-bit integer',
  int64: 'a bigint of 64 bits',
  uint64: 'an unsigned bigint of 64 bits',
} as const;

function fits(kind: keyof typeof wanted, value: unknown): boolean {
  switch (kind) {
    case 'string':
      return typeof value === 'string';
    case 'bytes':
      return value instanceof Uint8Array;
    case 'bool':
      return typeof value === 'boolean';
    case 'double':
    case 'float':
      return typeof value === 'number';
    case 'int32':
      return typeof value === 'number' && (value | 0) === value;
    case 'uint32':
      return typeof value === 'number' && value >>> 0 === value;
    case 'int64':
      return typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
    case 'uint64':
      return typeof value === 'bigint' && BigInt.asUintN(64, value) === value;
  }
}

export const schedulerCall = messageType<scheduler.Call>('mesos.v1.scheduler.Call');
export const schedulerEvent = messageType<scheduler.Event>('mesos.v1.scheduler.Event');
export const executorCall = messageType<executor.Call>('mesos.v1.executor.Call');
export const executorEvent = messageType<executor.Event>('mesos.v1.executor.Event');
export const masterCall = messageType<master.Call>('mesos.v1.master.Call');
export const masterResponse = messageType<master.Response>('mesos.v1.master.Response');
export const masterEvent = messageType<master.Event>('mesos.v1.master.Event');
export const agentCall = messageType<agent.Call>('mesos.v1.agent.Call');
export const agentResponse = messageType<agent.Response>('mesos.v1.agent.Response');
export const processIO = messageType<agent.ProcessIO>('mesos.v1.agent.ProcessIO');
