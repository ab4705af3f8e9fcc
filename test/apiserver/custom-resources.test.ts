import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { startServer, type Json, type TestServer, listOf } from './harness.ts';

// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const objects = (plural: string, name = '') =>
  `/apis/stable.example.com/v1/namespaces/default/${plural}${name ? `/${name}` : ''}`;

const schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['cronSpec'],
      properties: {
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
        image: { type: 'string', default: 'busybox' },
        replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
        port: { 'x-kubernetes-int-or-string': true },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        parts: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, size: { type: 'integer' } },
          },
        },
        minimum: { type: 'integer' },
      },
      'x-kubernetes-validations': [
        {
          rule: '!has(self.minimum) || self.minimum <= self.replicas',
          messageExpression: '"replicas should be at least " + string(self.minimum)',
        },
        { rule: 'self.cronSpec == oldSelf.cronSpec', message: 'cronSpec is immutable' },
      ],
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } },
  },
};

function definition(plural: string, kind: string, version: object = {}, spec: object = {}) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.stable.example.com` },
    spec: {
      group: 'stable.example.com',
      scope: 'Namespaced',
      names: { plural, kind },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, ...version }],
      ...spec,
    },
  };
}

const condition = (json: Json, type: string) =>
  (json['status']?.['conditions'] && listOf(json['status']['conditions']))?.find((one) => String(one['type']) === type);

async function establish(given: ReturnType<typeof definition>): Promise<void> {
  const made = await server.call('POST', crds, given);
  expect([made.status, made.json['message']]).toEqual([201, undefined]);
  await eventually(async () => {
    const { json } = await server.call('GET', `${crds}/${given.metadata.name}`);
    expect(condition(json, 'Established')).toMatchObject({ status: 'True' });
    const path = `/apis/stable.example.com/v1/${given.spec.names.plural}`;
    expect((await server.call('GET', path)).status).toBe(200);
  });
}

const cronTab = (name: string, spec: object) => ({
  apiVersion: 'stable.example.com/v1',
  kind: 'CronTab',
  metadata: { name },
  spec,
});
const every = { cronSpec: '* * * * */5' };

describe('custom resources', () => {
  beforeAll(() =>
    establish(
      definition(
        'crontabs',
        'CronTab',
        {
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: [
            { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
            { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas', priority: 1 },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          selectableFields: [{ jsonPath: '.spec.image' }],
        },
        { names: { plural: 'crontabs', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] } },
      ),
    ),
  );

  test('defaults are filled in, what the schema does not know is pruned, what it preserves stays', async () => {
    const { status, json } = await server.call(
      'POST',
      `${objects('crontabs')}?fieldValidation=Ignore`,
      cronTab('pruned', { ...every, foo: 1, free: { any: [{ thing: true }] } }),
    );
    expect(status).toBe(201);
    expect(json['spec']).toEqual({ ...every, image: 'busybox', replicas: 1, free: { any: [{ thing: true }] } });
    expect(json['metadata']!['generation']).toBe(1);
  });

  test('unknown fields are refused when asked for, else warned of', async () => {
    const strict = await server.call(
      'POST',
      `${objects('crontabs')}?fieldValidation=Strict`,
      cronTab('strict', { ...every, foo: 1 }),
    );
    expect(strict.status).toBe(400);
    expect(strict.json['message']).toContain('strict decoding error: unknown field "spec.foo"');
    const warned = await server.call('POST', objects('crontabs'), cronTab('warned', { ...every, foo: 1 }));
    expect(warned.headers['warning']).toContain('unknown field \\"spec.foo\\"');
  });

  test.each([
    ['a pattern', { cronSpec: 'often' }, 'spec.cronSpec: Invalid value: "often": spec.cronSpec in body should match'],
    [
      'a bound',
      { ...every, replicas: 15 },
      'spec.replicas: Invalid value: 15: spec.replicas in body should be less than or equal to 10',
    ],
    ['a type', { ...every, replicas: 'two' }, 'spec.replicas in body must be of type integer: "string"'],
    ['a required field', { replicas: 2 }, 'spec.cronSpec: Required value'],
    [
      'a duplicate key',
      { ...every, parts: [{ name: 'a' }, { name: 'a' }] },
      'spec.parts[1]: Duplicate value: {"name":"a"}',
    ],
    [
      'a CEL rule',
      { ...every, replicas: 2, minimum: 3 },
      'spec: Invalid value: "object": replicas should be at least 3',
    ],
    ['int or string', { ...every, port: true }, 'spec.port in body must be of type integer,string'],
  ])("%s that is broken is a 422 in Kubernetes' words", async (_what, spec, words) => {
    const { status, json } = await server.call('POST', objects('crontabs'), cronTab('invalid', spec));
    expect(String(json['message'])).toContain(words);
    expect(status).toBe(422);
  });

  test('a transition rule compares with what was there before', async () => {
    await server.call('POST', objects('crontabs'), cronTab('fixed', every));
    const patch = (spec: object) =>
      server.call('PATCH', objects('crontabs', 'fixed'), { spec }, { 'content-type': 'application/merge-patch+json' });
    expect((await patch({ cronSpec: '1 1 1 1 1' })).json['message']).toContain('cronSpec is immutable');
    const changed = await patch({ replicas: 3 });
    expect(changed.json['metadata']!['generation']).toBe(2);
  });

  test('status and scale have doors of their own', async () => {
    await server.call('POST', objects('crontabs'), { ...cronTab('scaled', every), status: { replicas: 9 } });
    const before = await server.call('GET', objects('crontabs', 'scaled'));
    expect(before.json['status']).toBeUndefined();
    const type = { 'content-type': 'application/merge-patch+json' };
    await server.call(
      'PATCH',
      `${objects('crontabs', 'scaled')}/status`,
      {
        metadata: { labels: { a: 'b' }, finalizers: ['example.com/x'] },
        ...{ status: { replicas: 4, selector: 'a=b' }, spec: { replicas: 9 } },
      },
      type,
    );
    const { metadata } = (await server.call('GET', objects('crontabs', 'scaled'))).json;
    expect([metadata!['labels'], metadata!['finalizers']]).toEqual([undefined, undefined]);
    expect(listOf(metadata!['managedFields']).map(({ subresource }) => subresource)).toEqual([undefined, 'status']);
    const { spec: _spec, ...named } = cronTab('scaled', {});
    const { json } = await server.call(
      'PATCH',
      `${objects('crontabs', 'scaled')}/status?fieldManager=one`,
      { ...named, metadata: { labels: { a: 'b' } }, status: { replicas: 4 } },
      { 'content-type': 'application/apply-patch+yaml' },
    );
    expect(json['metadata']!['labels']).toBeUndefined();
    const row = listOf(json['metadata']!['managedFields']).find(({ manager }) => String(manager) === 'one');
    expect(row!['fieldsV1']).toEqual({ 'f:status': { 'f:replicas': {} } });
    const scale = await server.call('GET', `${objects('crontabs', 'scaled')}/scale`);
    expect(scale.json).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 1 },
      status: { replicas: 4, selector: 'a=b' },
    });
    await server.call('PATCH', `${objects('crontabs', 'scaled')}/scale`, { spec: { replicas: 6 } }, type);
    expect((await server.call('GET', objects('crontabs', 'scaled'))).json['spec']!['replicas']).toBe(6);
  });

  test('tables, field selectors, short names and discovery follow the definition', async () => {
    const table = await server.call('GET', `${objects('crontabs')}?fieldSelector=spec.image%3Dnginx`, undefined, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    const names = listOf(table.json['columnDefinitions']).map(({ name }) => String(name));
    expect(listOf(table.json['columnDefinitions']).at(-1)).toMatchObject({
      ...{
        type: 'date',
        description: 'Custom resource definition column (in JSONPath format): .metadata.creationTimestamp',
      },
    });
    expect(names).toEqual(['Name', 'Spec', 'Replicas', 'Age']);
    expect(table.json['rows']).toEqual([]);
    const found = await server.call('GET', '/apis/stable.example.com/v1');
    expect(listOf(found.json['resources']).map(({ name }) => String(name))).toEqual([
      'crontabs',
      'crontabs/scale',
      'crontabs/status',
    ]);
    expect((await server.call('GET', '/apis/stable.example.com')).json).toMatchObject({
      preferredVersion: { version: 'v1' },
    });
  });

  test('OpenAPI describes it at once, so that kubectl can explain it', async () => {
    const loose = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    await establish(definition('looses', 'Loose', { schema: { openAPIV3Schema: loose } }));
    const index = await server.call('GET', '/openapi/v3');
    expect(Object.keys(index.json['paths']!)).toContain('apis/stable.example.com/v1');
    const v3 = await server.call('GET', '/openapi/v3/apis/stable.example.com/v1');
    const own = v3.json['components']!['schemas']!['com.example.stable.v1.CronTab']!;
    expect(own).toMatchObject({ properties: { spec: { properties: { replicas: { type: 'integer', maximum: 10 } } } } });
    const v2 = await server.call('GET', '/openapi/v2', undefined, { accept: 'application/json' });
    expect(Object.keys(v2.json['definitions']!)).toContain('com.example.stable.v1.CronTabList');
    expect(v2.json['paths']!['/apis/stable.example.com/v1/namespaces/{namespace}/crontabs']).toBeDefined();
    expect(JSON.stringify(v2.json['definitions']!['com.example.stable.v1.CronTab'])).not.toContain('"default"');
    expect(v2.json['definitions']!['com.example.stable.v1.Loose']).toEqual({
      type: 'object',
      'x-kubernetes-group-version-kind': [{ group: 'stable.example.com', kind: 'Loose', version: 'v1' }],
    });
  });

  test('server-side apply merges lists by the keys of the schema', async () => {
    const apply = (manager: string, parts: object[]) =>
      server.call(
        'PATCH',
        `${objects('crontabs', 'applied')}?fieldManager=${manager}`,
        cronTab('applied', { ...every, parts }),
        { 'content-type': 'application/apply-patch+yaml' },
      );
    expect((await apply('one', [{ name: 'a', size: 1 }])).status).toBe(201);
    const both = await apply('two', [{ name: 'b' }]);
    expect(both.json['spec']!['parts']).toEqual([{ name: 'a', size: 1 }, { name: 'b' }]);
  });

  test('what was there before the schema became stricter may stay as it is', async () => {
    const spec = {
      type: 'object',
      properties: {
        size: { type: 'integer' },
        colour: { type: 'string' },
        parts: { ...schema.properties.spec.properties.parts, maxItems: 3 },
      },
    };
    const withSpec = (one: object) =>
      definition('shapes', 'Shape', { schema: { openAPIV3Schema: { type: 'object', properties: { spec: one } } } });
    await establish(withSpec(spec));
    const shape = { size: 20, colour: 'red', parts: [{ name: 'a', size: 20 }, { name: 'b' }] };
    const made = { apiVersion: 'stable.example.com/v1', kind: 'Shape', metadata: { name: 'old' }, spec: shape };
    expect((await server.call('POST', objects('shapes'), made)).status).toBe(201);
    const merge = { 'content-type': 'application/merge-patch+json' };
    const stricter = withSpec({
      ...spec,
      properties: {
        size: { type: 'integer', maximum: 10 },
        colour: { type: 'string', 'x-kubernetes-validations': [{ rule: "self == 'blue'", message: 'only blue' }] },
        parts: {
          ...spec.properties.parts,
          items: {
            ...spec.properties.parts.items,
            properties: { name: { type: 'string' }, size: { type: 'integer', maximum: 10 }, note: { type: 'string' } },
          },
        },
      },
    });
    await server.call('PATCH', `${crds}/shapes.stable.example.com`, { spec: stricter.spec }, merge);
    await eventually(async () => {
      const fresh = { ...made, metadata: { name: 'fresh' } };
      const { json } = await server.call('POST', objects('shapes'), fresh);
      expect(json['message']).toContain('spec.size: Invalid value: 20');
    });
    const patch = async (change: object) => {
      const { status, json } = await server.call('PATCH', objects('shapes', 'old'), change, merge);
      return [status, json['message'] ?? ''];
    };
    expect(await patch({ metadata: { labels: { a: 'b' } } })).toEqual([200, '']);
    // The item of a map is known by its key, wherever it stands.
    expect(
      await patch({
        spec: {
          parts: [
            { name: 'b', size: 1 },
            { name: 'a', size: 20, note: 'x' },
          ],
        },
      }),
    ).toEqual([200, '']);
    expect(await patch({ spec: { size: 21 } })).toEqual([422, expect.stringContaining('spec.size: Invalid value: 21')]);
    expect(await patch({ spec: { colour: 'green' } })).toEqual([422, expect.stringContaining('only blue')]);
    expect(await patch({ spec: { parts: [{ name: 'a', size: 30 }] } })).toEqual([
      422,
      expect.stringContaining('spec.parts[0].size: Invalid value: 30'),
    ]);
  });

  test('the schema may narrow names, of those that are made as well', async () => {
    const name = { type: 'string', pattern: '^a', maxLength: 8 };
    const metadata = { type: 'object', properties: { name } };
    const one = { type: 'object', properties: { metadata } };
    await establish(definition('labels', 'Label', { schema: { openAPIV3Schema: one } }));
    const label = (meta: object) =>
      server.call('POST', objects('labels'), { apiVersion: 'stable.example.com/v1', kind: 'Label', metadata: meta });
    expect((await label({ name: 'abc' })).status).toBe(201);
    expect((await label({ name: 'bc' })).json['message']).toContain(
      `metadata.name: Invalid value: "bc": metadata.name in body should match '^a'`,
    );
    expect((await label({ generateName: 'long-' })).json['message']).toContain('metadata.name: Too long');
  });

  test('strategic merge patches are for built-in kinds only', async () => {
    const { status } = await server.call(
      'PATCH',
      objects('crontabs', 'fixed'),
      { spec: {} },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
    expect(status).toBe(415);
  });
});

describe('definitions', () => {
  const refused: [string, (crd: ReturnType<typeof definition>) => void, string][] = [
    [
      'a name that does not fit',
      (crd) => (crd.metadata.name = 'x.stable.example.com'),
      'metadata.name: Invalid value: "x.stable.example.com": must be spec.names.plural+"."+spec.group',
    ],
    [
      'a group of Kubernetes',
      (crd) => {
        crd.spec.group = 'shop.k8s.io';
        crd.metadata.name = `${crd.spec.names.plural}.shop.k8s.io`;
      },
      'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see',
    ],
    [
      'no storage version',
      (crd) => (crd.spec.versions[0]!.storage = false),
      'must have exactly one version marked as storage version',
    ],
    [
      'no schema',
      (crd) => delete (crd.spec.versions[0] as { schema?: object }).schema,
      'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required',
    ],
    [
      'a schema that is not structural',
      (crd) => (crd.spec.versions[0]!.schema = { openAPIV3Schema: { type: 'object', properties: { a: {} } } as never }),
      'properties[a].type: Required value: must not be empty for specified object fields',
    ],
    [
      'a rule that cannot be read',
      (crd) =>
        (crd.spec.versions[0]!.schema = {
          openAPIV3Schema: { type: 'object', 'x-kubernetes-validations': [{ rule: 'self.' }] } as never,
        }),
      'x-kubernetes-validations[0].rule: Invalid value: "self.": compilation failed',
    ],
    [
      'a default that breaks the schema',
      (crd) =>
        (crd.spec.versions[0]!.schema = {
          openAPIV3Schema: { type: 'object', properties: { a: { type: 'integer', default: 'x' } } } as never,
        }),
      'must be of type integer: "string"',
    ],
  ];
  test.each(refused)('%s is refused', async (_what, change, words) => {
    const crd = definition('wrongs', 'Wrong');
    change(crd);
    const { status, json } = await server.call('POST', crds, crd);
    expect(String(json['message'])).toContain(words);
    expect(status).toBe(422);
  });

  test('names in use are not accepted, and are when they become free', async () => {
    await establish(definition('firsts', 'First'));
    const second = definition(
      'seconds',
      'First',
      {},
      { names: { plural: 'seconds', singular: 'second', kind: 'First' } },
    );
    await server.call('POST', crds, second);
    await eventually(async () => {
      const { json } = await server.call('GET', `${crds}/seconds.stable.example.com`);
      expect(condition(json, 'NamesAccepted')).toMatchObject({
        status: 'False',
        reason: 'KindConflict',
        message: '"First" is already in use',
      });
    });
    expect((await server.call('GET', objects('seconds'))).status).toBe(404);
    await server.call('DELETE', `${crds}/firsts.stable.example.com`);
    await eventually(async () => expect((await server.call('GET', objects('seconds'))).status).toBe(200));
  });

  test('a deletion takes the objects along, waits for their finalizers, and ends watches', async () => {
    await establish(definition('goners', 'Goner'));
    const goner = (name: string, metadata: object = {}) => ({
      apiVersion: 'stable.example.com/v1',
      kind: 'Goner',
      metadata: { name, ...metadata },
      spec: every,
    });
    await server.call('POST', objects('goners'), goner('held', { finalizers: ['example.com/wait'] }));
    await server.call('POST', objects('goners'), goner('free'));
    const watching = server.call('GET', `${objects('goners')}?watch=true&resourceVersion=0`);
    const deleted = await server.call('DELETE', `${crds}/goners.stable.example.com`);
    expect(deleted.json['metadata']!['finalizers']).toEqual(['customresourcecleanup.apiextensions.k8s.io']);
    await eventually(async () => {
      const { json } = await server.call('GET', `${crds}/goners.stable.example.com`);
      expect(condition(json, 'Terminating')).toMatchObject({ reason: 'InstanceDeletionInProgress' });
    });
    expect((await server.call('POST', objects('goners'), goner('late'))).status).toBe(405);
    await server.call(
      'PATCH',
      objects('goners', 'held'),
      { metadata: { finalizers: null } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await eventually(async () => {
      expect((await server.call('GET', `${crds}/goners.stable.example.com`)).status).toBe(404);
      expect((await server.call('GET', objects('goners'))).status).toBe(404);
    });
    expect((await watching).text).toContain('"type":"DELETED"');
  });
});
