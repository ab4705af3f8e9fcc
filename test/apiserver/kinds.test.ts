import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resourcePath, type Kind } from '../../api/kind.ts';
import { builtinKinds } from '../../api/kinds/index.ts';
import { follow } from './follow.ts';
import { startServer, type Json, type TestServer, listOf } from './harness.ts';
import { minimalObjects, objectNames } from './minimal-objects.ts';

const merge = { 'content-type': 'application/merge-patch+json' };
const kinds = builtinKinds
  .filter((kind) => `${kind.apiVersion}/${kind.kind}` in minimalObjects)
  .map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind] as const);

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

const pathOf = (kind: Kind, name?: string, subresource?: string) =>
  resourcePath(kind, kind.namespaced ? 'default' : undefined, name, subresource);

const cellNames = (table: Json) => listOf(table['columnDefinitions']).map((column) => column['name']);

describe.each(kinds)('%s', (id, kind) => {
  const name = objectNames[id] ?? 'x';
  const one = pathOf(kind, name);
  const named = () => ({ metadata: { name }, ...minimalObjects[id] });

  test('is made, read in every form, changed, watched and deleted', async () => {
    const made = await s.call('POST', pathOf(kind), named());
    expect([made.status, made.json['message']]).toEqual([201, undefined]);
    expect(made.json).toMatchObject({ kind: kind.kind, apiVersion: kind.apiVersion, metadata: { name } });

    const listed = await s.call('GET', `${pathOf(kind)}?fieldSelector=metadata.name%3D${name}`);
    expect(listed.json).toMatchObject({ kind: kind.listKind, items: [{ metadata: { name } }] });

    const as = (form: string) => ({ accept: `application/json;as=${form};v=v1;g=meta.k8s.io` });
    const table = (await s.call('GET', one, undefined, as('Table'))).json;
    expect(cellNames(table)).toEqual((kind.columns ?? []).map((column) => column.name));
    const cells = listOf<unknown>(table['rows']![0]!['cells']);
    expect(cells.filter((cell) => cell === null || cell === undefined)).toEqual([]);
    expect((await s.call('GET', one, undefined, as('PartialObjectMetadata'))).json).toMatchObject({
      kind: 'PartialObjectMetadata',
      metadata: { name },
    });

    const patched = await s.call('PATCH', one, { metadata: { labels: { seen: 'yes' } } }, merge);
    expect([patched.status, patched.json['message']]).toEqual([200, undefined]);
    const put = await s.call('PUT', one, patched.json);
    expect([put.status, put.json['message']]).toEqual([200, undefined]);
    expect(put.json['metadata']!['resourceVersion']).toBe(patched.json['metadata']!['resourceVersion']);

    if (kind.subresources.includes('status')) {
      const status = await s.call('PUT', pathOf(kind, name, 'status'), patched.json);
      expect([status.status, status.json['message']]).toEqual([200, undefined]);
    }
    const gone = await s.call('DELETE', `${one}?gracePeriodSeconds=0`);
    expect([gone.status, gone.json['message']]).toEqual([200, undefined]);
    const from = String(made.json['metadata']!['resourceVersion']);
    const watched = await follow(
      s,
      `${pathOf(kind)}?watch=1&resourceVersion=${from}&fieldSelector=metadata.name%3D${name}`,
    );
    expect((await watched.next(1))[0]).toMatchObject({
      type: 'MODIFIED',
      object: { kind: kind.kind, metadata: { name } },
    });
    watched.close();
  });
});
