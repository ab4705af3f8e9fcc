import { invalid, forbiddenField, notSupported } from '../api/field-error.ts';
import { badRequest, StatusError, timedOut } from '../api/status.ts';
import type { Feed } from './feed.ts';

/** How fresh, or how exact, an answer must be: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions */
export interface Wanted {
  /** undefined: as new as there is. */
  revision: number | undefined;
  exact: boolean;
}

/** Milliseconds that a read waits for a revision that has not come yet. */
const patience = 3000;

export function readWanted(query: URLSearchParams, isWatch: boolean): Wanted {
  const text = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const revision = parseRevision(text);
  if (isWatch) return { revision, exact: false };
  if (match === '') return { revision, exact: false };
  const options = { group: 'meta.k8s.io', kind: 'ListOptions' };
  if (match !== 'Exact' && match !== 'NotOlderThan')
    throw invalid(options, '', [notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan'])]);
  if (text === '')
    throw invalid(options, '', [
      forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
    ]);
  if (query.get('continue'))
    throw invalid(options, '', [
      forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'),
    ]);
  if (match === 'Exact' && revision === 0)
    throw invalid(options, '', [
      forbiddenField('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    ]);
  return { revision, exact: match === 'Exact' };
}

export function parseRevision(text: string): number | undefined {
  if (text === '') return undefined;
  const revision = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(revision))
    throw badRequest(
      `Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`.replace(
        'Invalid value',
        'resourceVersion: Invalid value',
      ),
    );
  return revision;
}

/** Waits until the caches are as new as asked. False: read from the store instead. */
export async function settle(feed: Feed, { revision }: Wanted): Promise<boolean> {
  if (revision === undefined) return feed.fresh();
  if (await feed.waitFor(revision, patience)) return true;
  throw tooLarge(revision, feed.revision);
}

export function tooLarge(asked: number, current: number): StatusError {
  const error = timedOut(`Too large resource version: ${asked}, current: ${current}`);
  error.status.details!.causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return error;
}
