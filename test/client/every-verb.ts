import { expect } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Client } from '../../client/client.ts';

interface Named {
  namespace?: string;
  name: string;
}

/** What a watcher of one object hears while something happens to it, until it has heard `last`. */
export async function heard<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  { namespace, name }: Named,
  act: () => Promise<unknown>,
  last = 'DELETED',
): Promise<string[]> {
  const over = new AbortController();
  const types: string[] = [];
  const place = namespace ? { namespace } : {};
  const { metadata } = await client.list(kind, place);
  const { resourceVersion = '' } = metadata;
  const events = client.watch(kind, { ...place, fieldSelector: `metadata.name=${name}`, resourceVersion }, over.signal);
  const watching = (async () => {
    for await (const { type } of events) {
      types.push(type);
      if (type === last) return;
    }
  })();
  await act();
  await watching;
  over.abort();
  return types;
}

/** Everything that may be done with objects of a kind, by its API; `status` is one to be told, where the kind has one. */
export async function everyVerb<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  make: (name: string) => T,
  status?: object,
): Promise<void> {
  const namespace = make('any').metadata.namespace ?? '';
  const place = kind.namespaced ? { namespace } : {};
  const labels = { special: 'yes' };
  const labelled = (name: string) => ({ ...make(name), metadata: { ...make(name).metadata, labels } });
  const made = await client.create(kind, labelled('first'));
  const ref = { ...place, name: 'first' };
  expect((await client.get(kind, ref)).metadata.uid).toBe(made.metadata.uid);
  const types = await heard(client, kind, ref, async () => {
    const patched = await client.patch(kind, ref, { metadata: { annotations: { patched: 'true' } } });
    expect(patched.metadata.annotations).toMatchObject({ patched: 'true' });
    const current = await client.get(kind, ref);
    const annotations = { ...current.metadata.annotations, updated: 'true' };
    const updated = await client.update(kind, { ...current, metadata: { ...current.metadata, annotations } });
    expect(updated.metadata.annotations).toMatchObject({ patched: 'true', updated: 'true' });
    if (status) expect(await client.patch(kind, ref, { status }, { subresource: 'status' })).toMatchObject({ status });
    await client.delete(kind, ref);
  });
  expect(types.slice(0, 2)).toEqual(['MODIFIED', 'MODIFIED']);
  for (const name of ['second', 'third']) await client.create(kind, labelled(name));
  for (const where of [{}, place]) {
    const { items } = await client.list(kind, { ...where, labelSelector: 'special=yes' });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['second', 'third']);
  }
  await deleteCollection(client, kind, 'special=yes', namespace);
  expect((await client.list(kind, { labelSelector: 'special=yes' })).items).toEqual([]);
  await isDiscovered(client, kind);
}

const pathOf = ({ group, version }: { group: string; version: string }): string =>
  group ? `/apis/${group}/${version}` : `/api/${version}`;

/** Deletes what a selector names, in a namespace where the kind has one. */
export async function deleteCollection<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  labelSelector: string,
  namespace = '',
): Promise<void> {
  const place = kind.namespaced ? `/namespaces/${namespace}` : '';
  const query = new URLSearchParams({ labelSelector }).toString();
  await client.raw('DELETE', `${pathOf(kind)}${place}/${kind.plural}?${query}`);
}

async function isDiscovered<T extends KubeObject>(client: Client, kind: Kind<T>): Promise<void> {
  if (kind.group) {
    const { groups } = await client.raw<{ groups: { name: string }[] }>('GET', '/apis');
    expect(groups.map(({ name }) => name)).toContain(kind.group);
  }
  const { resources } = await client.raw<{ resources: { name: string }[] }>('GET', pathOf(kind));
  expect(resources.map(({ name }) => name)).toContain(kind.plural);
}
