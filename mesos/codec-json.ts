/**
 * Mesos' own JSON mapping: field names as in the .proto, 64-bit integers as bare numbers, bytes in base64,
 * enums by name. It is not the JSON mapping of Protocol Buffers.
 */
import { maxDepth, type Field, type Shape } from './schema.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Message = Record<string, unknown>;

const longInteger = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/** JSON.parse for text with bare 64-bit integers: integers of 16 and more digits become strings. Throws SyntaxError. */
export function parseJson(text: string): Json {
  const safe = /\d{16}/.test(text) ? text.replace(longInteger, (m) => (m.startsWith('"') ? m : `"${m}"`)) : text;
  return JSON.parse(safe) as Json;
}

/** Builds the message out of parsed JSON; throws an Error in Mesos' words. Does not look for missing fields. */
export function fromJson(shape: Shape, json: Json, depth = 0): Message {
  if (depth > maxDepth) throw new Error('Nested too deeply');
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('Expecting a JSON object');
  const out: Message = {};
  for (const field of shape.alphabetical) {
    const value = Object.hasOwn(json, field.name) ? json[field.name]! : null;
    if (value === null) continue;
    const read = field.map ? readMap(field, value, depth) : field.repeated ? readList(field, value, depth) : undefined;
    const result = field.map || field.repeated ? read : readOne(field, value, depth);
    if (result !== undefined) out[field.name] = result;
  }
  return out;
}

function readMap(field: Field, json: Json, depth: number): Message {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw unexpected(field, json);
  const entries = Object.entries(json).map(([key, value]) => [key, readOne(field, value, depth)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function readList(field: Field, json: Json, depth: number): unknown[] | undefined {
  if (!Array.isArray(json)) throw unexpected(field, json);
  const items = json.map((item) => readOne(field, item, depth)).filter((item) => item !== undefined);
  return items.length > 0 ? items : undefined;
}

function readOne(field: Field, json: Json, depth: number): unknown {
  switch (field.kind) {
    case 'message':
      if (typeof json !== 'object' || Array.isArray(json)) throw unexpected(field, json);
      return fromJson(field.shape!, json, depth + 1);
    case 'enum':
      if (typeof json !== 'string') throw unexpected(field, json);
      if (field.numbers.has(json)) return json;
      if (field.required) throw new Error(`Failed to find enum for '${json}'`);
      return undefined;
    case 'string':
      if (typeof json !== 'string') throw unexpected(field, json);
      return json;
    case 'bytes':
      if (typeof json !== 'string') throw unexpected(field, json);
      return base64(field, json);
    case 'bool':
      if (json === true || json === 'true') return true;
      if (json === false || json === 'false') return false;
      throw unexpected(field, json);
    case 'int64':
    case 'uint64':
      return integer64(field, json);
    default:
      return number(field, json);
  }
}

function base64(field: Field, text: string): Uint8Array {
  const bad = /[^A-Za-z0-9+/=]/.exec(text);
  if (bad) throw new Error(`Failed to base64 decode bytes field '${field.name}': Invalid character '${bad[0]}'`);
  return Buffer.from(text, 'base64');
}

function integer64(field: Field, json: Json): bigint {
  if (typeof json === 'number' && Number.isFinite(json)) return BigInt(Math.trunc(json));
  if (typeof json !== 'string') throw unexpected(field, json);
  if (/^-?\d{1,20}$/.test(json)) return BigInt(json);
  throw new Error(`Failed to parse '${json}' as a JSON number for field '${field.name}'`);
}

function number(field: Field, json: Json): number {
  if (typeof json !== 'number' && typeof json !== 'string') throw unexpected(field, json);
  const n = typeof json === 'number' ? json : json.trim() === '' ? NaN : Number(json);
  if (Number.isNaN(n) && json !== 'NaN')
    throw new Error(`Failed to parse '${json}' as a JSON number for field '${field.name}'`);
  return field.kind === 'double' || field.kind === 'float' ? n : Math.trunc(n);
}

function unexpected(field: Field, json: Json): Error {
  const what =
    json === null ? 'null' : Array.isArray(json) ? 'array' : typeof json === 'object' ? 'object' : typeof json;
  return new Error(`Not expecting a JSON ${what} for field '${field.name}'`);
}

/** The text of a message that has all its required fields; `filled` with those that have a default and are not set. */
export function toJson(shape: Shape, value: Message, filled = false): string {
  let out = '';
  for (const field of shape.fields) {
    const inner = value[field.name] ?? (filled ? field.fallback : undefined);
    if (inner == null || (field.repeated && (inner as unknown[]).length === 0)) continue;
    out += `${out === '' ? '' : ','}"${field.name}":`;
    if (field.repeated) out += `[${(inner as unknown[]).map((item) => writeOne(field, item, filled)).join(',')}]`;
    else if (field.map)
      out += `{${Object.entries(inner)
        .map(([key, item]) => `${JSON.stringify(key)}:${writeOne(field, item, filled)}`)
        .join(',')}}`;
    else out += writeOne(field, inner, filled);
  }
  return `{${out}}`;
}

function writeOne(field: Field, value: unknown, filled: boolean): string {
  switch (field.kind) {
    case 'message':
      return toJson(field.shape!, value as Message, filled);
    case 'bytes':
      return `"${Buffer.from(value as Uint8Array).toString('base64')}"`;
    case 'int64':
    case 'uint64':
      return String(value);
    case 'double':
    case 'float':
      return Number.isFinite(value) ? String(value) : `"${String(value)}"`;
    default:
      return JSON.stringify(value);
  }
}
