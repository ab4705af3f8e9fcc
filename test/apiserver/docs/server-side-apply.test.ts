import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { kubectls, runKubectl } from '../kubectls.ts';
import { listOf, startServer, type Json, type Reply, type TestServer } from '../harness.ts';

// What https://kubernetes.io/docs/reference/using-api/server-side-apply/ promises and no other suite shows.

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

const configMaps = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string, data: object) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels: { 'test-label': 'test' } },
  data,
});
const apply = (path: string, body: object, manager: string, query = ''): Promise<Reply> =>
  s.call('PATCH', `${path}?fieldManager=${manager}${query}`, body, { 'content-type': 'application/apply-patch+yaml' });
const rows = (reply: Reply): Json[] => listOf(reply.json['metadata']!['managedFields']);

describe('field management', () => {
  test('the example of the page: one row, with the time, the version and the fields of the applier', async () => {
    const made = await apply(`${configMaps}/test-cm`, configMap('test-cm', { key: 'some value' }), 'kubectl');
    expect(made.status).toBe(201);
    expect(rows(made)).toEqual([
      {
        manager: 'kubectl',
        operation: 'Apply',
        apiVersion: 'v1',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:metadata': { 'f:labels': { 'f:test-label': {} } }, 'f:data': { 'f:key': {} } },
      },
    ]);
  });

  test('an update through another door or by another operation has a row of its own', async () => {
    await apply(`${configMaps}/rows`, configMap('rows', { key: 'one' }), 'both');
    const updated = await s.call('PATCH', `${configMaps}/rows?fieldManager=both`, { data: { other: 'x' } }, merge);
    expect(rows(updated).map(({ manager, operation }) => [manager, operation])).toEqual([
      ['both', 'Apply'],
      ['both', 'Update'],
    ]);
  });

  test('what nobody applies any more goes back to its default where it has one', async () => {
    const deployments = '/apis/apps/v1/namespaces/default/deployments';
    const web = (spec: object) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'defaulted' },
      spec: {
        selector: { matchLabels: { app: 'd' } },
        template: { metadata: { labels: { app: 'd' } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
        ...spec,
      },
    });
    await apply(`${deployments}/defaulted`, web({ replicas: 4, minReadySeconds: 9 }), 'me');
    const { json } = await apply(`${deployments}/defaulted`, web({}), 'me');
    expect(json['spec']).toMatchObject({ replicas: 1 });
    expect(json['spec']).not.toHaveProperty('minReadySeconds');
  });

  test('an applier must have a name; a long one, and one with control characters, is refused', async () => {
    const body = configMap('nameless', {});
    const type = { 'content-type': 'application/apply-patch+yaml' };
    const nameless = await s.call('PATCH', `${configMaps}/nameless`, body, type);
    expect(nameless.status).toBe(422);
    expect(nameless.json['message']).toEqual(
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
    expect((await apply(`${configMaps}/nameless`, body, 'x'.repeat(129))).status).toBe(422);
    expect((await apply(`${configMaps}/nameless`, body, 'a%07b')).status).toBe(422);
    expect((await s.call('PATCH', `${configMaps}/test-cm?force=true`, { data: {} }, merge)).status).toBe(422);
  });
});

const merge = { 'content-type': 'application/merge-patch+json' };

// https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
describe('merge strategy of a custom resource', () => {
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const path = '/apis/ssa.example.com/v1/namespaces/default/mergers/m';
  beforeAll(async () => {
    const strings = { type: 'array', items: { type: 'string' } };
    const properties = {
      set: { ...strings, 'x-kubernetes-list-type': 'set' },
      plain: strings,
      map: { type: 'object', additionalProperties: { type: 'string' } },
      whole: { type: 'object', additionalProperties: { type: 'string' }, 'x-kubernetes-map-type': 'atomic' },
      ports: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['port', 'protocol'],
        items: {
          type: 'object',
          required: ['port'],
          properties: {
            port: { type: 'integer' },
            protocol: { type: 'string', default: 'TCP' },
            name: { type: 'string' },
          },
        },
      },
    };
    await s.call('POST', definitions, {
      metadata: { name: 'mergers.ssa.example.com' },
      spec: {
        group: 'ssa.example.com',
        scope: 'Namespaced',
        names: { plural: 'mergers', kind: 'Merger' },
        versions: [
          { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties } } },
        ],
      },
    });
  });
  const merger = (more: object) => ({
    apiVersion: 'ssa.example.com/v1',
    kind: 'Merger',
    metadata: { name: 'm' },
    ...more,
  });

  test('sets and maps are shared by element, plain lists and atomic maps are owned as a whole', async () => {
    await apply(path, merger({ set: ['a'], plain: ['a'], map: { a: '1' }, whole: { a: '1' } }), 'one');
    const shared = await apply(path, merger({ set: ['b'], map: { b: '2' } }), 'two');
    expect(shared.json).toMatchObject({ set: ['a', 'b'], map: { a: '1', b: '2' } });
    const conflict = await apply(path, merger({ plain: ['b'], whole: { b: '2' } }), 'two');
    expect(conflict.status).toBe(409);
    expect(listOf(conflict.json['details']!['causes'])).toEqual([
      { reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.plain' },
      { reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.whole' },
    ]);
    const forced = await apply(path, merger({ plain: ['b'], whole: { b: '2' } }), 'two', '&force=true');
    expect(forced.json).toMatchObject({ plain: ['b'], whole: { b: '2' } });
    expect(forced.json['set']).toEqual(['a']);
  });

  test('items are one item when all their keys are, defaults of keys included', async () => {
    const ports = (...list: object[]) => merger({ ports: list });
    await apply(path, ports({ port: 53, name: 'dns' }), 'three');
    const { json } = await apply(path, ports({ port: 53, protocol: 'UDP', name: 'dns-udp' }), 'four');
    expect(json['ports']).toEqual([
      { port: 53, protocol: 'TCP', name: 'dns' },
      { port: 53, protocol: 'UDP', name: 'dns-udp' },
    ]);
    const conflict = await apply(path, ports({ port: 53, protocol: 'TCP', name: 'other' }), 'four');
    expect(listOf(conflict.json['details']!['causes'])).toEqual([
      {
        reason: 'FieldManagerConflict',
        message: 'conflict with "three"',
        field: '.ports[port=53,protocol="TCP"].name',
      },
    ]);
  });

  // https://kubernetes.io/docs/reference/using-api/server-side-apply/#compatibility-across-topology-changes
  test('a list that becomes a map keeps its items; who owned it as a whole owns it still', async () => {
    const before = await s.call('GET', `${definitions}/mergers.ssa.example.com`);
    const { json } = before;
    const [version] = listOf((json['spec'] as Json)['versions']);
    const { plain } = version!['schema']!['openAPIV3Schema']!['properties']!;
    Object.assign(plain!, { 'x-kubernetes-list-type': 'set' });
    expect((await s.call('PUT', `${definitions}/mergers.ssa.example.com`, json)).status).toBe(200);
    const { status, json: after } = await apply(path, merger({ plain: ['c'] }), 'five');
    expect([status, after['message']]).toEqual([200, undefined]);
    expect(after['plain']).toEqual(['b', 'c']);
  });
});

describe.each(kubectls())('%s', (kubectl) => {
  const run = async (input: object, ...args: string[]) =>
    runKubectl(kubectl, [...args], { input: JSON.stringify(input), env: { KUBECONFIG: s.kubeconfig, HOME: s.dir } });
  const name = `kubectl-${kubectl.replace(/\D/g, '') || 'x'}`;
  const live = () => s.call('GET', `${configMaps}/${name}`);

  // https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
  test('goes over from client-side to server-side apply without a conflict', async () => {
    expect((await run(configMap(name, { a: '1', b: '2' }), 'apply', '-f', '-')).code).toBe(0);
    const over = await run(configMap(name, { a: '3', b: '2' }), 'apply', '--server-side', '-f', '-');
    expect([over.code, over.err.replace(/^Warning.*\n/gm, '')]).toEqual([0, '']);
    expect((await live()).json['data']).toEqual({ a: '3', b: '2' });
  });

  // https://kubernetes.io/docs/reference/using-api/server-side-apply/#downgrading-from-server-side-apply-to-client-side-apply
  test('goes back to client-side apply, which still removes what is no longer said', async () => {
    expect((await run(configMap(name, { a: '4', b: '2' }), 'apply', '--server-side', '-f', '-')).code).toBe(0);
    expect((await run(configMap(name, { a: '4' }), 'apply', '-f', '-')).code).toBe(0);
    expect((await live()).json['data']).toEqual({ a: '4' });
  });

  // https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
  test('shows a conflict with its field, and what to do about it', async () => {
    await apply(
      `${configMaps}/${name}`,
      { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '5' } },
      'boss',
      '&force=true',
    );
    const { code, err } = await run(configMap(name, { a: '6' }), 'apply', '--server-side', '-f', '-');
    expect(code).toBe(1);
    expect(err).toMatch(/Apply failed with 1 conflict: conflict with "boss".*: \.data\.a/);
    expect(
      (await run(configMap(name, { a: '6' }), 'apply', '--server-side', '--force-conflicts', '-f', '-')).code,
    ).toBe(0);
  });
});

// https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
test('an empty list leaves the rows as they are; one with an empty row clears them', async () => {
  const path = `${configMaps}/clear`;
  await apply(path, configMap('clear', { a: '1' }), 'me');
  const kept = await s.call('PATCH', path, { metadata: { managedFields: [] } }, merge);
  expect(rows(kept)).toHaveLength(1);
  const cleared = await s.call('PATCH', path, { metadata: { managedFields: [{}] } }, merge);
  expect(cleared.json['metadata']).not.toHaveProperty('managedFields');
});
