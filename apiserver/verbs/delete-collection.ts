import type { Answer, Call } from '../call.ts';
import { isNotFound } from '../../api/status.ts';
import type { Entry } from '../encoding.ts';
import type { Registry } from '../registry.ts';
import { deleteObject, deleteOptions, warnOfOrphans } from './delete.ts';
import { list } from './list.ts';

const inFlight = 8;

/** DELETE of a collection: everything the selectors choose. */
export async function deleteCollection(registry: Registry, call: Call): Promise<Answer> {
  const { kind } = call;
  const options = deleteOptions(call);
  warnOfOrphans(kind, options);
  const answer = await list(registry, call);
  if (!('list' in answer)) return answer;
  const waiting = [...answer.list.entries];
  const deleted: Entry[] = [];
  const work = async () => {
    for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
      try {
        deleted.push((await deleteObject(registry, kind, entry.key, options)).entry);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return { code: 200, kind, list: { revision: registry.feed.revision, entries: deleted } };
}
