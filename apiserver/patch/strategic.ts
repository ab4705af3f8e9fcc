import { equal } from '../../lib/equal.ts';
import { badRequest } from '../../api/status.ts';
import { definitions, resolve, type Schema } from '../../api/schema.ts';
import { isRecord, setMember, type Json } from './json.ts';

const directive = '$patch';
const retainKeys = '$retainKeys';
const deletePrefix = '$deleteFromPrimitiveList/';
const orderPrefix = '$setElementOrder/';

/**
 * Strategic merge: a merge patch that knows which lists are maps by another name.
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 *
 * Returns the patched object; neither argument is changed.
 */
export function strategicMerge(original: Json, patch: Json, definition: string | undefined): Json {
  return mergeMap(original, patch, definition ? definitions[definition] : undefined);
}

function mergeMap(original: Json, patch: Json, schema: Schema | undefined): Json {
  const command = patch[directive];
  if (command === 'replace') return without(patch, directive);
  if (command === 'delete') return {};
  if (command !== undefined && command !== 'merge')
    throw badRequest(`unable to find api field in struct: unknown patch type found: ${JSON.stringify(command)}`);
  const out: Json = { ...original };
  for (const [key, value] of Object.entries(patch)) {
    if (key === directive || key === retainKeys || key.startsWith(orderPrefix)) continue;
    if (key.startsWith(deletePrefix)) deleteValues(out, key.slice(deletePrefix.length), value);
    else if (value === null) delete out[key];
    else setMember(out, key, mergeValue(out[key], value, fieldOf(schema, key), patch[orderPrefix + key]));
  }
  for (const key of Object.keys(patch))
    if (key.startsWith(orderPrefix)) orderUntouched(out, patch, key.slice(orderPrefix.length), schema);
  const retained = patch[retainKeys];
  if (Array.isArray(retained)) for (const key of Object.keys(out)) if (!retained.includes(key)) delete out[key];
  return out;
}

function without(object: Json, key: string): Json {
  const out = { ...object };
  delete out[key];
  return out;
}

const fieldOf = (schema: Schema | undefined, key: string): Schema | undefined => {
  const resolved = resolve(schema);
  if (resolved?.properties && Object.hasOwn(resolved.properties, key)) return resolved.properties[key];
  return resolved?.additionalProperties;
};

function mergeValue(original: unknown, patch: unknown, schema: Schema | undefined, order: unknown): unknown {
  if (isRecord(patch)) {
    if (isReplaced(schema) || !isRecord(original)) return stripDirectives(mergeMap({}, patch, schema));
    return mergeMap(original, patch, schema);
  }
  if (!Array.isArray(patch)) return patch;
  if (!isMerged(schema)) return patch.map((item) => stripDirectives(item));
  const key = schema!['x-kubernetes-patch-merge-key'];
  const before = Array.isArray(original) ? original : [];
  const merged = key === undefined ? union(before, patch) : mergeList(before, patch, key, resolve(schema!.items));
  // The patch orders what it names, unless it says so apart.
  return ordered(merged, Array.isArray(order) ? order : patch, key, before);
}

const strategies = (schema: Schema | undefined): string[] => (schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');
const isMerged = (schema: Schema | undefined): boolean => strategies(schema).includes('merge');
const isReplaced = (schema: Schema | undefined): boolean => strategies(schema).includes('replace');

function union(before: readonly unknown[], added: readonly unknown[]): unknown[] {
  return [...before, ...added.filter((item) => !before.some((other) => equal(item, other)))];
}

function mergeList(
  before: readonly unknown[],
  patch: readonly unknown[],
  key: string,
  items: Schema | undefined,
): unknown[] {
  let out = [...before];
  if (patch.some((item) => isRecord(item) && item[directive] === 'replace'))
    return patch
      .filter((item) => !(isRecord(item) && item[directive] === 'replace'))
      .map((item) => stripDirectives(item));
  for (const item of patch) {
    if (!isRecord(item)) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const id = item[key];
    if (id === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const at = out.findIndex((other) => isRecord(other) && other[key] === id);
    if (item[directive] === 'delete') out = out.filter((other) => !(isRecord(other) && other[key] === id));
    else if (at < 0) out.push(stripDirectives(mergeMap({}, item, items)));
    else out[at] = mergeMap(out[at] as Json, item, items);
  }
  return out;
}

function stripDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripDirectives);
  if (!isRecord(value)) return value;
  const out: Json = {};
  for (const [key, member] of Object.entries(value))
    if (
      key !== directive &&
      key !== retainKeys &&
      !key.startsWith(orderPrefix) &&
      !key.startsWith(deletePrefix) &&
      member !== null
    )
      setMember(out, key, stripDirectives(member));
  return out;
}

function deleteValues(out: Json, key: string, values: unknown): void {
  const list = out[key];
  if (!Array.isArray(list) || !Array.isArray(values)) return;
  const left = list.filter((item) => !values.some((value) => equal(item, value)));
  if (left.length > 0) setMember(out, key, left);
  else delete out[key];
}

/** `$setElementOrder/x` without a patch of `x` itself orders what is there. */
function orderUntouched(out: Json, patch: Json, key: string, schema: Schema | undefined): void {
  const order = patch[orderPrefix + key];
  if (Object.hasOwn(patch, key) || !Array.isArray(out[key]) || !Array.isArray(order)) return;
  const field = fieldOf(schema, key);
  setMember(out, key, ordered(out[key], order, field?.['x-kubernetes-patch-merge-key'], out[key]));
}

/**
 * Puts items that the order names into that order, and the others where the server had them: an unnamed item goes
 * before a named one exactly if it was before it on the server.
 */
function ordered(
  items: unknown[],
  order: readonly unknown[],
  key: string | undefined,
  server: readonly unknown[],
): unknown[] {
  const id = (item: unknown): unknown => (key !== undefined && isRecord(item) ? item[key] : item);
  const ids = order.map(id);
  const named = items.filter((item) => ids.includes(id(item))).sort((a, b) => ids.indexOf(id(a)) - ids.indexOf(id(b)));
  const others = items.filter((item) => !ids.includes(id(item)));
  const places = server.map(id);
  const out: unknown[] = [];
  while (named.length > 0 && others.length > 0) {
    const other = places.indexOf(id(others[0]));
    const mine = places.indexOf(id(named[0]));
    out.push((other >= 0 && mine >= 0 && other < mine ? others : named).shift());
  }
  return [...out, ...others, ...named];
}
