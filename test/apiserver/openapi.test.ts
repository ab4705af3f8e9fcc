import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { builtinKinds } from '../../api/kinds/index.ts';
import { resourcePath } from '../../api/kind.ts';
import { startServer, type Json, type TestServer, listOf } from './harness.ts';

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

const json = async (path: string) => (await s.call('GET', path)).json;

describe('OpenAPI', () => {
  test('v2 and v3 describe every kind and every path of it', async () => {
    const v2 = await json('/openapi/v2');
    for (const kind of builtinKinds) {
      const v3 = await json(`/openapi/v3/${kind.group ? `apis/${kind.group}` : 'api'}/${kind.version}`);
      const { group, version } = kind;
      const is = (one: Json) => JSON.stringify(one).includes(JSON.stringify({ group, kind: kind.kind, version }));
      for (const definitions of [v2['definitions']!, v3['components']!['schemas']!])
        expect([kind.kind, Object.values(definitions).some(is)]).toEqual([kind.kind, true]);
      const path = decodeURIComponent(resourcePath(kind, kind.namespaced ? '{namespace}' : undefined));
      const subresources = kind.verbs || kind.question ? [] : ['', ...kind.subresources.map((name) => `/${name}`)];
      const paths = [path, ...subresources.map((subresource) => `${path}/{name}${subresource}`)];
      for (const document of [v2, v3]) expect(paths.filter((one) => !document['paths']![one])).toEqual([]);
    }
  });

  test('names every operation once in a document', async () => {
    for (const path of ['/openapi/v3/api/v1', '/openapi/v3/apis/apps/v1', '/openapi/v3/apis/autoscaling/v2']) {
      const items = Object.values((await json(path))['paths']!).flatMap((item) => Object.values(item));
      const ids = items.map((operation) => operation['operationId']).filter((id) => id !== undefined);
      expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    }
    const { paths } = await json('/openapi/v3/api/v1');
    expect(paths!['/api/v1/namespaces/{namespace}/pods']!['post']!['operationId']).toBe('createCoreV1NamespacedPod');
  });
});

test('discovery is told apart by its tag, in both aggregated forms', async () => {
  for (const version of ['v2', 'v2beta1']) {
    const accept = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    const first = await s.call('GET', '/apis', undefined, { accept });
    expect(first.json).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}` });
    const again = await s.call('GET', '/apis', undefined, { accept, 'if-none-match': first.headers['etag']! });
    expect([again.status, again.text]).toEqual([304, '']);
  }
});

test('groups come in their order, the preferred version first, with the hash of the stored form', async () => {
  const groups = listOf((await json('/apis'))['groups']);
  expect(groups.slice(0, 3).map((group) => group['name'])).toEqual(['apiregistration.k8s.io', 'apps', 'events.k8s.io']);
  expect((await json('/apis/autoscaling'))['preferredVersion']).toEqual({
    groupVersion: 'autoscaling/v2',
    version: 'v2',
  });
  const resources = listOf((await json('/api/v1'))['resources']);
  const resource = (name: string) => resources.find((one) => (one['name'] as unknown) === name);
  expect(resource('pods')).toMatchObject({ storageVersionHash: 'xPOwRZ+Yhw8=', shortNames: ['po'] });
  expect(resource('bindings')).toMatchObject({ verbs: ['create'] });
  expect(resource('replicationcontrollers/scale')).toMatchObject({
    group: 'autoscaling',
    version: 'v1',
    kind: 'Scale',
  });
});

test('everything of a Pod is described, down to its last field', async () => {
  const document = await json('/openapi/v3/api/v1');
  const bare = Object.entries(document['components']!['schemas']!)
    .filter(([name]) =>
      /^io\.k8s\.api\.core\.v1\.(Pod|Container|Volume|Probe|SecurityContext)(?!\w*Options$)/.test(name),
    )
    .flatMap(([name, { description, properties = {} }]) => [
      ...(description ? [] : [name]),
      ...Object.entries(properties).flatMap(([property, own]) => (own['description'] ? [] : [`${name}.${property}`])),
    ]);
  expect(bare).toEqual([]);
});
