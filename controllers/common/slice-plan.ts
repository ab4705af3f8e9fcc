import type { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import type { Stored } from '../../api/meta.ts';
import { equal } from '../../lib/equal.ts';
import { withTrigger, triggerAnnotation } from './trigger-times.ts';

type StoredSlice = EndpointSlice & Stored;
type Endpoint = EndpointSlice['endpoints'][number];

export interface SlicePlan {
  create: EndpointSlice[];
  update: StoredSlice[];
  remove: StoredSlice[];
}

const keyOfSlice = ({ addressType, ports = [] }: EndpointSlice): string =>
  JSON.stringify([
    addressType,
    ports.map(({ name, port, protocol, appProtocol }) => [name, port, protocol, appProtocol]),
  ]);
const keyOfEndpoint = ({ addresses, targetRef }: Endpoint): string => targetRef?.uid ?? addresses.join();

/**
 * The writes that bring the slices of one service to what is wanted, few of them: an endpoint stays in the slice that has it,
 * new ones go where something changes anyway, then into the fullest slice with room. `wanted` has one slice, however long, for each
 * family and set of ports; one without endpoints means that an empty slice shall stand there.
 */
export function planSlices(
  existing: readonly StoredSlice[],
  wanted: readonly EndpointSlice[],
  perSlice: number,
): SlicePlan {
  const spare = new Set(existing);
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  for (const group of merged(wanted)) {
    const own = existing.filter((slice) => spare.has(slice) && keyOfSlice(slice) === keyOfSlice(group));
    own.forEach((slice) => spare.delete(slice));
    const { pages, left } = kept(own, group.endpoints, perSlice);
    for (const { slice, endpoints } of pages) {
      if (endpoints.length === 0 && (group.endpoints.length > 0 || slice !== pages[0]!.slice)) spare.add(slice);
      else if (!same(slice, group, endpoints)) plan.update.push(renewed(slice, group, endpoints));
    }
    for (let at = 0; at < left.length || (at === 0 && own.length === 0); at += perSlice)
      plan.create.push({ ...group, endpoints: left.slice(at, at + perSlice) });
  }
  return reuse(plan, [...spare]);
}

/** Two of the same ports and family would fight for the same slices. */
function merged(wanted: readonly EndpointSlice[]): EndpointSlice[] {
  const groups = new Map<string, EndpointSlice>();
  for (const slice of wanted) {
    const key = keyOfSlice(slice);
    const known = groups.get(key);
    groups.set(key, known ? { ...known, endpoints: [...known.endpoints, ...slice.endpoints] } : slice);
  }
  return [...groups.values()];
}

/** What stays where it is, filled up with what is new; `left` has no room in any of them. */
function kept(own: readonly StoredSlice[], wanted: readonly Endpoint[], perSlice: number) {
  const open = new Map(wanted.map((endpoint) => [keyOfEndpoint(endpoint), endpoint]));
  const pages = own.map((slice) => {
    const endpoints: Endpoint[] = [];
    for (const old of slice.endpoints) {
      const endpoint = open.get(keyOfEndpoint(old));
      if (!endpoint || endpoints.length >= perSlice) continue;
      endpoints.push(endpoint);
      open.delete(keyOfEndpoint(old));
    }
    return { slice, endpoints, changed: !equal(endpoints, slice.endpoints) };
  });
  const left = [...open.values()];
  const order = [...pages].sort(
    (a, b) => Number(b.changed) - Number(a.changed) || b.endpoints.length - a.endpoints.length,
  );
  for (const { endpoints } of order) endpoints.push(...left.splice(0, perSlice - endpoints.length));
  return { pages, left };
}

/** The trigger time alone is no reason to write. */
function same(slice: StoredSlice, group: EndpointSlice, endpoints: readonly Endpoint[]): boolean {
  return equal(slice.endpoints, endpoints) && equal(slice.metadata.labels ?? {}, group.metadata.labels ?? {});
}

function renewed(slice: StoredSlice, group: EndpointSlice, endpoints: Endpoint[]): StoredSlice {
  const { labels, annotations } = group.metadata;
  const { name, uid, resourceVersion } = slice.metadata;
  const noted = withTrigger(slice.metadata, annotations?.[triggerAnnotation]);
  const metadata = { ...noted, name, uid, resourceVersion, ...(labels ? { labels } : {}) };
  return { ...slice, metadata, endpoints, ports: group.ports ?? [] };
}

/** A slice that would go is filled anew where one would be made: watchers see one change instead of two. */
function reuse({ create, update }: SlicePlan, spare: StoredSlice[]): SlicePlan {
  const made = create.flatMap((slice) => {
    const at = spare.findIndex(({ addressType }) => addressType === slice.addressType);
    const [old] = at < 0 ? [] : spare.splice(at, 1);
    if (!old) return [slice];
    update.push(renewed(old, slice, slice.endpoints));
    return [];
  });
  return { create: made, update, remove: spare };
}
