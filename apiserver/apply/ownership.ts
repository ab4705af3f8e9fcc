import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema.ts';
import { StatusError } from '../../api/status.ts';
import { isRecord, type Json } from '../patch/json.ts';
import { difference, FieldSet, intersection, pathText, sameSet, union, withParents } from './field-set.ts';
import { isReset, isSameManager, readManagers, writeManagers, type Manager } from './managers.ts';
import { compare, fieldsOf, overlay, withoutFields, type Comparison } from './typed.ts';

/** Who writes, through which door, and when (RFC 3339). */
export interface Writer {
  manager: string;
  /** '' for the main door. */
  subresource: string;
  time: string;
}

/** What the server itself fills in is nobody's. */
const unowned = pathsOf([
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'generation',
    'managedFields',
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ].map((name) => ['f:metadata', `f:${name}`]),
]);

function pathsOf(paths: readonly string[][]): FieldSet {
  const set = new FieldSet();
  for (const path of paths) {
    let node = set;
    for (const element of path) node = node.child(element);
    node.member = true;
  }
  return set;
}

/** The part of a set that a writer of this door may own. */
function owned(set: FieldSet, kind: Kind, subresource: string): FieldSet {
  const left = difference(set, unowned);
  if (!kind.subresources.includes('status')) return left;
  if (subresource === 'status') {
    // Of custom resources this door changes no metadata.
    for (const element of left.children.keys())
      if (element !== 'f:status' && (element !== 'f:metadata' || kind.schema)) left.drop(element);
  } else left.drop('f:status');
  return left;
}

/**
 * Records a create or update in `next.metadata.managedFields`: the writer owns what it changed, whoever owned that
 * before no longer does. `given` is what the caller sent as managedFields, who may have changed them by hand.
 */
export function recordUpdate(
  kind: Kind,
  before: Readonly<KubeObject> | undefined,
  next: KubeObject,
  given: unknown[] | undefined,
  writer: Writer,
): void {
  const previous = isReset(given) ? [] : managersOf(given, before);
  const isTracked = before === undefined || previous.length > 0;
  if (!isTracked) return void delete next.metadata.managedFields;
  const self = { ...identity(kind, writer), operation: 'Update' as const };
  const change = compareObjects(before ?? { metadata: {} }, next, kind, writer.subresource);
  const taken = union(change.added, change.modified);
  const managers = previous.map((manager) =>
    isSameManager(manager, self)
      ? manager
      : { ...manager, fields: difference(difference(manager.fields, taken), change.removed) },
  );
  const at = managers.findIndex((manager) => isSameManager(manager, self));
  const mine = at < 0 ? new FieldSet() : managers[at]!.fields;
  const fields = difference(union(mine, taken), change.removed);
  const time = at >= 0 && sameSet(mine, fields) ? managers[at]!.time : writer.time;
  managers.splice(at < 0 ? managers.length : at, 1, { ...self, fields, time });
  setManagers(next, managers);
}

function managersOf(given: unknown[] | undefined, before: Readonly<KubeObject> | undefined): Manager[] {
  const asked = readManagers(given);
  return asked && asked.length > 0 ? asked : (readManagers(before?.metadata.managedFields) ?? []);
}

const identity = (kind: Kind, { manager, subresource }: Writer) => ({
  manager,
  subresource,
  apiVersion: kind.apiVersion,
});

function setManagers(object: KubeObject, managers: readonly Manager[]): void {
  const rows = writeManagers(managers);
  if (rows.length > 0) object.metadata.managedFields = rows;
  else delete object.metadata.managedFields;
}

function compareObjects(before: object, after: object, kind: Kind, subresource: string): Comparison {
  const { added, modified, removed } = compare(unmanaged(before), unmanaged(after), schemaOf(kind));
  return {
    added: owned(added, kind, subresource),
    modified: owned(modified, kind, subresource),
    removed: owned(removed, kind, subresource),
  };
}

/** Rows of managedFields are not compared: they are large, and nobody's. */
function unmanaged(object: object): object {
  const { metadata } = object as KubeObject;
  return metadata?.managedFields ? { ...object, metadata: { ...metadata, managedFields: undefined } } : object;
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Server-side apply: what `config` says is laid over `live`; what the same manager applied before and no longer says goes,
 * unless others own it. Throws 409 naming the fields that others own with other values, unless forced.
 * Answers `live` itself when nothing changes.
 */
export function applyConfiguration(
  kind: Kind,
  live: Readonly<KubeObject>,
  config: KubeObject,
  writer: Writer,
  force: boolean,
): KubeObject {
  const conflicts: Conflict[] = [];
  const applied = lay(kind, live, config, writer, conflicts);
  const left = force ? [] : withoutOwnHistory(conflicts, kind, live, writer);
  if (left.length > 0) throw conflictError(left);
  return applied;
}

interface Conflict {
  manager: Manager;
  fields: FieldSet;
}

function lay(kind: Kind, live: Readonly<KubeObject>, config: KubeObject, writer: Writer, conflicts: Conflict[]) {
  const schema = schemaOf(kind);
  const managers = trackedManagers(kind, live, writer);
  const self = { ...identity(kind, writer), operation: 'Apply' as const };
  const mine = managers.find((manager) => isSameManager(manager, self));
  const others = managers.filter((manager) => manager !== mine);
  const fields = owned(fieldsOf(config, schema), kind, writer.subresource);
  const merged = overlay(live, config, schema) as KubeObject;
  const dropped = mine && forsaken(mine.fields, fields, others);
  const next = (dropped ? (withoutFields(merged, dropped, schema) ?? {}) : merged) as KubeObject;
  next.metadata = { ...(next.metadata ?? {}) };
  const change = compareObjects(live, next, kind, writer.subresource);
  const taken = union(change.added, change.modified);
  for (const manager of others) {
    const contested = intersection(manager.fields, taken);
    if (!contested.isEmpty) conflicts.push({ manager, fields: contested });
    manager.fields = difference(difference(manager.fields, taken), change.removed);
  }
  const isUnchanged =
    taken.isEmpty && change.removed.isEmpty && mine?.apiVersion === self.apiVersion && sameSet(mine.fields, fields);
  setManagers(next, [...others, { ...self, fields, time: isUnchanged ? mine.time : writer.time }]);
  if (writer.manager === 'kubectl' && live.metadata.annotations?.[lastApplied] !== undefined)
    noteLastApplied(next, config);
  return next;
}

/** What an object that nobody tracked so far carries belongs to one manager of its own. */
function trackedManagers(kind: Kind, live: Readonly<KubeObject>, writer: Writer): Manager[] {
  const managers = readManagers(live.metadata.managedFields) ?? [];
  if (managers.length > 0 || !live.metadata.uid) return managers;
  const fields = compareObjects({ metadata: {} }, live, kind, '').added;
  const first = { manager: 'before-first-apply', operation: 'Update' as const, apiVersion: kind.apiVersion };
  return [{ ...first, subresource: '', time: writer.time, fields }];
}

/** Fields that were applied before, are not any more, and that nobody else owns. */
function forsaken(before: FieldSet, now: FieldSet, others: readonly Manager[]): FieldSet {
  const kept = others.reduce((all, { fields }) => union(all, fields), now);
  return difference(withParents(before), withParents(kept));
}

/** An object that kubectl applied from the client's side keeps its annotation in step, for clients that go back. */
function noteLastApplied(object: KubeObject, config: KubeObject): void {
  const { annotations = {}, ...metadata } = structuredClone(config.metadata);
  delete annotations[lastApplied];
  delete metadata.managedFields;
  const text = JSON.stringify({ ...config, metadata: { ...metadata, annotations } });
  object.metadata.annotations = { ...object.metadata.annotations, [lastApplied]: `${text}\n` };
}

/** kubectl may take over what it applied itself from the client's side, as long as nobody changed it since. */
function withoutOwnHistory(conflicts: Conflict[], kind: Kind, live: Readonly<KubeObject>, writer: Writer): Conflict[] {
  const text = live.metadata.annotations?.[lastApplied];
  if (writer.manager !== 'kubectl' || text === undefined || conflicts.length === 0) return conflicts;
  const before = parsed(text);
  if (!before) return conflicts;
  const schema = schemaOf(kind);
  const { modified, added } = compare(live, before, schema);
  const untouched = difference(fieldsOf(before, schema), union(modified, added));
  return conflicts
    .map(({ manager, fields }) => ({ manager, fields: difference(fields, untouched) }))
    .filter(({ fields }) => !fields.isEmpty);
}

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    // Somebody's own text: it proves nothing.
    return undefined;
  }
}

function conflictError(conflicts: readonly Conflict[]): StatusError {
  const all = conflicts.flatMap(({ manager, fields }) =>
    [...fields.paths()].map((path) => ({ who: nameOf(manager), field: pathText(path) })),
  );
  const names = [...new Set(all.map(({ who }) => who))].sort();
  const lines = names.flatMap((name) => [
    `conflicts with ${name}:`,
    ...all.filter(({ who }) => who === name).map(({ field }) => `- ${field}`),
  ]);
  const message =
    all.length === 1
      ? `Apply failed with 1 conflict: conflict with ${all[0]!.who}: ${all[0]!.field}`
      : `Apply failed with ${all.length} conflicts: ${lines.join('\n')}`;
  return new StatusError(409, 'Conflict', message, {
    causes: all.map(({ who, field }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field })),
  });
}

function nameOf({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = JSON.stringify(manager) + (subresource ? ` with subresource "${subresource}"` : '');
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
