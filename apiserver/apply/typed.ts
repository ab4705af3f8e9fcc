import type { Schema } from '../../api/schema.ts';
import { badRequest } from '../../api/status.ts';
import { equal } from '../../lib/equal.ts';
import { isRecord, setMember, type Json } from '../patch/json.ts';
import { FieldSet } from './field-set.ts';
import { elementOf, fieldOf, isAlwaysThere, shapeOf, type Shape } from './shape.ts';

/**
 * Objects seen through their schema: which fields one sets, what differs between two, one laid over another, one with
 * fields taken out. https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
 */

/** The fields that an applied configuration sets; refuses lists whose items cannot be told apart. */
export function fieldsOf(value: unknown, schema: Schema | undefined): FieldSet {
  const set = new FieldSet();
  collect(value, schema, set, []);
  return set;
}

function collect(value: unknown, schema: Schema | undefined, set: FieldSet, path: readonly string[]): void {
  const shape = shapeOf(schema, value);
  if (shape.as === 'leaf') set.member = true;
  else if (shape.as === 'map') {
    for (const [name, member] of Object.entries(value as Json)) {
      const field = fieldOf(shape.schema, name);
      const child = set.child(`f:${name}`);
      collect(member, field.schema, child, [...path, name]);
      if (!field.isNamed || (isRecord(member) && Object.keys(member).length === 0)) child.member = true;
    }
  } else
    for (const item of value as unknown[]) {
      const element = elementOf(item, shape.schema, shape.keys);
      const where = `.${path.join('.')}`;
      if (element === undefined)
        throw badRequest(
          `failed to create typed patch object: ${where}: element 0: associative list with keys has an element that omits key field "${shape.keys?.join(', ')}" (and doesn't have default value)`,
        );
      if (set.children.has(element))
        throw badRequest(
          `failed to create typed patch object: ${where}: duplicate entries for key ${element.slice(2)}`,
        );
      const child = set.child(element);
      collect(item, shape.schema, child, path);
      child.member = true;
    }
}

export interface Comparison {
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

/** What one has to own for having made `after` of `before`. */
export function compare(before: unknown, after: unknown, schema: Schema | undefined): Comparison {
  const out = { added: new FieldSet(), modified: new FieldSet(), removed: new FieldSet() };
  compareAt(before, sharing(before, after), schema, out);
  return out;
}

/**
 * `after` with the very fields of `before` that are equal as a whole: most writes touch one of metadata, spec and status. Not so
 * further in, where each value would be looked at once for every level above it.
 */
function sharing(before: unknown, after: unknown): unknown {
  if (!isRecord(before) || !isRecord(after)) return after;
  const fields = Object.entries(after).map(([name, value]): [string, unknown] => {
    const old = member(before, name);
    return [name, equal(old, value) ? old : value];
  });
  return Object.fromEntries(fields);
}

function compareAt(before: unknown, after: unknown, schema: Schema | undefined, out: Comparison): void {
  if (before === undefined && after === undefined) return;
  const left = shapeOf(schema, before);
  const right = shapeOf(schema, after);
  const isLeaf = (before === undefined || isPiece(left, before)) && (after === undefined || isPiece(right, after));
  if (before !== undefined && after !== undefined && (isLeaf || left.as !== right.as)) {
    if (!equal(before, after)) out.modified.member = true;
    return;
  }
  if (!isLeaf) compareInside(before, after, after === undefined ? left : right, out);
  if (before === undefined) out.added.member = true;
  else if (after === undefined) out.removed.member = true;
}

/** Scalars, atomic values, and whatever is empty. */
const isPiece = (shape: Shape, value: unknown): boolean =>
  shape.as === 'leaf' || (Array.isArray(value) ? value.length === 0 : Object.keys(value as object).length === 0);

function compareInside(before: unknown, after: unknown, shape: Shape, out: Comparison): void {
  if (shape.as === 'map') {
    const [a, b] = [(before ?? {}) as Json, (after ?? {}) as Json];
    const names = Object.keys(b);
    for (const name of before === undefined ? names : new Set([...Object.keys(a), ...names])) {
      const { schema } = fieldOf(shape.schema, name);
      const absent = before !== undefined && after !== undefined ? absentOf(shape.schema, name, schema) : undefined;
      compareChild(member(a, name) ?? absent, member(b, name) ?? absent, schema, `f:${name}`, out);
    }
  } else if (shape.as === 'list') {
    const [a, b] = [itemsOf(before, shape), itemsOf(after, shape)];
    for (const element of new Set([...a.keys(), ...b.keys()]))
      compareChild(a.get(element), b.get(element), shape.schema, element, out);
  }
}

/** How a field looks in Go that nobody sets: structs are there, and lists that a struct demands. */
function absentOf(parent: Schema | undefined, name: string, field: Schema | undefined): object | undefined {
  if (isAlwaysThere(field)) return {};
  return field?.type === 'array' && parent?.required?.includes(name) ? [] : undefined;
}

const member = (object: Json, name: string): unknown => (Object.hasOwn(object, name) ? object[name] : undefined);

function compareChild(before: unknown, after: unknown, schema: Schema | undefined, element: string, out: Comparison) {
  if (before === after) return;
  const inner = { added: new FieldSet(), modified: new FieldSet(), removed: new FieldSet() };
  compareAt(before, after, schema, inner);
  for (const side of ['added', 'modified', 'removed'] as const)
    if (inner[side].member || inner[side].children.size > 0) out[side].put(element, inner[side]);
}

/** Items by their path element; of several with the same keys the first one speaks. */
function itemsOf(list: unknown, { schema, keys }: Extract<Shape, { as: 'list' }>): Map<string, unknown> {
  const items = new Map<string, unknown>();
  for (const [i, item] of ((list ?? []) as unknown[]).entries()) {
    const element = elementOf(item, schema, keys) ?? `i:${i}`;
    if (!items.has(element)) items.set(element, item);
  }
  return items;
}

/** An applied configuration laid over an object: what it says holds, and the order of its items. */
export function overlay(live: unknown, config: unknown, schema: Schema | undefined): unknown {
  if (config === undefined) return live;
  const shape = shapeOf(schema, config);
  if (shape.as === 'leaf' || live === undefined || shapeOf(schema, live).as !== shape.as) return config;
  if (shape.as === 'list') return overlayList(live as unknown[], config as unknown[], shape);
  const out: Json = { ...(live as Json) };
  for (const [name, value] of Object.entries(config as Json))
    setMember(out, name, overlay(member(out, name), value, fieldOf(shape.schema, name).schema));
  return out;
}

/** Items of the configuration in its order; others stay before the item that they stood before. */
function overlayList(live: unknown[], config: unknown[], shape: Extract<Shape, { as: 'list' }>): unknown[] {
  const { schema, keys } = shape;
  const id = (item: unknown) => elementOf(item, schema, keys);
  const before = itemsOf(live, shape);
  const wanted = config.map(id);
  const out: unknown[] = [];
  let at = 0;
  const take = () => out.push(overlay(before.get(wanted[at] ?? ''), config[at++], schema));
  for (const item of live) {
    const place = wanted.indexOf(id(item));
    if (place < 0) out.push(item);
    else while (at <= place) take();
  }
  while (at < config.length) take();
  return out;
}

/** The value without the fields of the set; a container that this empties goes too. */
export function withoutFields(value: unknown, set: FieldSet, schema: Schema | undefined): unknown {
  const shape = shapeOf(schema, value);
  if (shape.as === 'map') {
    const out: Json = {};
    for (const [name, field] of Object.entries(value as Json)) {
      const left = lessOf(field, set.children.get(`f:${name}`), fieldOf(shape.schema, name).schema);
      if (left !== undefined) setMember(out, name, left);
    }
    return Object.keys(out).length === 0 && Object.keys(value as Json).length > 0 ? undefined : out;
  }
  if (shape.as === 'leaf') return value;
  const list = value as unknown[];
  const left = list
    .map((item) => lessOf(item, set.children.get(elementOf(item, shape.schema, shape.keys) ?? ''), shape.schema))
    .filter((item) => item !== undefined);
  return left.length === 0 && list.length > 0 ? undefined : left;
}

function lessOf(value: unknown, set: FieldSet | undefined, schema: Schema | undefined): unknown {
  if (!set) return value;
  return set.member ? undefined : withoutFields(value, set, schema);
}
