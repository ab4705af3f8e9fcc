import { request } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEmbedded } from '../../../apiserver/embedded.ts';
import type { Store } from '../../../apiserver/store.ts';
import { adminToken, startServer, type Json, type TestServer, listOf } from '../harness.ts';

// What https://kubernetes.io/docs/reference/using-api/api-concepts/ promises and no other suite shows.

const configMaps = '/api/v1/namespaces/default/configmaps';
let s: TestServer;
let store: Store;
beforeAll(async () => {
  store = openEmbedded(':memory:');
  s = await startServer({}, { store });
  for (let i = 0; i < 6; i++)
    await s.call('POST', configMaps, {
      metadata: { name: `page-${i}`, labels: { app: 'pages', parity: i % 2 ? 'odd' : 'even' } },
      data: { text: 'x'.repeat(40 * 1024) },
    });
});
afterAll(async () => {
  await s.stop();
  await store.close();
});

const names = (json: Json) =>
  (json['items'] as unknown as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
const pages = `${configMaps}?labelSelector=app%3Dpages`;

describe('retrieving large results sets in chunks', () => {
  // https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
  test('all pages are of the version of the first one, whatever is written meanwhile', async () => {
    const first = (await s.call('GET', `${pages}&limit=4`)).json;
    const { continue: next, resourceVersion } = first['metadata'] as unknown as Record<string, string>;
    await s.call('DELETE', `${configMaps}/page-5`);
    const second = (await s.call('GET', `${pages}&limit=4&continue=${encodeURIComponent(next!)}`)).json;
    expect(names(second)).toEqual(['page-4', 'page-5']);
    expect(second['metadata']).toMatchObject({ resourceVersion });
    expect(second['metadata']!['continue'] ?? '').toBe('');
  });

  test('a token whose version is forgotten is refused with 410 and one that goes on at the newest version', async () => {
    const first = (await s.call('GET', `${pages}&limit=2`)).json;
    const next = encodeURIComponent(String(first['metadata']!['continue']));
    const written = await s.call('POST', configMaps, { metadata: { name: 'page-9', labels: { app: 'pages' } } });
    await store.compact(Number(written.json['metadata']!['resourceVersion']));
    const { status, json } = await s.call('GET', `${pages}&limit=2&continue=${next}`);
    expect(status).toBe(410);
    expect(json).toMatchObject({ kind: 'Status', reason: 'Expired', code: 410 });
    const other = encodeURIComponent(String(json['metadata']!['continue']));
    const rest = await s.call('GET', `${pages}&continue=${other}`);
    expect(rest.status).toBe(200);
    expect(names(rest.json)).toEqual(['page-2', 'page-3', 'page-4', 'page-9']);
  });
});

describe('receiving resources as Tables', () => {
  // https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
  const table = 'application/json;as=Table;g=meta.k8s.io;v=v1';
  const rows = async (query: string) => {
    const { json } = await s.call('GET', `${configMaps}?labelSelector=parity%3Deven${query}`, undefined, {
      accept: table,
    });
    expect(json['kind']).toBe('Table');
    return listOf<{ object?: Json }>(json['rows']);
  };

  test.each([
    ['', 'PartialObjectMetadata'],
    ['&includeObject=Metadata', 'PartialObjectMetadata'],
    ['&includeObject=Object', 'ConfigMap'],
    ['&includeObject=None', undefined],
  ])('rows%s hold %s', async (query, kind) => {
    const [row] = await rows(query);
    expect((row?.object ?? undefined)?.['kind']).toBe(kind);
    expect(row?.object?.['data'] !== undefined).toBe(kind === 'ConfigMap');
  });

  test('who cannot read a form that there is not is told so, unless plain JSON will do', async () => {
    const future = 'application/json;as=Table;g=meta.k8s.io;v=v99';
    expect((await s.call('GET', configMaps, undefined, { accept: future })).status).toBe(406);
    const { json } = await s.call('GET', configMaps, undefined, { accept: `${future}, application/json` });
    expect(json['kind']).toBe('ConfigMapList');
  });
});

// https://kubernetes.io/docs/reference/using-api/api-concepts/#compressing-responses
test.each([
  ['a large list for who accepts it', pages, 'gzip', 'gzip'],
  ['no large list for others', pages, 'identity', undefined],
  ['no small answer', `${configMaps}/page-9`, 'gzip', undefined],
])('compresses %s', async (_, path, accepts, encoding) => {
  const { headers, body } = await raw(path, accepts);
  expect(headers['content-encoding']).toBe(encoding);
  const text = encoding ? gunzipSync(body) : body;
  expect(JSON.parse(text.toString())).toMatchObject({ kind: path === pages ? 'ConfigMapList' : 'ConfigMap' });
});

function raw(path: string, accepts: string): Promise<{ headers: Record<string, unknown>; body: Buffer }> {
  const headers = { authorization: `Bearer ${adminToken}`, 'accept-encoding': accepts };
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port: s.port, ca: s.ca.pem, path, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(chunks) }));
    });
    asking.on('error', reject);
    asking.end();
  });
}

// https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run-authorization
test('a dry run needs the permission of the real thing, and keeps nothing', async () => {
  const asNobody = { 'impersonate-user': 'nobody' };
  const object = { metadata: { generateName: 'dry-' } };
  expect((await s.call('POST', `${configMaps}?dryRun=All`, object, asNobody)).status).toBe(403);
  const { status, json } = await s.call('POST', `${configMaps}?dryRun=All`, object);
  expect([status, json['kind']]).toEqual([201, 'ConfigMap']);
  const name = String(json['metadata']!['name']);
  expect(name).toMatch(/^dry-.{5}$/);
  expect((await s.call('GET', `${configMaps}/${name}`)).status).toBe(404);
});
