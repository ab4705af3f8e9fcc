import { notFound } from '../../api/status.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { readWanted, settle } from '../versions.ts';

/** GET of one object. */
export async function get(registry: Registry, call: Call): Promise<Answer> {
  const { kind, namespace, name } = call;
  const key = keyIn(kind, namespace, name);
  const cached = await settle(registry.feed, readWanted(call.query, true));
  const entry = cached ? registry.feed.cache(kind).get(key) : await registry.read(kind, key);
  if (!entry) throw notFound(kind, name);
  return { code: 200, kind, entry };
}
