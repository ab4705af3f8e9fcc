import type { Attributes } from '../auth/authorize.ts';

const objectsPerSeat = 100;
const watchersPerSeat = 10;
const widest = 10;
/** How long a seat is busy with the watchers of one write. */
const msPerSeat = 5;

/** What a request takes of its level. */
export interface Width {
  seats: number;
  /** How long it keeps them after its answer, in milliseconds. */
  lingersMs: number;
}

const single: Width = { seats: 1, lingersMs: 0 };
const writes = new Set(['create', 'update', 'patch', 'delete']);

/**
 * One seat; for a list, or a watch that begins with one, a seat for each hundred objects that it has to look at, within
 * reason; for a write of what many watch, a seat for each ten watchers, kept while they are told. `stored` and `watchers`
 * tell how many there are of the request's resource.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#seats-occupied-by-a-request
 */
export function widthOf(
  { verb }: Attributes,
  query: URLSearchParams,
  stored: () => number,
  watchers: () => number,
): Width {
  if (verb === 'list' || (verb === 'watch' && beginsWithList(query))) {
    const limit = Number(query.get('limit')) || Infinity;
    const seats = Math.ceil(Math.min(stored(), limit) / objectsPerSeat);
    return { seats: Math.min(widest, Math.max(1, seats)), lingersMs: 0 };
  }
  if (!writes.has(verb)) return single;
  const told = watchers();
  if (told < watchersPerSeat) return single;
  const work = Math.ceil(told / watchersPerSeat);
  const seats = Math.min(widest, work);
  return { seats, lingersMs: (work * msPerSeat) / seats };
}

function beginsWithList(query: URLSearchParams): boolean {
  const version = query.get('resourceVersion') ?? '';
  return query.get('sendInitialEvents') === 'true' || version === '' || version === '0';
}
