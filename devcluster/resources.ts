/**
 * Arithmetic of resources, as Mesos does it: scalars in thousandths, ranges normalized, sets by item.
 * Two resources are of one kind when everything but their amount is equal; only those add up.
 * All functions leave their arguments alone; an amount of nothing is dropped.
 */
import type { Range, Resource } from '../mesos/types.ts';

const thousandths = (value: number): number => Math.round(value * 1000);

/** What must be equal for two resources to be the same stuff. */
export function kindOf(resource: Resource): string {
  const { name, type, reservations, allocation_info, disk, revocable, shared, provider_id } = resource;
  if (!reservations?.length && !disk && !revocable && !shared && !provider_id)
    return `${name}|${type}|${allocation_info?.role ?? ''}`;
  const rest = [reservations ?? [], disk, revocable, shared, provider_id];
  return `${name}|${type}|${allocation_info?.role ?? ''}|${JSON.stringify(rest, byKey)}`;
}

/** The order in which somebody wrote the members of a message means nothing. */
const byKey = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

export function isEmpty(resource: Resource): boolean {
  if (resource.type === 'SCALAR') return thousandths(resource.scalar?.value ?? 0) <= 0;
  if (resource.type === 'RANGES') return (resource.ranges?.range ?? []).length === 0;
  return (resource.set?.item ?? []).length === 0;
}

export function add(a: readonly Resource[], b: readonly Resource[]): Resource[] {
  return combine(a, b, {
    scalar: (x, y) => x + y,
    ranges: (x, y) => normalize([...x, ...y]),
    items: (x, y) => [...new Set([...x, ...y])],
  });
}

/** What is left of `a`; `b` beyond it counts as nothing. */
export function subtract(a: readonly Resource[], b: readonly Resource[]): Resource[] {
  return combine(a, b, {
    scalar: (x, y) => Math.max(0, x - y),
    ranges: subtractRanges,
    items: (x, y) => x.filter((item) => !y.includes(item)),
  });
}

interface Combine {
  scalar(x: number, y: number): number;
  ranges(x: readonly Range[], y: readonly Range[]): Range[];
  items(x: readonly string[], y: readonly string[]): string[];
}

function combine(a: readonly Resource[], b: readonly Resource[], how: Combine): Resource[] {
  const out = new Map<string, Resource>();
  for (const resource of a) put(out, resource, undefined, how);
  for (const resource of b) put(out, resource, true, how);
  return [...out.values()].filter((resource) => !isEmpty(resource));
}

/** `second` tells that it belongs to the second operand; what stands twice in one operand adds up. */
function put(out: Map<string, Resource>, resource: Resource, second: true | undefined, how: Combine): void {
  const kind = kindOf(resource);
  const before = out.get(kind);
  const does = second ? how : adding;
  if (resource.type === 'SCALAR') {
    const value = does.scalar(thousandths(before?.scalar?.value ?? 0), thousandths(resource.scalar?.value ?? 0)) / 1000;
    out.set(kind, { ...(before ?? resource), scalar: { value } });
  } else if (resource.type === 'RANGES') {
    const range = does.ranges(before?.ranges?.range ?? [], resource.ranges?.range ?? []);
    out.set(kind, { ...(before ?? resource), ranges: { range } });
  } else {
    const item = does.items(before?.set?.item ?? [], resource.set?.item ?? []);
    out.set(kind, { ...(before ?? resource), set: { item } });
  }
}

const adding: Combine = {
  scalar: (x, y) => x + y,
  ranges: (x, y) => normalize([...x, ...y]),
  items: (x, y) => [...new Set([...x, ...y])],
};

/** Whether all of `b` is in `a`. */
export function contains(a: readonly Resource[], b: readonly Resource[]): boolean {
  const have = new Map(add([], a).map((resource) => [kindOf(resource), resource]));
  return add([], b).every((wanted) => {
    const there = have.get(kindOf(wanted));
    if (!there) return false;
    // A volume is had whole or not at all.
    if (wanted.disk?.persistence) return thousandths(there.scalar!.value) === thousandths(wanted.scalar!.value);
    if (wanted.type === 'SCALAR') return thousandths(there.scalar!.value) >= thousandths(wanted.scalar!.value);
    if (wanted.type === 'RANGES') return subtractRanges(wanted.ranges!.range!, there.ranges!.range!).length === 0;
    return wanted.set!.item!.every((item) => there.set!.item!.includes(item));
  });
}

export function normalize(ranges: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const range of ranges.toSorted((x, y) => Number(x.begin - y.begin))) {
    const last = out.at(-1);
    if (!last || range.begin > last.end + 1n) out.push({ ...range });
    else if (range.end > last.end) last.end = range.end;
  }
  return out;
}

function subtractRanges(from: readonly Range[], take: readonly Range[]): Range[] {
  let left = normalize(from);
  for (const { begin, end } of take)
    left = left.flatMap((range) => {
      if (end < range.begin || begin > range.end) return [range];
      const before = { begin: range.begin, end: begin - 1n };
      const after = { begin: end + 1n, end: range.end };
      return [before, after].filter((part) => part.begin <= part.end);
    });
  return left;
}

export const allocate = (resources: readonly Resource[], role: string): Resource[] =>
  resources.map((resource) => ({ ...resource, allocation_info: { role } }));

export const unallocate = (resources: readonly Resource[]): Resource[] =>
  resources.map(({ allocation_info: _role, ...resource }) => resource);

/** The whole of a scalar, over all its kinds. */
export function scalarOf(resources: readonly Resource[], name: string): number {
  let sum = 0;
  for (const resource of resources)
    if (resource.name === name && resource.type === 'SCALAR') sum += thousandths(resource.scalar?.value ?? 0);
  return sum / 1000;
}

/** The role that may use it: of its last reservation; '*' for everyone. */
export const reservedRole = (resource: Resource): string =>
  resource.reservations?.at(-1)?.role ?? (resource.reservations ? '*' : (resource.role ?? '*'));

/** What an agent must remember: reservations made while it ran, and volumes. */
export const isCheckpointed = ({ reservations = [], disk }: Resource): boolean =>
  reservations.some(({ type }) => type === 'DYNAMIC') || disk?.persistence !== undefined;

/** The deprecated members `role` and `reservation`, which can tell of one reservation. */
export function inOldForm({ reservations = [] }: Resource): Pick<Resource, 'role' | 'reservation'> {
  const { type, role = '*', principal, labels } = reservations.at(-1) ?? {};
  if (type !== 'DYNAMIC') return { role };
  return { role, reservation: { ...(principal === undefined ? {} : { principal }), ...(labels ? { labels } : {}) } };
}

/** For frameworks without RESERVATION_REFINEMENT. */
export function withRole(resource: Resource): Resource {
  const { reservations: _refined, ...rest } = resource;
  return { ...rest, ...inOldForm(resource) };
}

/** The form with `reservations`, whatever came. */
export function refined(resource: Resource): Resource {
  const { role, reservation, ...rest } = resource;
  if (resource.reservations || role === undefined || role === '*') return rest;
  return { ...rest, reservations: [{ ...reservation, type: reservation ? 'DYNAMIC' : 'STATIC', role }] };
}
