import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { listOf, startServer, type Json, type TestServer } from './harness.ts';
import { startWebhook, type Review, type WebhookServer } from './webhook-server.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 ([sig-api-machinery]) and its promise.

const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const merge = { 'content-type': 'application/merge-patch+json' };
let s: TestServer;
let hook: WebhookServer;
beforeAll(async () => {
  s = await startServer();
  hook = await startWebhook((_path, review) => convert(review));
});
afterAll(async () => {
  await s.stop();
  await hook.stop();
});

/** v1 has `hostPort`, v2 `host` and `port`. */
function convert({ apiVersion, kind, request }: Review): object {
  const desired = String(request!['desiredAPIVersion']);
  const objects = listOf<Record<string, string>>(request!['objects']);
  const convertedObjects = objects.map(({ hostPort, host, port, ...object }) => {
    const [a, b] = (hostPort ?? ':').split(':');
    const spelt = desired.endsWith('/v2') ? { host: a, port: b } : { hostPort: `${host}:${port}` };
    return { ...object, apiVersion: desired, ...spelt };
  });
  const response = { uid: request!['uid'], convertedObjects, result: { status: 'Success' } };
  return { apiVersion, kind, response };
}

const preserving = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const version = (name: string, schema: object = preserving, more: object = {}) => ({
  name,
  served: true,
  storage: name === 'v1',
  schema: { openAPIV3Schema: schema },
  ...more,
});
const text = { type: 'string' };

function definition(plural: string, versions: object[], more: object = {}) {
  const group = `${plural}.example.org`;
  const kind = `${plural[0]!.toUpperCase()}${plural.slice(1, -1)}`;
  return {
    metadata: { name: `${plural}.${group}`, labels: { suite: 'conformance' } },
    spec: { group, scope: 'Namespaced', names: { plural, kind }, versions, ...more },
  };
}

async function establish(given: ReturnType<typeof definition>): Promise<void> {
  const { status, json } = await s.call('POST', crds, given);
  expect([status, json['message']]).toEqual([201, undefined]);
  await eventually(async () => {
    const found = await s.call('GET', `${crds}/${given.metadata.name}`);
    const conditions = listOf<Json>(found.json['status']!['conditions']);
    expect(conditions.find(({ type }) => String(type) === 'Established')).toMatchObject({ status: 'True' });
  });
}

const objects = (plural: string, of = 'v1') => `/apis/${plural}.example.org/${of}/namespaces/default/${plural}`;
const change = (plural: string, spec: object) =>
  s.call('PATCH', `${crds}/${plural}.${plural}.example.org`, { spec }, merge);

/** How OpenAPI v2 describes the kind of this version, if it does. */
async function published(plural: string, of = 'v1'): Promise<Json | undefined> {
  const { json } = await s.call('GET', '/openapi/v2');
  const kind = definition(plural, []).spec.names.kind;
  return json['definitions']![`org.example.${plural}.${of}.${kind}`];
}

describe('CustomResourceDefinition', () => {
  test('CustomResourceDefinition resources Simple CustomResourceDefinition creating/deleting custom resource definition objects works', async () => {
    await establish(definition('simples', [version('v1')]));
    expect((await s.call('DELETE', `${crds}/simples.simples.example.org`)).status).toBe(200);
    await eventually(async () => expect((await s.call('GET', `${crds}/simples.simples.example.org`)).status).toBe(404));
  });

  test('CustomResourceDefinition resources Simple CustomResourceDefinition listing custom resource definition objects works', async () => {
    for (const plural of ['lists', 'others']) await establish(definition(plural, [version('v1')]));
    const selected = `${crds}?labelSelector=suite%3Dconformance`;
    const names = async () =>
      listOf<Json>((await s.call('GET', selected)).json['items']).map((one) => one['metadata']!['name']);
    expect(await names()).toEqual(expect.arrayContaining(['lists.lists.example.org', 'others.others.example.org']));
    expect((await s.call('DELETE', selected)).status).toBe(200);
    await eventually(async () => expect(await names()).toEqual([]));
  });

  test('CustomResourceDefinition resources Simple CustomResourceDefinition getting/updating/patching custom resource definition status sub-resource works', async () => {
    await establish(definition('states', [version('v1')]));
    const at = `${crds}/states.states.example.org/status`;
    const { json } = await s.call('GET', at);
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'set by a test' };
    const conditions = [...listOf(json['status']!['conditions']), condition];
    const updated = await s.call('PUT', at, { ...json, status: { ...json['status'], conditions } });
    expect(listOf(updated.json['status']!['conditions'])).toContainEqual(expect.objectContaining(condition));
    const patched = await s.call(
      'PATCH',
      at,
      { metadata: { annotations: { a: 'b' } }, status: { conditions: [condition] } },
      merge,
    );
    expect(patched.status).toBe(200);
    expect(listOf(patched.json['status']!['conditions'])).toContainEqual(expect.objectContaining(condition));
  });

  test('CustomResourceDefinition resources should include custom resource definition resources in discovery documents', async () => {
    const groups = listOf<Json>((await s.call('GET', '/apis')).json['groups']);
    const expected = { groupVersion: 'apiextensions.k8s.io/v1', version: 'v1' };
    const group = groups.find(({ name }) => String(name) === 'apiextensions.k8s.io');
    expect(listOf(group!['versions'])).toContainEqual(expected);
    const { resources } = (await s.call('GET', '/apis/apiextensions.k8s.io/v1')).json;
    expect(listOf<Json>(resources).map(({ name }) => name)).toContain('customresourcedefinitions');
  });

  test('CustomResourceDefinition resources custom resource defaulting for requests and from storage works', async () => {
    const schema = (b?: string) => ({
      type: 'object',
      properties: { a: { ...text, default: 'A' }, b: { ...text, ...(b ? { default: b } : {}) } },
    });
    await establish(definition('defaults', [version('v1', schema())]));
    const made = await s.call('POST', objects('defaults'), { metadata: { name: 'one' } });
    expect([made.json['a'], made.json['b']]).toEqual(['A', undefined]);
    await change('defaults', { versions: [version('v1', schema('B'))] });
    await eventually(async () =>
      expect((await s.call('GET', `${objects('defaults')}/one`)).json).toMatchObject({ a: 'A', b: 'B' }),
    );
  });

  test('CustomResourceDefinition Watch CustomResourceDefinition Watch watch on custom resource definition objects', async () => {
    await establish(definition('watches', [version('v1')]));
    const { json } = await s.call('GET', objects('watches'));
    const from = json['metadata']!['resourceVersion'];
    for (const name of ['a', 'b']) await s.call('POST', objects('watches'), { metadata: { name } });
    await s.call('PATCH', `${objects('watches')}/a`, { changed: true }, merge);
    for (const name of ['a', 'b']) await s.call('DELETE', `${objects('watches')}/${name}`);
    const watch = await s.call('GET', `${objects('watches')}?watch=true&resourceVersion=${from}&timeoutSeconds=1`);
    const heard = watch.text
      .trim()
      .split('\n')
      .map((line) => {
        const { type, object } = JSON.parse(line) as { type: string; object: { metadata: { name: string } } };
        return `${type} ${object.metadata.name}`;
      });
    expect(heard).toEqual(['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED a', 'DELETED b']);
  });
});

describe('CustomResourceConversionWebhook', () => {
  beforeAll(() => {
    const clientConfig = { url: hook.url, caBundle: hook.caBundle };
    const conversion = { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1', 'v1beta1'] } };
    return establish(
      definition(
        'converts',
        [
          version('v1', { type: 'object', properties: { hostPort: text } }),
          version('v2', { type: 'object', properties: { host: text, port: text } }),
        ],
        { conversion },
      ),
    );
  });

  test('CustomResourceConversionWebhook should be able to convert from CR v1 to CR v2', async () => {
    await s.call('POST', objects('converts'), { metadata: { name: 'first' }, hostPort: 'localhost:8080' });
    const { json } = await s.call('GET', `${objects('converts', 'v2')}/first`);
    expect(json).toMatchObject({ apiVersion: 'converts.example.org/v2', host: 'localhost', port: '8080' });
  });

  test('CustomResourceConversionWebhook should be able to convert a non homogeneous list of CRs', async () => {
    const [v1, v2] = [
      version('v1', { type: 'object', properties: { hostPort: text } }, { storage: false }),
      version('v2', { type: 'object', properties: { host: text, port: text } }, { storage: true }),
    ];
    await change('converts', { versions: [v1, v2] });
    await eventually(async () => {
      await s.call('DELETE', `${objects('converts', 'v2')}/second`);
      await s.call('POST', objects('converts', 'v2'), {
        metadata: { name: 'second' },
        host: 'localhost',
        port: '9090',
      });
      for (const [of, expected] of [
        ['v1', [{ hostPort: 'localhost:8080' }, { hostPort: 'localhost:9090' }]],
        [
          'v2',
          [
            { host: 'localhost', port: '8080' },
            { host: 'localhost', port: '9090' },
          ],
        ],
      ] as const) {
        const items = listOf((await s.call('GET', objects('converts', of))).json['items']);
        expect(items).toEqual(expected.map((one) => expect.objectContaining(one)));
      }
    });
  });
});

describe('CustomResourcePublishOpenAPI', () => {
  const bars = {
    type: 'object',
    description: 'Foo for tests',
    properties: {
      spec: {
        type: 'object',
        properties: {
          bars: { type: 'array', items: { type: 'object', required: ['name'], properties: { name: text } } },
        },
      },
    },
  };

  test('CustomResourcePublishOpenAPI works for CRD with validation schema', async () => {
    await establish(definition('schemas', [version('v1', bars)]));
    await eventually(async () => {
      const found = await published('schemas');
      expect(found).toMatchObject({
        description: 'Foo for tests',
        'x-kubernetes-group-version-kind': [{ kind: 'Schema' }],
      });
      expect(found!['properties']!['spec']!['properties']!['bars']!['items']!['required']).toEqual(['name']);
    });
  });

  test('CustomResourcePublishOpenAPI works for CRD without validation schema', async () => {
    await establish(definition('blanks', [version('v1')]));
    await eventually(async () =>
      expect(await published('blanks')).toMatchObject({ 'x-kubernetes-group-version-kind': [{ kind: 'Blank' }] }),
    );
  });

  test('CustomResourcePublishOpenAPI works for CRD preserving unknown fields at the schema root', async () => {
    await establish(definition('roots', [version('v1', { ...bars, ...preserving })]));
    await eventually(async () => expect(await published('roots')).toMatchObject({ type: 'object' }));
    const made = await s.call('POST', objects('roots'), { metadata: { name: 'one' }, unknown: { a: 1 } });
    expect(made.json['unknown']).toEqual({ a: 1 });
  });

  test('CustomResourcePublishOpenAPI works for CRD preserving unknown fields in an embedded object', async () => {
    const embedded = {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      'x-kubernetes-preserve-unknown-fields': true,
    };
    await establish(definition('embeds', [version('v1', { type: 'object', properties: { spec: embedded } })]));
    await eventually(async () => expect(await published('embeds')).toMatchObject({ type: 'object' }));
    const spec = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'x' }, more: { b: 2 } };
    expect((await s.call('POST', objects('embeds'), { metadata: { name: 'one' }, spec })).json['spec']).toEqual(spec);
  });

  test('CustomResourcePublishOpenAPI works for multiple CRDs of different groups', async () => {
    for (const plural of ['firsts', 'seconds']) await establish(definition(plural, [version('v1', bars)]));
    await eventually(async () => {
      for (const plural of ['firsts', 'seconds']) expect(await published(plural)).toBeDefined();
    });
  });

  test('CustomResourcePublishOpenAPI works for multiple CRDs of same group but different versions', async () => {
    await establish(definition('manies', [version('v1', bars), version('v2', bars)]));
    await eventually(async () => {
      for (const name of ['v1', 'v2'])
        expect(await published('manies', name)).toMatchObject({ description: 'Foo for tests' });
    });
  });

  test('CustomResourcePublishOpenAPI works for multiple CRDs of same group and version but different kinds', async () => {
    const group = 'shared.example.org';
    for (const [plural, kind] of [
      ['ones', 'One'],
      ['twos', 'Two'],
    ] as const)
      await establish({
        ...definition(plural, [version('v1', bars)], { group, names: { plural, kind } }),
        metadata: { name: `${plural}.${group}`, labels: { suite: 'conformance' } },
      });
    await eventually(async () => {
      const { definitions } = (await s.call('GET', '/openapi/v2')).json;
      for (const kind of ['One', 'Two']) expect(definitions![`org.example.shared.v1.${kind}`]).toBeDefined();
    });
  });

  test('CustomResourcePublishOpenAPI updates the published spec when one version gets renamed', async () => {
    await establish(definition('renames', [version('v1', bars), version('v2', bars)]));
    await eventually(async () => expect(await published('renames', 'v2')).toBeDefined());
    await change('renames', { versions: [version('v1', bars), version('v4', bars)] });
    await eventually(async () => {
      expect(await published('renames', 'v4')).toMatchObject({ description: 'Foo for tests' });
      expect(await published('renames', 'v2')).toBeUndefined();
      expect(await published('renames')).toBeDefined();
    });
  });

  test('CustomResourcePublishOpenAPI removes definition from spec when one version gets changed to not be served', async () => {
    await establish(definition('hiddens', [version('v1', bars), version('v2', bars)]));
    await eventually(async () => expect(await published('hiddens', 'v2')).toBeDefined());
    await change('hiddens', { versions: [version('v1', bars), version('v2', bars, { served: false })] });
    await eventually(async () => {
      expect(await published('hiddens', 'v2')).toBeUndefined();
      expect(await published('hiddens')).toBeDefined();
    });
  });
});
