import type { Attributes } from '../auth/authorize.ts';

const objectsPerSeat = 100;
const widest = 10;

/**
 * How many seats a request takes: one, and for a list, or a watch that begins with one, a seat for each hundred objects that
 * it has to look at, within reason. `stored` tells how many objects of its resource there are.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#seats-occupied-by-a-request
 */
export function widthOf({ verb }: Attributes, query: URLSearchParams, stored: () => number): number {
  if (verb !== 'list' && !(verb === 'watch' && beginsWithList(query))) return 1;
  const limit = Number(query.get('limit')) || Infinity;
  return Math.min(widest, Math.max(1, Math.ceil(Math.min(stored(), limit) / objectsPerSeat)));
}

function beginsWithList(query: URLSearchParams): boolean {
  const version = query.get('resourceVersion') ?? '';
  return query.get('sendInitialEvents') === 'true' || version === '' || version === '0';
}
