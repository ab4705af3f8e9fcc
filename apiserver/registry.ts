import { equal } from '../lib/equal.ts';
import { randomUUID } from 'node:crypto';
import { invalid } from '../api/field-error.ts';
import type { FieldError, Kind } from '../api/kind.ts';
import { timestamp, type KubeObject } from '../api/meta.ts';
import { alreadyExists, badRequest, modified, notFound, StatusError } from '../api/status.ts';
import { validateCoreFinalizers, validateMeta, validateMetaUpdate } from '../api/validate-meta.ts';
import type { Admission } from './admission/order.ts';
import { recordUpdate } from './apply/ownership.ts';
import { keyIn, writerOf, type WriteOptions } from './call.ts';
import { encode, Entry, prefixOf } from './encoding.ts';
import type { Feed } from './feed.ts';
import { randomSuffix } from './names.ts';
import { served, toStored } from './served.ts';
import type { Store } from './store.ts';

/** The side of an object that a write comes through: what it may change differs. */
export type Door = 'main' | 'status' | 'server' | 'ephemeralcontainers' | 'resize';

/** Makes the new object of the current one; called again when somebody else wrote in between. */
export type ChangeObject = (current: KubeObject, entry: Entry) => KubeObject | Promise<KubeObject>;

const attempts = 8;
const retries = 100;

/**
 * The life of objects: every create, update and delete of every kind goes through here.
 *
 *   defaults → prepare → admission → validate → encode → put if unchanged, else again
 */
export class Registry {
  readonly store: Store;
  readonly feed: Feed;
  readonly #admission: Admission;

  constructor(store: Store, feed: Feed, admission: Admission) {
    this.store = store;
    this.feed = feed;
    this.#admission = admission;
  }

  /** The newest state of an object, straight from the store. */
  async read(kind: Kind, key: string): Promise<Entry | undefined> {
    const prefix = prefixOf(kind);
    const { item } = await this.store.get(prefix + key);
    return item && Entry.of(item, prefix);
  }

  /** The entry is as it is stored, for kinds that are kept in another form too. */
  async create(kind: Kind, object: KubeObject, namespace: string, options: WriteOptions): Promise<Entry> {
    if (kind.storage) {
      const errors = kind.storage.validateNew?.(object) ?? [];
      if (errors.length > 0) throw invalid(kind, object.metadata.name ?? '', errors);
      return this.create(kind.storage.kind, await toStored(kind, object), namespace, options);
    }
    const { metadata } = object;
    if (kind.closed) throw new StatusError(405, 'MethodNotAllowed', kind.closed, {});
    if (metadata.resourceVersion && metadata.resourceVersion !== '0')
      throw badRequest('resourceVersion should not be set on objects to be created');
    setNamespace(object, kind, namespace);
    prepareNew(object, kind);
    const generated = !metadata.name && Boolean(metadata.generateName);
    // What the server sets below is not the caller's.
    if (!options.applied) {
      kind.defaults?.(object);
      recordUpdate(kind, undefined, object, undefined, writerOf(options, Date.now()));
    }
    for (let attempt = 1; ; attempt++) {
      if (generated) metadata.name = `${metadata.generateName!.slice(0, 58)}${randomSuffix()}`;
      kind.prepareCreate?.(object);
      const entry = await this.#tryCreate(kind, object, options);
      if (entry) return entry;
      if (!generated || attempt >= attempts) throw alreadyExists(kind, metadata.name ?? '');
      metadata.uid = randomUUID();
    }
  }

  async #tryCreate(kind: Kind, object: KubeObject, options: WriteOptions): Promise<Entry | undefined> {
    const { metadata } = object;
    kind.defaults?.(object);
    const request = { operation: 'create' as const, kind, object, old: undefined, options };
    await this.#admission.mutate(request);
    const errors = [
      ...validateMeta(metadata, kind.namespaced, kind.checkName),
      ...finalizerErrors(kind, object),
      ...(kind.validate?.(object) ?? []),
    ];
    if (errors.length === 0) errors.push(...(kind.validateRules?.(object, undefined) ?? []));
    if (errors.length > 0) throw invalid(kind, metadata.name ?? '', errors);
    await this.#admission.validate(request);
    const key = keyIn(kind, metadata.namespace ?? '', metadata.name ?? '');
    const undo = await this.#admission.allocate(request);
    const value = encode(kind, object);
    if (options.dryRun) {
      await undo();
      if (await this.read(kind, key)) return undefined;
      return new Entry(key, 0, value);
    }
    try {
      const written = await this.store.put(prefixOf(kind) + key, value, 0);
      if (written.ok) return new Entry(key, written.revision, value);
    } catch (error) {
      await undo();
      throw error;
    }
    await undo();
    return undefined;
  }

  /**
   * Changes an object. A result that differs in nothing is not written. Starts from the cache; what the cache made it
   * refuse is tried again on the newest state, so that a stale read never decides.
   */
  async update(kind: Kind, key: string, door: Door, options: WriteOptions, change: ChangeObject): Promise<Entry> {
    if (kind.storage)
      return this.update(kind.storage.kind, key, door, options, async (_current, entry) => {
        const [shown] = await served(kind, [entry]);
        return toStored(kind, await change(shown!.copy(), shown!));
      });
    let cached = this.feed.cache(kind).get(key);
    let current = cached ?? (await this.read(kind, key));
    for (let attempt = 0; attempt < retries; attempt++) {
      if (!current) throw notFound(kind, nameIn(key));
      try {
        const next = await this.#tryUpdate(kind, current, door, options, change, cached === undefined);
        if (next === 'stale') {
          current = await this.read(kind, key);
          cached = undefined;
        } else if (next instanceof Entry) return next;
        else {
          current = next.current;
          cached = undefined;
        }
      } catch (error) {
        if (cached === undefined) throw error;
        cached = undefined;
        const newest = await this.read(kind, key);
        if (newest?.revision === current?.revision) throw error;
        current = newest;
      }
    }
    throw modified(kind, nameIn(key));
  }

  async #tryUpdate(
    kind: Kind,
    current: Entry,
    door: Door,
    options: WriteOptions,
    change: ChangeObject,
    isNewest: boolean,
  ): Promise<Entry | 'stale' | { current: Entry | undefined }> {
    // What lies there in an older form is written in today's, even if nothing else changes.
    const shown = kind.restore ? (await served(kind, [current]))[0]! : current;
    const old = shown.object;
    const object = await change(shown.copy(), shown);
    const given = object.metadata.managedFields;
    prepareChanged(object, old, kind, door);
    kind.defaults?.(object);
    if (door === 'server') keep(object.metadata, old.metadata, 'managedFields');
    else if (!options.applied)
      recordUpdate(kind, old, object, options.subresource ? undefined : given, writerOf(options, Date.now()));
    const request = { operation: 'update' as const, kind, object, old, options };
    if (!options.admitted) await this.#admission.mutate(request);
    countGeneration(object, old, kind, door);
    this.#check(kind, object, old, door);
    if (!options.admitted) await this.#admission.validate(request);
    const value = encode(kind, object);
    if (isFinished(object, kind))
      return this.#remove(kind, current, options, new Entry(current.key, current.revision, value));
    if (!current.stale && isSame(value, object, current)) return isNewest ? current : 'stale';
    const undo = await this.#admission.allocate(request);
    if (options.dryRun) {
      await undo();
      return new Entry(current.key, current.revision, value);
    }
    const written = await this.store.put(prefixOf(kind) + current.key, value, current.revision);
    if (written.ok) {
      await this.#admission.released(request);
      return new Entry(current.key, written.revision, value);
    }
    await undo();
    return { current: written.current && Entry.of(written.current, prefixOf(kind)) };
  }

  #check(kind: Kind, object: KubeObject, old: Readonly<KubeObject>, door: Door): void {
    const own = kind.validate?.(object, old) ?? [];
    const errors = [
      ...validateMeta(object.metadata, kind.namespaced, () => []),
      ...finalizerErrors(kind, object),
      ...validateMetaUpdate(object.metadata, old.metadata),
      ...(own.length > 0 ? brokenAnew(own, kind, old) : own),
    ];
    // Rules on a change believe that what must be there is.
    if (!own.some(({ type }) => type === 'Required')) {
      if (door === 'main') errors.push(...(kind.validateUpdate?.(object, old) ?? []));
      errors.push(...(narrow(kind, door)?.validate?.(object, old) ?? []));
    }
    if (errors.length === 0) errors.push(...(kind.validateRules?.(object, old) ?? []));
    if (errors.length > 0) throw invalid(kind, object.metadata.name ?? '', errors);
  }

  /** Takes an object out of the store; `last` is how it looked at the end. */
  async #remove(
    kind: Kind,
    current: Entry,
    options: WriteOptions,
    last: Entry,
  ): Promise<Entry | { current: Entry | undefined }> {
    if (options.dryRun) return last;
    const gone = await this.store.delete(prefixOf(kind) + current.key, current.revision);
    if (!gone.ok) return { current: gone.current && Entry.of(gone.current, prefixOf(kind)) };
    await this.#admission.released({ operation: 'delete', kind, object: last.object, old: current.object, options });
    return last.at(gone.revision);
  }

  /** Lets admission object to a deletion, or to a connection to an object; throws what it objects with. */
  async admit(operation: 'delete' | 'connect', kind: Kind, object: KubeObject, options: WriteOptions): Promise<void> {
    const request = { operation, kind, object, old: undefined, options };
    await this.#admission.mutate(request);
    await this.#admission.validate(request);
  }

  /** Deletes at once whatever finalizers say not; undefined when somebody else wrote in between. */
  async remove(kind: Kind, current: Entry, options: WriteOptions): Promise<Entry | undefined> {
    const outcome = await this.#remove(kind, current, options, current);
    return outcome instanceof Entry ? outcome : undefined;
  }
}

/** What the stored object broke already is not held against a change: it is older than the rule. */
function brokenAnew(errors: readonly FieldError[], kind: Kind, old: Readonly<KubeObject>): FieldError[] {
  const before = structuredClone(old);
  kind.defaults?.(before);
  const known = new Set((kind.validate?.(before) ?? []).map((error) => JSON.stringify(error)));
  return errors.filter((error) => !known.has(JSON.stringify(error)));
}

const finalizerErrors = (kind: Kind, { metadata }: KubeObject) =>
  kind.schema || kind.deletionFinalizer ? [] : validateCoreFinalizers(metadata.finalizers);
const narrow = (kind: Kind, door: Door) =>
  door === 'ephemeralcontainers' || door === 'resize' ? kind.doors?.[door] : undefined;

const nameIn = (key: string): string => key.slice(key.indexOf('/') + 1);

function setNamespace(object: KubeObject, kind: Kind, namespace: string): void {
  const { metadata } = object;
  if (!kind.namespaced) {
    delete metadata.namespace;
    return;
  }
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  metadata.namespace = namespace;
}

function prepareNew(object: KubeObject, kind: Kind): void {
  const { metadata } = object;
  delete metadata.resourceVersion;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.generation;
  delete (metadata as { selfLink?: string }).selfLink;
  if (kind.subresources.includes('status') && !kind.prepareCreate) delete (object as { status?: unknown }).status;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(Date.now());
  if (kind.generation !== false) metadata.generation = 1;
  dropEmpty(metadata);
}

/** Gives back to an updated object what its door may not change. */
function prepareChanged(object: KubeObject, old: Readonly<KubeObject>, kind: Kind, door: Door): void {
  const { metadata } = object;
  metadata.name ??= old.metadata.name!;
  if (kind.namespaced) metadata.namespace ??= old.metadata.namespace!;
  metadata.uid ||= old.metadata.uid!;
  delete metadata.resourceVersion;
  delete (metadata as { selfLink?: string }).selfLink;
  keep(metadata, old.metadata, 'creationTimestamp');
  keep(metadata, old.metadata, 'generation');
  if (door !== 'server') {
    keep(metadata, old.metadata, 'deletionTimestamp');
    keep(metadata, old.metadata, 'deletionGracePeriodSeconds');
  }
  if (door === 'main') {
    if (kind.subresources.includes('status'))
      keep(object as { status?: unknown }, old as { status?: unknown }, 'status');
    kind.prepareUpdate?.(object, old);
  }
  if (door === 'status') {
    for (const field of Object.keys({ ...old, ...object }))
      if (!['status', 'metadata', 'kind', 'apiVersion'].includes(field)) keep(object, old, field as keyof KubeObject);
    kind.prepareStatus?.(object, old);
  }
  narrow(kind, door)?.prepare(object, old);
  dropEmpty(metadata);
}

/** Empty ones are as good as none, and not kept: `kubectl diff` gives every object annotations. */
function dropEmpty(metadata: KubeObject['metadata']): void {
  for (const field of ['annotations', 'labels', 'finalizers', 'ownerReferences'] as const)
    if (metadata[field] && Object.keys(metadata[field]).length === 0) delete metadata[field];
}

function keep<T extends object>(target: T, source: Readonly<T>, field: keyof T): void {
  // Seldom does anybody change what the door keeps, and a copy costs more than a look.
  if (equal(target[field], source[field])) return;
  if (source[field] === undefined) delete target[field];
  else target[field] = structuredClone(source[field]);
}

function countGeneration(object: KubeObject, old: Readonly<KubeObject>, kind: Kind, door: Door): void {
  if (kind.generation === false) return;
  const part = ({ metadata: _m, kind: _k, apiVersion: _a, ...rest }: KubeObject & { status?: unknown }) => {
    delete rest.status;
    return rest;
  };
  const before = old.metadata.generation ?? 1;
  const ends = object.metadata.deletionTimestamp && !old.metadata.deletionTimestamp;
  const isAnnotated =
    kind.generation === 'with annotations' &&
    door === 'main' &&
    !equal(object.metadata.annotations ?? {}, old.metadata.annotations ?? {});
  object.metadata.generation = ends || isAnnotated || !equal(part(object), part(old)) ? before + 1 : before;
}

/** Nothing has changed, the order of members aside. */
function isSame(value: Buffer, object: KubeObject, current: Entry): boolean {
  const before = current.value;
  if (before.length !== value.length) return false;
  if (value.equals(before)) return true;
  const { resourceVersion } = current.object.metadata;
  return equal({ ...object, metadata: { ...object.metadata, resourceVersion } }, current.object);
}

/** Deleted by somebody, waited for by nobody. */
function isFinished({ metadata, ...rest }: KubeObject, kind: Kind): boolean {
  if (!metadata.deletionTimestamp || metadata.finalizers?.length) return false;
  if (kind.group === '' && kind.kind === 'Namespace')
    return !(rest as { spec?: { finalizers?: string[] } }).spec?.finalizers?.length;
  return !metadata.deletionGracePeriodSeconds;
}
