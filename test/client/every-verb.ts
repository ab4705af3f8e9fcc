import { expect } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Client } from '../../client/client.ts';

/** What a watcher of one object hears while something happens to it. */
export async function heard<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  { namespace, name }: { namespace?: string; name: string },
  act: () => Promise<unknown>,
  last: string,
): Promise<string[]> {
  const inNamespace = namespace === undefined ? {} : { namespace };
  const over = new AbortController();
  const types: string[] = [];
  const { metadata } = await client.list(kind, inNamespace);
  const events = client.watch(
    kind,
    { ...inNamespace, fieldSelector: `metadata.name=${name}`, resourceVersion: metadata.resourceVersion },
    over.signal,
  );
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

/** Everything that may be done with objects of a kind, by its API. */
export async function everyVerb<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  make: (name: string) => T,
  namespace: string,
  hasStatus: boolean,
): Promise<void> {
  const labels = { special: 'yes' };
  const labelled = (name: string) => ({ ...make(name), metadata: { ...make(name).metadata, labels } });
  const made = await client.create(kind, labelled('first'));
  const ref = made.metadata;
  expect((await client.get(kind, ref)).metadata.uid).toBe(made.metadata.uid);
  const types = await heard(
    client,
    kind,
    kind.namespaced ? { namespace, name: 'first' } : { name: 'first' },
    async () => {
      const patched = await client.patch(kind, ref, { metadata: { annotations: { patched: 'true' } } });
      expect(patched.metadata.annotations).toMatchObject({ patched: 'true' });
      const current = await client.get(kind, ref);
      const annotations = { ...current.metadata.annotations, updated: 'true' };
      await client.update(kind, { ...current, metadata: { ...current.metadata, annotations } });
      if (hasStatus) {
        const status = { loadBalancer: { ingress: [{ ip: '169.1.1.1' }] } };
        const told = await client.patch(kind, ref, { status }, { subresource: 'status' });
        expect(told).toMatchObject({ status });
      }
      await client.delete(kind, ref);
    },
    'DELETED',
  );
  expect(types.slice(0, 2)).toEqual(['MODIFIED', 'MODIFIED']);
  for (const name of ['second', 'third']) await client.create(kind, labelled(name));
  const listed = await client.list(kind, { labelSelector: 'special=yes' });
  expect(listed.items.map(({ metadata }) => metadata.name)).toEqual(['second', 'third']);
  const base = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`;
  const place = kind.namespaced ? `${base}/namespaces/${namespace}` : base;
  await client.raw('DELETE', `${place}/${kind.plural}?labelSelector=special%3Dyes`);
  expect((await client.list(kind, { labelSelector: 'special=yes' })).items).toEqual([]);
  if (kind.group) {
    const groups = await client.raw<{ groups: { name: string }[] }>('GET', '/apis');
    expect(groups.groups.map(({ name }) => name)).toContain(kind.group);
  }
  const { resources } = await client.raw<{ resources: { name: string }[] }>('GET', base);
  expect(resources.map(({ name }) => name)).toContain(kind.plural);
}
