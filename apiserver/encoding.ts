import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Item } from './store.ts';

/**
 * How an object lies in the store: its JSON, kind and apiVersion first, metadata next, and no resourceVersion, which is
 * the store's own revision. The wire form is the same bytes with the revision spliced in, so reading never stringifies.
 */
export function encode(kind: Kind, object: KubeObject): Buffer {
  const { kind: _kind, apiVersion: _apiVersion, metadata, ...rest } = object;
  const { resourceVersion: _resourceVersion, ...meta } = metadata;
  const body = JSON.stringify(rest);
  const head = `{"kind":"${kind.kind}","apiVersion":"${kind.apiVersion}","metadata":${JSON.stringify(meta)}`;
  return Buffer.from(body === '{}' ? `${head}}` : `${head},${body.slice(1)}`);
}

const marker = Buffer.from('"metadata":{');

/** Stored bytes as they go over the wire, of the given revision. */
export function withRevision(value: Uint8Array, revision: number): Buffer {
  const bytes = asBuffer(value);
  const at = bytes.indexOf(marker) + marker.length;
  const splice = spliceOf(revision);
  const out = Buffer.allocUnsafe(bytes.length + splice.length);
  bytes.copy(out, 0, 0, at);
  out.write(splice, at, 'latin1');
  bytes.copy(out, at + splice.length, at);
  return out;
}

const spliceOf = (revision: number): string => `"resourceVersion":"${revision}",`;

const asBuffer = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);

/** The inverse of withRevision. */
function withoutRevision(wire: Buffer, revision: number): Buffer {
  const at = wire.indexOf(marker) + marker.length;
  return Buffer.concat([wire.subarray(0, at), wire.subarray(at + spliceOf(revision).length)]);
}

/**
 * One object of one revision: its bytes, and, made when first asked for, its parsed form. Of the stored and the wire
 * bytes only one is held: the stored ones until somebody reads the object.
 * The parsed form is shared: who wants to change it takes a `copy()`.
 */
export class Entry {
  /** `namespace/name`, or `name`. */
  readonly key: string;
  /** 0 for an object that was never stored, as a dry run makes. */
  readonly revision: number;
  /** Kept in an old form: a write of the same object is a write all the same. */
  readonly stale: boolean;
  #value: Uint8Array | undefined;
  #bytes: Buffer | undefined;
  #object: Readonly<KubeObject> | undefined;
  #protobuf: Buffer | undefined;
  /** The same object as other kinds show it: other versions, or the same one with other defaults. */
  #shown: WeakMap<Kind, Entry> | undefined;

  constructor(key: string, revision: number, value: Uint8Array, stale = false) {
    this.stale = stale;
    this.key = key;
    this.revision = revision;
    this.#value = value;
  }

  static of(item: Item, prefix: string): Entry {
    return new Entry(item.key.slice(prefix.length), item.revision, item.value, item.stale);
  }

  /** JSON as it lies in the store. */
  get value(): Uint8Array {
    return this.#value ?? withoutRevision(this.#bytes!, this.revision);
  }

  /** JSON as it goes over the wire. */
  get bytes(): Buffer {
    if (this.#bytes) return this.#bytes;
    this.#bytes = this.revision === 0 ? asBuffer(this.#value!) : withRevision(this.#value!, this.revision);
    if (this.revision !== 0) this.#value = undefined;
    return this.#bytes;
  }

  get object(): Readonly<KubeObject> {
    return (this.#object ??= this.copy());
  }

  /** The bytes of its protobuf message, made once by `encode`. */
  protobuf(encodeObject: (object: Readonly<KubeObject>) => Buffer): Buffer {
    return (this.#protobuf ??= encodeObject(this.object));
  }

  copy<T extends KubeObject = KubeObject>(): T {
    return JSON.parse(this.bytes.toString()) as T;
  }

  shownAs(kind: Kind): Entry | undefined {
    return this.#shown?.get(kind);
  }

  keepShown(kind: Kind, entry: Entry): void {
    (this.#shown ??= new WeakMap()).set(kind, entry);
  }

  /** The same object seen at another revision: what a DELETED event shows. */
  at(revision: number): Entry {
    return new Entry(this.key, revision, this.value);
  }
}

/** `/registry/<group>/<resource>/`, the prefix of a kind's keys. */
export const prefixOf = (kind: Pick<Kind, 'group' | 'plural'> & Partial<Pick<Kind, 'storage'>>): string => {
  const { group, plural } = kind.storage?.kind ?? kind;
  return `/registry/${group || 'core'}/${plural}/`;
};
