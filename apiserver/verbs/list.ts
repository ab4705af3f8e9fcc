import { forbiddenField, invalid } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import { badRequest, expired, StatusError } from '../../api/status.ts';
import type { Answer, Call, ListAnswer } from '../call.ts';
import { Entry, prefixOf } from '../encoding.ts';
import type { Registry } from '../registry.ts';
import { readSelection, selects, type Selection } from '../selection.ts';
import { Compacted, FutureRevision } from '../store.ts';
import { readWanted, settle, tooLarge } from '../versions.ts';

/** GET of a collection: from the cache, or page by page from the store where a past revision is asked for. */
export async function list(registry: Registry, call: Call): Promise<Answer> {
  const { kind, query } = call;
  const selection = readSelection(kind, call.namespace, query);
  const limit = readLimit(query.get('limit'));
  const token = query.get('continue');
  const wanted = readWanted(query, false);
  if (query.has('sendInitialEvents'))
    throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', [
      forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'),
    ]);
  if (token) {
    if (wanted.revision !== undefined && wanted.revision !== 0)
      throw badRequest('specifying resource version is not allowed when using continue');
    const { revision, from } = readToken(token);
    return { code: 200, kind, list: await fromStore(registry, call, selection, limit, revision, from) };
  }
  // A first page of a named revision is of that revision, as are those after it.
  const isPaged = limit > 0 && !query.get('resourceVersionMatch') && (wanted.revision ?? 0) > 0;
  if (wanted.exact || isPaged)
    return { code: 200, kind, list: await fromStore(registry, call, selection, limit, wanted.revision!, '') };
  const cached = await settle(registry.feed, wanted);
  const list = cached
    ? fromCache(registry, call, selection, wanted.revision === 0 ? 0 : limit)
    : await fromStore(registry, call, selection, limit, 0, '');
  return { code: 200, kind, list };
}

function readLimit(text: string | null): number {
  if (!text) return 0;
  if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Math.max(0, Number(text));
}

function fromCache(registry: Registry, call: Call, selection: Selection, limit: number): ListAnswer {
  const { feed } = registry;
  const all = feed.cache(call.kind).list(selection.namespace);
  const { matches } = selection;
  const { revision } = feed;
  if (limit === 0) return { revision, entries: matches ? all.filter(matches) : all };
  const entries: Entry[] = [];
  let at = 0;
  for (; at < all.length && entries.length < limit; at++) if (!matches || matches(all[at]!)) entries.push(all[at]!);
  if (at >= all.length) return { revision, entries };
  return {
    revision,
    entries,
    continue: writeToken(revision, all[at - 1]!.key),
    ...(matches ? {} : { remaining: all.length - at }),
  };
}

async function fromStore(
  registry: Registry,
  call: Call,
  selection: Selection,
  limit: number,
  revision: number,
  after: string,
): Promise<ListAnswer> {
  const root = prefixOf(call.kind);
  const prefix = selection.namespace ? `${root}${selection.namespace}/` : root;
  const entries: Entry[] = [];
  let from = after ? `${root}${after}\0` : prefix;
  let at = revision;
  for (;;) {
    const page = await readPage(registry, call.kind, prefix, at, from, limit ? Math.max(limit, 500) : 2000);
    at = page.revision;
    for (const [i, item] of page.items.entries()) {
      const entry = Entry.of(item, root);
      if (selects(selection, entry)) entries.push(entry);
      const left = page.remaining + page.items.length - i - 1;
      if (limit && entries.length === limit && left > 0)
        return {
          revision: at,
          entries,
          continue: writeToken(at, entry.key),
          ...(selection.matches ? {} : { remaining: left }),
        };
    }
    if (!page.more) return { revision: at, entries };
    from = `${page.items.at(-1)!.key}\0`;
  }
}

async function readPage(registry: Registry, kind: Kind, prefix: string, revision: number, from: string, limit: number) {
  try {
    return await registry.store.list(prefix, { ...(revision ? { revision } : {}), limit, from });
  } catch (error) {
    if (error instanceof Compacted)
      throw from === prefix
        ? expired('The resourceVersion for the provided list is too old.')
        : goOnWith(from.slice(0, -1).slice(prefixOf(kind).length));
    if (error instanceof FutureRevision) throw tooLarge(revision, error.current);
    throw error;
  }
}

/** The history of a paged list is gone; its token leads on through what there is now, for those who can live with that. */
function goOnWith(lastKey: string): StatusError {
  const error = expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  );
  error.status.metadata.continue = writeToken(latest, lastKey);
  return error;
}

/** In a token: whatever revision there is. */
const latest = -1;

const writeToken = (revision: number, key: string): string =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: key })).toString('base64url');

function readToken(token: string): { revision: number; from: string } {
  const refusal = (why: string): StatusError => badRequest(`continue key is not valid: ${why}`);
  let parsed: { v?: unknown; rv?: unknown; start?: unknown };
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString()) as typeof parsed;
  } catch (error) {
    throw refusal((error as Error).message);
  }
  if (parsed?.v !== 'meta.k8s.io/v1')
    throw refusal(`server does not recognize this encoded version "${String(parsed?.v)}"`);
  if (typeof parsed.rv !== 'number' || !Number.isSafeInteger(parsed.rv) || (parsed.rv <= 0 && parsed.rv !== latest))
    throw refusal('incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  if (typeof parsed.start !== 'string' || parsed.start === '')
    throw refusal('encoded start key empty (version meta.k8s.io/v1)');
  return { revision: parsed.rv === latest ? 0 : parsed.rv, from: parsed.start };
}
