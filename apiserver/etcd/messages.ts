import protobuf from 'protobufjs/minimal.js';
import type { Change, Item } from '../store.ts';

/**
 * The few messages of etcd's v3 API that a Store needs, written and read by hand: field numbers from etcd's rpc.proto
 * and kv.proto. https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto
 */
type Reader = protobuf.Reader;
type Writer = protobuf.Writer;

const { Reader, Writer } = protobuf;

/** Wire tags: field number and wire type. */
const varint = (field: number): number => field << 3;
const bytes = (field: number): number => (field << 3) | 2;

/** A varint below 2^53: revisions and counts are no larger. */
function int64(reader: Reader): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = reader.buf[reader.pos++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}

export interface RangeOptions {
  end?: string;
  limit?: number;
  revision?: number;
}

/** The key behind all keys with a prefix. */
export function endOf(prefix: string): string {
  return `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
}

function writeRange(writer: Writer, key: string, { end, limit, revision }: RangeOptions): Writer {
  writer.uint32(bytes(1)).string(key);
  if (end !== undefined) writer.uint32(bytes(2)).string(end);
  if (limit) writer.uint32(varint(3)).int64(limit);
  if (revision) writer.uint32(varint(4)).int64(revision);
  return writer;
}

export const rangeRequest = (key: string, options: RangeOptions): Uint8Array =>
  writeRange(Writer.create(), key, options).finish();

/** A transaction that writes (or, without a value, deletes) a key of the expected revision, and else reads it. */
export function swapRequest(key: string, expected: number, value: Uint8Array | undefined): Uint8Array {
  const writer = Writer.create();
  // compare: mod revision (target 2) equals (result 0) the expected one
  writer
    .uint32(bytes(1))
    .fork()
    .uint32(varint(2))
    .int32(2)
    .uint32(bytes(3))
    .string(key)
    .uint32(varint(6))
    .int64(expected)
    .ldelim();
  writer.uint32(bytes(2)).fork();
  if (value) writer.uint32(bytes(2)).fork().uint32(bytes(1)).string(key).uint32(bytes(2)).bytes(value).ldelim();
  else writer.uint32(bytes(3)).fork().uint32(bytes(1)).string(key).ldelim();
  writer.ldelim();
  writer.uint32(bytes(3)).fork().uint32(bytes(1)).fork();
  writeRange(writer, key, {}).ldelim().ldelim();
  return writer.finish();
}

export function watchRequest(key: string, end: string, startRevision: number): Uint8Array {
  const writer = Writer.create();
  writer.uint32(bytes(1)).fork();
  writer.uint32(bytes(1)).string(key).uint32(bytes(2)).string(end).uint32(varint(3)).int64(startRevision);
  // progress_notify and fragment
  writer.uint32(varint(4)).bool(true).uint32(varint(8)).bool(true);
  return writer.ldelim().finish();
}

export const compactRequest = (revision: number): Uint8Array =>
  Writer.create().uint32(varint(1)).int64(revision).finish();

export const authenticateRequest = (name: string, password: string): Uint8Array =>
  Writer.create().uint32(bytes(1)).string(name).uint32(bytes(2)).string(password).finish();

export function readToken(body: Uint8Array): string {
  let token = '';
  fields(Reader.create(body), (field, reader) => (field === 2 ? ((token = reader.string()), true) : false));
  return token;
}

/** Calls `take` for every field; false means that it was not read and is skipped. */
function fields(reader: Reader, take: (field: number, reader: Reader) => boolean, end = reader.len): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!take(tag >>> 3, reader)) reader.skipType(tag & 7);
  }
}

function readInner(reader: Reader, take: (field: number, reader: Reader) => boolean): void {
  const length = reader.uint32();
  fields(reader, take, reader.pos + length);
}

function readRevision(reader: Reader): number {
  let revision = 0;
  readInner(reader, (field) => (field === 3 ? ((revision = int64(reader)), true) : false));
  return revision;
}

function readItem(reader: Reader): Item {
  const item: Item = { key: '', value: new Uint8Array(), revision: 0, created: 0 };
  readInner(reader, (field) => {
    if (field === 1) item.key = reader.string();
    else if (field === 2) item.created = int64(reader);
    else if (field === 3) item.revision = int64(reader);
    else if (field === 5) item.value = reader.bytes();
    else return false;
    return true;
  });
  return item;
}

export interface RangeResponse {
  revision: number;
  items: Item[];
  count: number;
}

export const rangeResponse = (body: Uint8Array): RangeResponse => readRangeResponse(Reader.create(body), body.length);

function readRangeResponse(reader: Reader, end: number): RangeResponse {
  const out: RangeResponse = { revision: 0, items: [], count: 0 };
  fields(
    reader,
    (field) => {
      if (field === 1) out.revision = readRevision(reader);
      else if (field === 2) out.items.push(readItem(reader));
      else if (field === 4) out.count = int64(reader);
      else return false;
      return true;
    },
    end,
  );
  return out;
}

export interface SwapResponse {
  revision: number;
  succeeded: boolean;
  current: Item | undefined;
}

export function swapResponse(body: Uint8Array): SwapResponse {
  const out: SwapResponse = { revision: 0, succeeded: false, current: undefined };
  fields(Reader.create(body), (field, reader) => {
    if (field === 1) out.revision = readRevision(reader);
    else if (field === 2) out.succeeded = reader.bool();
    else if (field === 3)
      readInner(reader, (operation) => {
        if (operation !== 1) return false;
        const length = reader.uint32();
        out.current = readRangeResponse(reader, reader.pos + length).items[0];
        return true;
      });
    else return false;
    return true;
  });
  return out;
}

export interface WatchResponse {
  revision: number;
  created: boolean;
  canceled: boolean;
  compactRevision: number;
  reason: string;
  fragment: boolean;
  changes: Change[];
}

export function watchResponse(body: Uint8Array): WatchResponse {
  const out: WatchResponse = {
    revision: 0,
    created: false,
    canceled: false,
    compactRevision: 0,
    reason: '',
    fragment: false,
    changes: [],
  };
  fields(Reader.create(body), (field, reader) => {
    if (field === 1) out.revision = readRevision(reader);
    else if (field === 3) out.created = reader.bool();
    else if (field === 4) out.canceled = reader.bool();
    else if (field === 5) out.compactRevision = int64(reader);
    else if (field === 6) out.reason = reader.string();
    else if (field === 7) out.fragment = reader.bool();
    else if (field === 11) out.changes.push(readEvent(reader));
    else return false;
    return true;
  });
  return out;
}

function readEvent(reader: Reader): Change {
  let isDelete = false;
  let item: Item | undefined;
  readInner(reader, (field) => {
    if (field === 1) isDelete = reader.int32() === 1;
    else if (field === 2) item = readItem(reader);
    else return false;
    return true;
  });
  if (!item) throw new Error('etcd sent an event without a key');
  return isDelete ? { type: 'delete', key: item.key, revision: item.revision } : { type: 'put', item };
}
