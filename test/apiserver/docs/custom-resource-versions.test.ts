import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openEmbedded } from '../../../apiserver/embedded.ts';
import type { Store } from '../../../apiserver/store.ts';
import { eventually } from '../../eventually.ts';
import { startServer, type TestServer, listOf } from '../harness.ts';
import { startWebhook, type Review, type WebhookServer } from '../webhook-server.ts';

// What https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/ promises;
// how a kind of several versions is read, written and watched is in test/apiserver/custom-versions.test.ts.

const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let s: TestServer;
let store: Store;
let webhook: WebhookServer;
/** How the webhook changes one object, and then its whole answer. */
let convert: (object: Review) => unknown = (object) => object;
let distort: (response: Record<string, unknown>) => object = (response) => response;
beforeAll(async () => {
  store = openEmbedded(':memory:');
  s = await startServer({}, { store });
  webhook = await startWebhook((_path, { apiVersion, request }) => {
    const { uid, desiredAPIVersion } = request!;
    const objects = listOf<Review>(request!['objects']);
    const convertedObjects = objects.map((object) => convert({ ...object, apiVersion: desiredAPIVersion! }));
    const response = distort({ uid, convertedObjects, result: { status: 'Success' } });
    return { apiVersion, kind: 'ConversionReview', response };
  });
});
afterAll(async () => {
  await s.stop();
  await store.close();
  await webhook.stop();
});
beforeEach(() => {
  convert = (object) => object;
  distort = (response) => response;
  webhook.asked.length = 0;
});

const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
const version = (name: string, more: object = {}) => ({ name, served: true, storage: false, schema, ...more });
const stored = { storage: true };

const definition = (plural: string, versions: object[], conversion: object = { strategy: 'None' }) => ({
  metadata: { name: `${plural}.${plural}.example.com` },
  spec: {
    group: `${plural}.example.com`,
    scope: 'Namespaced',
    names: { plural, kind: plural.slice(0, 1).toUpperCase() + plural.slice(1, -1) },
    conversion,
    versions,
  },
});

const byWebhook = (clientConfig: object = {}, conversionReviewVersions = ['v1']) => ({
  strategy: 'Webhook',
  webhook: {
    clientConfig: { url: webhook.url, caBundle: webhook.caBundle, ...clientConfig },
    conversionReviewVersions,
  },
});

const path = (plural: string, of: string, name = '') =>
  `/apis/${plural}.example.com/${of}/namespaces/default/${plural}${name && `/${name}`}`;

async function establish(plural: string, versions: object[], conversion?: object): Promise<void> {
  const { status, json } = await s.call('POST', crds, definition(plural, versions, conversion));
  expect([status, json['message']]).toEqual([201, undefined]);
  await eventually(async () => expect((await s.call('GET', path(plural, 'v1'))).status).toBe(200));
}

const change = (plural: string, of: object) =>
  s.call('PATCH', `${crds}/${plural}.${plural}.example.com`, of, { 'content-type': 'application/merge-patch+json' });

const refused = async (versions: object[], conversion?: object) => {
  const { status, json } = await s.call('POST', crds, definition('wrongs', versions, conversion));
  expect(status).toBe(422);
  return String(json['message']);
};

describe('specify multiple versions', () => {
  // …#specify-multiple-versions
  test('one version, not more and not fewer, is that of storage', async () => {
    const words = 'spec.versions: Invalid value: ';
    expect(await refused([version('v1'), version('v2')])).toContain(words);
    expect(await refused([version('v1', stored), version('v2', stored)])).toContain(
      'must have exactly one version marked as storage version',
    );
  });

  test('a version that is not served is not there, until it is', async () => {
    await establish('hides', [version('v1', stored), version('v2', { served: false })]);
    expect((await s.call('GET', path('hides', 'v2'))).status).toBe(404);
    const both = { spec: { versions: [version('v1', stored), version('v2')] } };
    expect((await change('hides', both)).status).toBe(200);
    await eventually(async () => expect((await s.call('GET', path('hides', 'v2'))).status).toBe(200));
    const second = { spec: { versions: [version('v1', { ...stored, served: false }), version('v2')] } };
    await change('hides', second);
    await eventually(async () => expect((await s.call('GET', path('hides', 'v1'))).status).toBe(404));
  });

  // …#version-priority
  test('versions are told by priority: stable ones, then beta, then alpha, each newest first; then the others by name', async () => {
    const sorted = ['v10', 'v2', 'v1', 'v11beta2', 'v10beta3', 'v3beta1', 'v12alpha1', 'v11alpha2', 'foo1', 'foo10'];
    const given = sorted.toSorted();
    await establish(
      'sorts',
      given.map((name) => version(name, name === 'v1' ? stored : {})),
    );
    const { json } = await s.call('GET', '/apis/sorts.example.com');
    expect(listOf(json['versions']).map(({ version: name }) => name)).toEqual(sorted);
    expect(json['preferredVersion']).toEqual({ groupVersion: 'sorts.example.com/v10', version: 'v10' });
  });

  // …#version-deprecation
  test('a deprecated version without words of its own warns in those of Kubernetes', async () => {
    await establish('olds', [version('v1', { ...stored, deprecated: true }), version('v2')]);
    expect((await s.call('GET', path('olds', 'v1'))).headers['warning']).toBe(
      '299 - "olds.example.com/v1 Old is deprecated; use olds.example.com/v2 Old"',
    );
  });

  // …#version-removal
  test('a version that objects may be stored in can go only when the status no longer names it', async () => {
    await establish('moves', [version('v1', stored), version('v2')]);
    const of = async () => (await s.call('GET', `${crds}/moves.moves.example.com`)).json['status']!['storedVersions'];
    expect(await of()).toEqual(['v1']);
    await change('moves', { spec: { versions: [version('v1'), version('v2', stored)] } });
    expect(await of()).toEqual(['v1', 'v2']);
    const alone = { spec: { versions: [version('v2', stored)] } };
    const early = await change('moves', alone);
    expect([early.status, String(early.json['message'])]).toEqual([
      422,
      expect.stringContaining('status.storedVersions[0]: Invalid value: "v1": must appear in spec.versions'),
    ]);
    const status = { status: { storedVersions: ['v2'] } };
    const migrated = await s.call('PATCH', `${crds}/moves.moves.example.com/status`, status, {
      'content-type': 'application/merge-patch+json',
    });
    expect([migrated.status, migrated.json['message']]).toEqual([200, undefined]);
    expect((await change('moves', alone)).status).toBe(200);
  });
});

describe('webhook conversion', () => {
  // …#configure-customresourcedefinition-to-use-conversion-webhooks, …#webhook-conversion, …#url
  test('is refused without a version of reviews that the server speaks', async () => {
    const versions = [version('v1', stored)];
    expect(await refused(versions, byWebhook({}, []))).toContain('spec.conversion.webhook.conversionReviewVersions');
    expect(await refused(versions, byWebhook({}, ['v7']))).toContain('must include at least one of v1, v1beta1');
    expect(await refused(versions, { strategy: 'Webhook' })).toContain('spec.conversion.webhook');
  });

  test.each([
    ['http', 'http://hooks.example.com/', "'https' is the only allowed URL scheme"],
    ['a user', 'https://me:secret@hooks.example.com/', 'user information is not permitted in the URL'],
    ['a fragment', 'https://hooks.example.com/#here', 'fragments are not permitted in the URL'],
    ['a query', 'https://hooks.example.com/?a=b', 'query parameters are not permitted in the URL'],
  ])('is not asked at a URL with %s', async (_what, url, words) => {
    expect(await refused([version('v1', stored)], byWebhook({ url }))).toContain(words);
  });

  // …#request
  test('is asked with an id, the version that is wanted and the objects, in the first form that both speak', async () => {
    await establish('asks', [version('v1', stored), version('v2')], byWebhook({}, ['v7', 'v1beta1', 'v1']));
    await s.call('POST', path('asks', 'v1'), { metadata: { name: 'one' } });
    expect(webhook.asked).toEqual([]); // already in the version of storage
    await s.call('GET', path('asks', 'v2', 'one'));
    expect(webhook.asked.at(-1)!.body).toMatchObject({
      apiVersion: 'apiextensions.k8s.io/v1beta1',
      kind: 'ConversionReview',
      request: {
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        desiredAPIVersion: 'asks.example.com/v2',
        objects: [{ apiVersion: 'asks.example.com/v1', kind: 'Ask', metadata: { name: 'one' } }],
      },
    });
  });

  // …#response
  test('may change labels and annotations; other changes of metadata are not taken', async () => {
    await establish('marks', [version('v1', stored), version('v2')], byWebhook());
    await s.call('POST', path('marks', 'v1'), { metadata: { name: 'one', finalizers: ['example.com/keep'] } });
    convert = (object) => ({
      ...object,
      metadata: {
        ...object['metadata'],
        labels: { via: 'v2' },
        annotations: { a: 'b' },
        finalizers: [],
        generation: 70,
      },
    });
    const { status, json } = await s.call('GET', path('marks', 'v2', 'one'));
    expect(status).toBe(200);
    expect(json['metadata']).toMatchObject({ labels: { via: 'v2' }, annotations: { a: 'b' }, generation: 1 });
    expect(json['metadata']!['finalizers']).toEqual(['example.com/keep']);
  });

  test.each([
    ['names the object anew', { name: 'other' }],
    ['moves it to another namespace', { namespace: 'kube-system' }],
    ['gives it another uid', { uid: '00000000-0000-0000-0000-000000000000' }],
  ])('fails when it %s', async (what, metadata) => {
    const plural = `fails${Object.keys(metadata)[0]}s`;
    await establish(plural, [version('v1', stored), version('v2')], byWebhook());
    await s.call('POST', path(plural, 'v1'), { metadata: { name: 'one' } });
    convert = (object) => ({ ...object, metadata: { ...object['metadata'], ...metadata } });
    const { status, json } = await s.call('GET', path(plural, 'v2', 'one'));
    expect([what, status]).toEqual([what, 500]);
    expect(json['message']).toContain('conversion webhook for');
  });

  test.each([
    ['another id', (response: object) => ({ ...response, uid: 'somebody-else' })],
    ['fewer objects', (response: object) => ({ ...response, convertedObjects: [] })],
    ['no result', (response: object) => ({ ...response, result: {} })],
  ])('fails when it answers with %s', async (what, distortion) => {
    const plural = what.replaceAll(' ', '') + 's';
    await establish(plural, [version('v1', stored), version('v2')], byWebhook());
    await s.call('POST', path(plural, 'v1'), { metadata: { name: 'one' } });
    distort = distortion;
    const { status, json } = await s.call('GET', path(plural, 'v2', 'one'));
    expect(status).toBe(500);
    expect(json['message']).toContain(`conversion webhook for ${plural}.example.com/v1`);
  });

  test('fails when it leaves an object in its old version', async () => {
    await establish('stays', [version('v1', stored), version('v2')], byWebhook());
    await s.call('POST', path('stays', 'v1'), { metadata: { name: 'one' } });
    convert = (object) => ({ ...object, apiVersion: 'stays.example.com/v1' });
    const { status, json } = await s.call('GET', path('stays', 'v2', 'one'));
    expect([status, json['reason']]).toEqual([500, 'InternalError']);
  });
});

describe('writing, reading, and updating versioned objects', () => {
  // …#writing-reading-and-updating-versioned-customresourcedefinition-objects
  test('an object lies in the version that was that of storage when it was written last', async () => {
    await establish('lies', [version('v1', stored), version('v2')]);
    await s.call('POST', path('lies', 'v2'), { metadata: { name: 'one' }, spec: { a: 1 } });
    const lying = async () => {
      const { item } = await store.get('/registry/lies.example.com/lies/default/one');
      return (JSON.parse(Buffer.from(item!.value).toString()) as { apiVersion: string }).apiVersion;
    };
    expect(await lying()).toBe('lies.example.com/v1');
    await change('lies', { spec: { versions: [version('v1'), version('v2', stored)] } });
    await eventually(async () => expect((await s.call('GET', path('lies', 'v1', 'one'))).status).toBe(200));
    expect(await lying()).toBe('lies.example.com/v1');
    const merge = { 'content-type': 'application/merge-patch+json' };
    await eventually(async () => {
      await s.call('PATCH', path('lies', 'v1', 'one'), { spec: { a: Math.random() } }, merge);
      expect(await lying()).toBe('lies.example.com/v2');
    });
  });

  // …#upgrade-existing-objects-to-a-new-stored-version
  test('writing an object back unchanged brings it to the version of storage', async () => {
    await establish('backs', [version('v1', stored), version('v2')]);
    await s.call('POST', path('backs', 'v1'), { metadata: { name: 'one' }, spec: { a: 1 } });
    await change('backs', { spec: { versions: [version('v1'), version('v2', stored)] } });
    await eventually(async () => {
      const { json } = await s.call('GET', path('backs', 'v1', 'one'));
      await s.call('PUT', path('backs', 'v1', 'one'), json);
      const { item } = await store.get('/registry/backs.example.com/backs/default/one');
      expect(Buffer.from(item!.value).toString()).toContain('"apiVersion":"backs.example.com/v2"');
    });
  });
});
