import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { notFound } from '../../api/status.ts';
import { keyIn, type Answer, type Call } from '../call.ts';
import { encode, Entry } from '../encoding.ts';
import { readSelection, selects } from '../selection.ts';

/** Makes all objects of a kind that is never kept, as of now. */
export type Compute = () => Promise<KubeObject[]>;

/** GET of one or of all objects of a kind that is never kept. */
export async function readComputed(compute: Compute, { kind, namespace, name, query }: Call): Promise<Answer> {
  const entries = (await compute()).map((object) => entryOf(kind, object));
  if (name !== '') {
    const entry = entries.find(({ key }) => key === keyIn(kind, namespace, name));
    if (!entry) throw notFound(kind, name);
    return { code: 200, kind, entry };
  }
  const selection = readSelection(kind, namespace, query);
  return { code: 200, kind, list: { revision: 0, entries: entries.filter((entry) => selects(selection, entry)) } };
}

const entryOf = (kind: Kind, object: KubeObject): Entry =>
  new Entry(keyIn(kind, object.metadata.namespace ?? '', object.metadata.name ?? ''), 0, encode(kind, object));
