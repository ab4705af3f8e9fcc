import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { startServer, type TestServer, listOf } from './harness.ts';
import { startWebhook, type Review, type WebhookServer } from './webhook-server.ts';

// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/

let server: TestServer;
let webhook: WebhookServer;
beforeAll(async () => {
  server = await startServer();
  webhook = await startWebhook((_path, body) => convert(body));
});
afterAll(async () => {
  await server.stop();
  await webhook.stop();
});

/** v1 keeps `spec.hostPort: "host:port"`, v2 keeps host and port apart. */
function convert(review: Review): object {
  const { uid, desiredAPIVersion, objects } = review['request'] as unknown as {
    uid: string;
    desiredAPIVersion: string;
    objects: { apiVersion: string; spec: { hostPort?: string; host?: string; port?: string } }[];
  };
  const fail = objects.some(({ spec }) => spec.hostPort === 'refuse:me');
  const convertedObjects = objects.map((object) => {
    const { hostPort, host, port } = object.spec;
    const [a, b] = (hostPort ?? ':').split(':');
    const spec = desiredAPIVersion.endsWith('v2') ? { host: a, port: b } : { hostPort: `${host}:${port}` };
    return { ...object, apiVersion: desiredAPIVersion, spec };
  });
  const result = fail ? { status: 'Failure', message: 'not that one' } : { status: 'Success' };
  return { apiVersion: review['apiVersion'], kind: 'ConversionReview', response: { uid, convertedObjects, result } };
}

const text = { type: 'string' };
const version = (name: string, storage: boolean, properties: object, more: object = {}) => ({
  name,
  served: true,
  storage,
  schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } } },
  ...more,
});

async function establish(plural: string, kind: string, conversion: object, versions: object[]): Promise<void> {
  const { status, json } = await server.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: `${plural}.example.com` },
    spec: { group: 'example.com', scope: 'Namespaced', names: { plural, kind }, conversion, versions },
  });
  expect([status, json['message']]).toEqual([201, undefined]);
  await eventually(async () => expect((await server.call('GET', path('v1', plural))).status).toBe(200));
}

const path = (of: string, plural: string, name = '') =>
  `/apis/example.com/${of}/namespaces/default/${plural}${name ? `/${name}` : ''}`;
const make = (of: string, kind: string, name: string, spec: object) => ({
  apiVersion: `example.com/${of}`,
  kind,
  metadata: { name, labels: { is: 'kept' } },
  spec,
});

describe('several versions of a custom resource', () => {
  beforeAll(async () => {
    const clientConfig = { url: webhook.url, caBundle: webhook.caBundle };
    const conversion = { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1'] } };
    await establish('hosts', 'Host', conversion, [
      version('v1', true, { hostPort: text }),
      version('v2', false, { host: text, port: text }),
    ]);
    await establish('plains', 'Plain', { strategy: 'None' }, [
      version('v1', true, { a: text, b: text }, { deprecated: true, deprecationWarning: 'use v2' }),
      version('v2', false, { a: text, c: { type: 'string', default: 'new' } }),
    ]);
  });

  test('a webhook converts what is written and what is read, lists and watches too', async () => {
    const made = await server.call('POST', path('v2', 'hosts'), make('v2', 'Host', 'one', { host: 'h', port: '80' }));
    expect([made.status, made.json['spec']]).toEqual([201, { host: 'h', port: '80' }]);
    const stored = await server.call('GET', path('v1', 'hosts', 'one'));
    expect(stored.json).toMatchObject({ apiVersion: 'example.com/v1', spec: { hostPort: 'h:80' } });
    expect(stored.json['metadata']!['uid']).toEqual(made.json['metadata']!['uid']);
    await server.call('POST', path('v1', 'hosts'), make('v1', 'Host', 'two', { hostPort: 'x:1' }));
    const list = await server.call('GET', path('v2', 'hosts'));
    const specs = listOf(list.json['items']).map((item) => item['spec']);
    expect(specs).toEqual([
      { host: 'h', port: '80' },
      { host: 'x', port: '1' },
    ]);
    const watch = await server.call('GET', `${path('v2', 'hosts')}?watch=true&resourceVersion=0&timeoutSeconds=1`);
    expect(watch.text).toContain('"spec":{"host":"x","port":"1"}');
  });

  test('a webhook that refuses is told of, and nothing is stored', async () => {
    await server.call('POST', path('v1', 'hosts'), make('v1', 'Host', 'bad', { hostPort: 'refuse:me' }));
    const { status, json } = await server.call('GET', path('v2', 'hosts', 'bad'));
    expect(status).toBe(500);
    expect(json['message']).toContain('conversion webhook for example.com/v1, Kind=Host failed: not that one');
    await server.call('DELETE', path('v1', 'hosts', 'bad'));
  });

  test('without a webhook only the version changes; each one prunes and fills in by its own schema', async () => {
    await server.call('POST', path('v1', 'plains'), make('v1', 'Plain', 'one', { a: '1', b: '2' }));
    const { json } = await server.call('GET', path('v2', 'plains', 'one'));
    expect(json['spec']).toEqual({ a: '1', c: 'new' });
    expect(json['metadata']!['labels']).toEqual({ is: 'kept' });
  });

  test('a deprecated version warns whoever uses it', async () => {
    const { headers } = await server.call('GET', path('v1', 'plains'));
    expect(headers['warning']).toBe('299 - "use v2"');
    expect((await server.call('GET', path('v2', 'plains'))).headers['warning']).toBeUndefined();
  });

  test('objects of two storage versions are listed, watched and changed as one kind', async () => {
    const crd = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/hosts.example.com';
    const before = listOf((await server.call('GET', path('v1', 'hosts'))).json['items']);
    await server.call(
      'PATCH',
      crd,
      [
        { op: 'replace', path: '/spec/versions/0/storage', value: false },
        { op: 'replace', path: '/spec/versions/1/storage', value: true },
      ],
      { 'content-type': 'application/json-patch+json' },
    );
    await server.call('POST', path('v2', 'hosts'), make('v2', 'Host', 'late', { host: 'l', port: '9' }));
    for (const [of, spec] of [
      ['v1', { hostPort: 'l:9' }],
      ['v2', { host: 'l', port: '9' }],
    ] as const)
      await eventually(async () => {
        const { json } = await server.call('GET', path(of, 'hosts'));
        const items = listOf(json['items']);
        expect(items.length).toBe(before.length + 1);
        for (const item of items)
          expect([item['apiVersion'], Object.keys(item['spec']!)]).toEqual([`example.com/${of}`, Object.keys(spec)]);
      });
    const watch = await server.call('GET', `${path('v2', 'hosts')}?watch=true&resourceVersion=0&timeoutSeconds=1`);
    expect(watch.text).not.toContain('"hostPort":');
    const merge = { 'content-type': 'application/merge-patch+json' };
    const changed = await server.call('PATCH', path('v2', 'hosts', 'one'), { spec: { port: '81' } }, merge);
    expect(changed.json['spec']).toEqual({ host: 'h', port: '81' });
    expect((await server.call('GET', path('v1', 'hosts', 'one'))).json['spec']).toEqual({ hostPort: 'h:81' });
  });

  test('a default that came later is shown in objects that were stored before it', async () => {
    await establish('growers', 'Grower', { strategy: 'None' }, [version('v1', true, { a: text })]);
    await server.call('POST', path('v1', 'growers'), make('v1', 'Grower', 'old', { a: 'x' }));
    await server.call(
      'PATCH',
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/growers.example.com',
      [
        {
          op: 'add',
          path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/b',
          value: { type: 'string', default: 'y' },
        },
      ],
      { 'content-type': 'application/json-patch+json' },
    );
    await eventually(async () =>
      expect((await server.call('GET', path('v1', 'growers', 'old'))).json['spec']).toEqual({ a: 'x', b: 'y' }),
    );
  });
});
