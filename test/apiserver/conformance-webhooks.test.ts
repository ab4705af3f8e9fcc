import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { listOf, startServer, type Json, type TestServer } from './harness.ts';
import { startWebhook, type Review, type WebhookServer } from './webhook-server.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 ([sig-api-machinery] AdmissionWebhook) and its promise.

const base = '/apis/admissionregistration.k8s.io/v1';
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const merge = { 'content-type': 'application/merge-patch+json' };
const core = '/api/v1/namespaces/hooked';
const custom = '/apis/hooks.example.com/v1/namespaces/hooked/gadgets';
type Type = 'mutating' | 'validating';

let s: TestServer;
let hook: WebhookServer;
beforeAll(async () => {
  s = await startServer();
  hook = await startWebhook((path, { apiVersion, kind, request }) => {
    const answer = answers[path];
    return answer && { apiVersion, kind, response: { uid: request!['uid'], allowed: true, ...answer(request!) } };
  });
  await s.call('POST', '/api/v1/namespaces', { metadata: { name: 'hooked' } });
  await s.call('POST', crds, gadgets);
  await eventually(async () => expect((await s.call('GET', custom)).status).toBe(200));
});
afterAll(async () => {
  await s.stop();
  await hook.stop();
});
afterEach(async () => {
  for (const type of ['mutating', 'validating']) await s.call('DELETE', `${base}/${type}webhookconfigurations`);
  for (const plural of ['configmaps', 'pods']) await s.call('DELETE', `${core}/${plural}?gracePeriodSeconds=0`);
  await s.call('DELETE', custom);
});

const version = (name: string, storage: boolean, properties: object) => ({
  name,
  served: true,
  storage,
  schema: { openAPIV3Schema: { type: 'object', properties: { data: { type: 'object', ...properties } } } },
});
const loose = { 'x-kubernetes-preserve-unknown-fields': true };
const gadgets = {
  metadata: { name: 'gadgets.hooks.example.com' },
  spec: {
    group: 'hooks.example.com',
    scope: 'Namespaced',
    names: { plural: 'gadgets', kind: 'Gadget' },
    versions: [version('v1', true, loose), version('v2', false, loose)],
  },
};

const patch = (...operations: object[]) => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});
const set = (key: string) => patch({ op: 'add', path: `/data/${key}`, value: 'yes' });
const words = 'the webhook says no';
const denied = { allowed: false, status: { message: words } };
/** Objects that the webhook does not like say so. */
const isUnwanted = ({ object, oldObject }: Review) => JSON.stringify([object, oldObject]).includes('unwanted');

const answers: Record<string, (request: Review) => object> = {
  '/deny': () => denied,
  '/deny-unwanted': (request) => (isUnwanted(request) ? denied : {}),
  '/mutate': ({ object }) =>
    'start' in (object!['data'] ?? {}) && !('stage-1' in object!['data']!) ? set('stage-1') : {},
  '/mutate-more': ({ object }) => ('stage-1' in (object!['data'] ?? {}) ? set('stage-2') : {}),
  '/init-container': () =>
    patch({ op: 'add', path: '/spec/initContainers', value: [{ name: 'added', image: 'added:1' }] }),
};

async function configure(
  type: Type,
  path: string,
  resource: string,
  more: object = {},
  name = 'hook',
): Promise<string> {
  const [plural = '', group = ''] = resource.split('.', 1).concat(resource.split('.').slice(1).join('.'));
  const { status, json } = await s.call('POST', `${base}/${type}webhookconfigurations`, {
    metadata: { name, labels: { suite: 'conformance' } },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig: { url: `${hook.url}${path}`, caBundle: hook.caBundle },
        rules: [{ operations: ['*'], apiGroups: [group], apiVersions: ['*'], resources: [plural] }],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 2,
        ...more,
      },
    ],
  });
  expect([status, json['message']]).toEqual([201, undefined]);
  return `${base}/${type}webhookconfigurations/${name}`;
}

const configMap = (name: string, data: object = {}) => ({ metadata: { name }, data });
const pod = (name: string, more: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'nginx:1' }] },
  ...more,
});
const make = (plural: string, body: object) => s.call('POST', `${core}/${plural}`, body);
const refused = ({ status, json }: { status: number; json: Json }) => {
  expect(String(json['message'])).toContain(words);
  expect(status).toBe(400);
};

describe('AdmissionWebhook', () => {
  test('AdmissionWebhook should include webhook resources in discovery documents', async () => {
    const groups = (await s.call('GET', '/apis')).json['groups'];
    const found = listOf(groups).find((group) => String(group['name']) === 'admissionregistration.k8s.io')!;
    expect(listOf(found['versions'])).toContainEqual({
      groupVersion: 'admissionregistration.k8s.io/v1',
      version: 'v1',
    });
    const { resources } = (await s.call('GET', base)).json;
    const names = listOf(resources).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']));
  });

  test('AdmissionWebhook should be able to deny pod and configmap creation', async () => {
    await configure('validating', '/deny-unwanted', 'pods', {}, 'pods');
    await configure('validating', '/deny-unwanted', 'configmaps', {}, 'maps');
    refused(await make('pods', pod('unwanted')));
    refused(await make('configmaps', configMap('unwanted')));
    expect((await make('configmaps', configMap('liked'))).status).toBe(201);
    refused(await s.call('PUT', `${core}/configmaps/liked`, configMap('liked', { is: 'unwanted' })));
    refused(await s.call('PATCH', `${core}/configmaps/liked`, { data: { is: 'unwanted' } }, merge));
    expect((await s.call('GET', `${core}/configmaps/unwanted`)).status).toBe(404);
  });

  test('AdmissionWebhook should be able to deny attaching pod', async () => {
    await make('pods', pod('attached'));
    await configure('validating', '/deny', '', {
      rules: [{ operations: ['CONNECT'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods/attach'] }],
    });
    refused(await s.call('POST', `${core}/pods/attached/attach?container=c&stdin=true`));
  });

  test('AdmissionWebhook should be able to deny custom resource creation, update and deletion', async () => {
    await configure('validating', '/deny-unwanted', 'gadgets.hooks.example.com');
    refused(await s.call('POST', custom, configMap('bad', { is: 'unwanted' })));
    expect((await s.call('POST', custom, configMap('good'))).status).toBe(201);
    refused(await s.call('PATCH', `${custom}/good`, { data: { is: 'unwanted' } }, merge));
    await s.call('DELETE', `${base}/validatingwebhookconfigurations/hook`);
    await s.call('PATCH', `${custom}/good`, { data: { is: 'unwanted' } }, merge);
    await configure('validating', '/deny-unwanted', 'gadgets.hooks.example.com');
    refused(await s.call('DELETE', `${custom}/good`));
    await s.call('DELETE', `${base}/validatingwebhookconfigurations/hook`);
    expect((await s.call('DELETE', `${custom}/good`)).status).toBe(200);
  });

  test('AdmissionWebhook should unconditionally reject operations on fail closed webhook', async () => {
    await configure('validating', '/deny', 'configmaps', {
      failurePolicy: 'Fail',
      // Nobody's CA: the call fails.
      clientConfig: { url: `${hook.url}/deny`, caBundle: Buffer.from(s.ca.pem).toString('base64') },
    });
    const { status, json } = await make('configmaps', configMap('any'));
    expect([status, json['reason']]).toEqual([500, 'InternalError']);
  });

  test.each<[string, Type]>([
    ['AdmissionWebhook listing mutating webhooks should work', 'mutating'],
    ['AdmissionWebhook listing validating webhooks should work', 'validating'],
  ])('%s', async (_, type) => {
    const path = type === 'mutating' ? '/mutate' : '/deny';
    for (const name of ['one', 'two']) await configure(type, path, 'configmaps', {}, name);
    const collection = `${base}/${type}webhookconfigurations?labelSelector=suite%3Dconformance`;
    const listed = await s.call('GET', collection);
    expect(listOf<Json>(listed.json['items']).map(({ metadata }) => metadata!['name'])).toEqual(['one', 'two']);
    const works = async (is: boolean) => {
      const { status, json } = await make(
        'configmaps',
        configMap(`w${Math.random()}`.replace('.', ''), { start: '1' }),
      );
      if (type === 'validating') expect(status).toBe(is ? 400 : 201);
      else expect('stage-1' in json['data']!).toBe(is);
    };
    await works(true);
    expect((await s.call('DELETE', collection)).status).toBe(200);
    await eventually(() => works(false));
  });

  test.each<[string, Type]>([
    ['AdmissionWebhook patching/updating a mutating webhook should work', 'mutating'],
    ['AdmissionWebhook patching/updating a validating webhook should work', 'validating'],
  ])('%s', async (_, type) => {
    const at = await configure(type, type === 'mutating' ? '/mutate' : '/deny', 'configmaps');
    const works = async (is: boolean) => {
      const { status, json } = await make(
        'configmaps',
        configMap(`p${Math.random()}`.replace('.', ''), { start: '1' }),
      );
      if (type === 'validating') expect(status).toBe(is ? 400 : 201);
      else expect('stage-1' in json['data']!).toBe(is);
    };
    await works(true);
    const { json } = await s.call('GET', at);
    const operations = (of: string[]) => {
      const [webhook] = listOf<Json>(json['webhooks']);
      const [rule] = listOf<Json>(webhook!['rules']);
      return [{ ...webhook, rules: [{ ...rule, operations: of }] }];
    };
    const updated = await s.call('PUT', at, { ...json, webhooks: operations(['UPDATE']) });
    expect(updated.status).toBe(200);
    await eventually(() => works(false));
    const patched = await s.call('PATCH', at, { webhooks: operations(['CREATE']) }, merge);
    expect(patched.status).toBe(200);
    await eventually(() => works(true));
  });

  test('AdmissionWebhook should mutate configmap', async () => {
    await configure('mutating', '/mutate', 'configmaps', {}, 'a');
    await configure('mutating', '/mutate-more', 'configmaps', {}, 'b');
    const { json } = await make('configmaps', configMap('staged', { start: 'yes' }));
    expect(json['data']).toEqual({ start: 'yes', 'stage-1': 'yes', 'stage-2': 'yes' });
  });

  test('AdmissionWebhook should mutate pod and apply defaults after mutation', async () => {
    await configure('mutating', '/init-container', 'pods');
    const { json } = await make('pods', pod('mutated'));
    expect(json['spec']!['initContainers']).toEqual([
      expect.objectContaining({ name: 'added', terminationMessagePolicy: 'File', imagePullPolicy: 'IfNotPresent' }),
    ]);
  });

  test('AdmissionWebhook should not be able to mutate or prevent deletion of webhook configuration objects', async () => {
    const rules = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }];
    const own = { matchLabels: { suite: 'conformance' } };
    await configure('validating', '/deny', '', { rules, objectSelector: own }, 'denies');
    await configure('mutating', '/init-container', '', { rules, objectSelector: own }, 'changes');
    for (const type of ['mutating', 'validating'] as const) {
      const at = await configure(
        type,
        '/deny',
        'configmaps',
        { objectSelector: { matchLabels: { none: 'none' } } },
        'dummy',
      );
      expect((await s.call('GET', at)).json['spec']).toBeUndefined();
      expect((await s.call('DELETE', at)).status).toBe(200);
    }
  });

  test('AdmissionWebhook should mutate custom resource', async () => {
    await configure('mutating', '/mutate', 'gadgets.hooks.example.com', {}, 'a');
    await configure('mutating', '/mutate-more', 'gadgets.hooks.example.com', {}, 'b');
    const { json } = await s.call('POST', custom, configMap('staged', { start: 'yes' }));
    expect(json['data']).toEqual({ start: 'yes', 'stage-1': 'yes', 'stage-2': 'yes' });
  });

  test('AdmissionWebhook should deny crd creation', async () => {
    await configure('validating', '/deny-unwanted', 'customresourcedefinitions.apiextensions.k8s.io');
    refused(
      await s.call('POST', crds, {
        ...gadgets,
        metadata: { name: 'unwanteds.hooks.example.com' },
        spec: { ...gadgets.spec, names: { plural: 'unwanteds', kind: 'Unwanted' } },
      }),
    );
  });

  test('AdmissionWebhook should mutate custom resource with different stored version', async () => {
    await configure('mutating', '/mutate', 'gadgets.hooks.example.com');
    const first = await s.call('POST', custom, configMap('versioned', { start: 'yes' }));
    expect(first.json['data']).toEqual({ start: 'yes', 'stage-1': 'yes' });
    const versions = [version('v1', false, loose), version('v2', true, loose)];
    expect((await s.call('PATCH', `${crds}/gadgets.hooks.example.com`, { spec: { versions } }, merge)).status).toBe(
      200,
    );
    await eventually(async () => {
      const patched = await s.call('PATCH', `${custom}/versioned`, { data: { 'stage-1': null, more: 'yes' } }, merge);
      expect(patched.json['data']).toEqual({ start: 'yes', 'stage-1': 'yes', more: 'yes' });
    });
    const back = [version('v1', true, loose), version('v2', false, loose)];
    await s.call('PATCH', `${crds}/gadgets.hooks.example.com`, { spec: { versions: back } }, merge);
  });

  test('AdmissionWebhook should mutate custom resource with pruning', async () => {
    const text = { type: 'string' };
    const properties = { properties: { start: text, 'stage-1': text } };
    const pruned = [version('v1', true, properties), version('v2', false, properties)];
    await s.call('PATCH', `${crds}/gadgets.hooks.example.com`, { spec: { versions: pruned } }, merge);
    await configure('mutating', '/mutate', 'gadgets.hooks.example.com', {}, 'a');
    await configure('mutating', '/mutate-more', 'gadgets.hooks.example.com', {}, 'b');
    await eventually(async () => {
      await s.call('DELETE', `${custom}/pruned`);
      const { json } = await s.call('POST', custom, configMap('pruned', { start: 'yes' }));
      expect(json['data']).toEqual({ start: 'yes', 'stage-1': 'yes' });
    });
    const back = [version('v1', true, loose), version('v2', false, loose)];
    await s.call('PATCH', `${crds}/gadgets.hooks.example.com`, { spec: { versions: back } }, merge);
  });

  test('AdmissionWebhook should honor timeout', async () => {
    // This path is never answered.
    const at = await configure('validating', '/slow', 'configmaps', { timeoutSeconds: 1, failurePolicy: 'Fail' });
    const { status, json } = await make('configmaps', configMap('late'));
    expect([status, String(json['message'])]).toEqual([500, expect.stringContaining('context deadline exceeded')]);
    await s.call('DELETE', at);
    await configure('validating', '/slow', 'configmaps', { timeoutSeconds: 1, failurePolicy: 'Ignore' });
    expect((await make('configmaps', configMap('passed'))).status).toBe(201);
  });
});
