import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { startServer, type Json, type TestServer, listOf } from '../harness.ts';
import { startWebhook, type Review, type WebhookServer } from '../webhook-server.ts';

// What https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ promises and
// test/apiserver/admission-webhooks.test.ts does not show yet.

const base = '/apis/admissionregistration.k8s.io/v1';
const plurals = { Mutating: 'mutatingwebhookconfigurations', Validating: 'validatingwebhookconfigurations' };
let s: TestServer;
let hook: WebhookServer;
/** What the webhook makes of a review beside letting it in. */
let answer: (request: Review) => object = () => ({});
beforeAll(async () => {
  s = await startServer();
  hook = await startWebhook((_path, { apiVersion, kind, request }) => ({
    apiVersion,
    kind,
    response: { uid: request!['uid'], allowed: true, ...answer(request!) },
  }));
});
afterAll(async () => {
  await s.stop();
  await hook.stop();
});
afterEach(async () => {
  for (const plural of Object.values(plurals)) await s.call('DELETE', `${base}/${plural}`);
  answer = () => ({});
  hook.asked.length = 0;
});

const rule = (resources: string[], more: object = {}) => ({
  operations: ['*'],
  apiGroups: ['*'],
  apiVersions: ['*'],
  resources,
  ...more,
});

const webhook = (more: object = {}) => ({
  name: 'hook.example.com',
  clientConfig: { url: hook.url, caBundle: hook.caBundle },
  rules: [rule(['configmaps'])],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  ...more,
});

const configure = (type: keyof typeof plurals, more: object = {}, name = 'hook') =>
  s.call('POST', `${base}/${plurals[type]}`, { metadata: { name }, webhooks: [webhook(more)] });

async function configured(type: keyof typeof plurals, more: object = {}, name = 'hook'): Promise<Json> {
  const { status, json } = await configure(type, more, name);
  expect([status, json['message']]).toEqual([201, undefined]);
  return listOf(json['webhooks'])[0]!;
}

async function refused(more: object): Promise<string> {
  const { status, json } = await configure('Validating', more);
  expect(status).toBe(422);
  return String(json['message']);
}

const asked = () => hook.asked.map(({ body }) => body['request']!);
const maps = '/api/v1/namespaces/default/configmaps';
let count = 0;
const make = (metadata: object = {}) =>
  s.call('POST', maps, { metadata: { name: `m${(count += 1)}`, ...metadata }, data: { a: '1' } });

describe('webhook configuration', () => {
  // …#webhook-configuration and the API reference
  test('what is left out is filled in', async () => {
    expect(await configured('Validating')).toMatchObject({
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
      rules: [{ scope: '*' }],
    });
    expect(await configured('Mutating')).toMatchObject({ reinvocationPolicy: 'Never' });
  });

  test.each([
    [
      'a name of fewer than three parts',
      { name: 'hook.example' },
      'should be a domain with at least three segments separated by dots',
    ],
    [
      'side effects that are not declared',
      { sideEffects: undefined },
      'sideEffects: Required value: must specify one of None, NoneOnDryRun',
    ],
    [
      'side effects in a dry run',
      { sideEffects: 'Some' },
      'sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
    ],
    ['no version of reviews', { admissionReviewVersions: [] }, 'admissionReviewVersions: Required value'],
    [
      'no version of reviews that is spoken',
      { admissionReviewVersions: ['v9'] },
      'must include at least one of v1, v1beta1',
    ],
    ['no patience', { timeoutSeconds: 0 }, 'the timeout value must be between 1 and 30 seconds'],
    ['more patience than there is', { timeoutSeconds: 31 }, 'the timeout value must be between 1 and 30 seconds'],
    [
      'an operation beside all',
      { rules: [rule(['pods'], { operations: ['*', 'CREATE'] })] },
      "if '*' is present, must not specify other operations",
    ],
    [
      'a resource beside all',
      { rules: [rule(['*', 'pods'])] },
      "if '*' is present, must not specify other resources without subresources",
    ],
    [
      'a subresource beside all',
      { rules: [rule(['*/*', 'pods/status'])] },
      "if '*/*' is present, must not specify other resources",
    ],
    [
      'an unknown policy',
      { failurePolicy: 'Perhaps' },
      'failurePolicy: Unsupported value: "Perhaps": supported values: "Fail", "Ignore"',
    ],
  ])('%s is refused', async (_what, more, words) => {
    expect(await refused(more)).toContain(words);
  });

  test('two webhooks of one name are refused', async () => {
    const { status, json } = await s.call('POST', `${base}/${plurals.Validating}`, {
      metadata: { name: 'twice' },
      webhooks: [webhook(), webhook()],
    });
    expect([status, String(json['message'])]).toEqual([
      422,
      expect.stringContaining('Duplicate value: "hook.example.com"'),
    ]);
  });
});

describe('matching requests', () => {
  // …#matching-requests-rules
  test('`pods/*` is all subresources, `*` all resources without them, `*/scale` one of all', async () => {
    const path = '/apis/apps/v1/namespaces/default/deployments';
    const labels = { app: 'a' };
    const spec = {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } },
    };
    await s.call('POST', path, { metadata: { name: 'd' }, spec });
    await configured('Validating', { rules: [rule(['*/scale'])] });
    await s.call(
      'PATCH',
      `${path}/d`,
      { metadata: { labels: { x: 'y' } } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(asked()).toEqual([]);
    await s.call(
      'PATCH',
      `${path}/d/scale`,
      { spec: { replicas: 2 } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(asked()).toMatchObject([
      {
        subResource: 'scale',
        requestSubResource: 'scale',
        resource: { group: 'apps', version: 'v1', resource: 'deployments' },
        kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
        object: { spec: { replicas: 2 } },
        oldObject: { spec: { replicas: 1 } },
      },
    ]);
  });

  test.each([
    [
      'eviction',
      { kind: 'Eviction', apiVersion: 'policy/v1', metadata: { name: 'p', namespace: 'default' } },
      { group: 'policy', version: 'v1', kind: 'Eviction' },
    ],
    [
      'binding',
      { kind: 'Binding', apiVersion: 'v1', metadata: { name: 'p', namespace: 'default' }, target: { name: 'n' } },
      { group: '', version: 'v1', kind: 'Binding' },
    ],
  ])('pods/%s is the creation of what was sent', async (subresource, body, kind) => {
    const pods = '/api/v1/namespaces/default/pods';
    await s.call('POST', pods, { metadata: { name: 'p' }, spec: { containers: [{ name: 'a', image: 'a' }] } });
    await configured('Validating', { rules: [rule([`pods/${subresource}`], { operations: ['CREATE'] })] });
    answer = () => ({ allowed: false });
    const { status } = await s.call('POST', `${pods}/p/${subresource}`, body);
    expect(status).toBe(400);
    expect(asked()).toMatchObject([
      {
        kind,
        requestKind: kind,
        resource: { resource: 'pods' },
        subResource: subresource,
        operation: 'CREATE',
        object: body,
      },
    ]);
    const { json } = await s.call('GET', `${pods}/p`);
    expect([json['spec']!['nodeName'], json['metadata']!['deletionTimestamp']]).toEqual([undefined, undefined]);
  });

  test('a webhook may change how far something is scaled, and how it is evicted', async () => {
    const deployments = '/apis/apps/v1/namespaces/default/deployments';
    const pods = '/api/v1/namespaces/default/pods';
    await s.call('POST', pods, {
      metadata: { name: 'slow' },
      spec: { nodeName: 'n', containers: [{ name: 'a', image: 'a' }] },
    });
    await configured('Mutating', { rules: [rule(['deployments/scale', 'pods/eviction'])] });
    const patch = (path: string, value: unknown) => ({
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify([{ op: 'add', path, value }])).toString('base64'),
    });
    answer = () => patch('/spec/replicas', 1);
    const scale = { metadata: { name: 'd', namespace: 'default' }, spec: { replicas: 9 } };
    expect((await s.call('PUT', `${deployments}/d/scale`, scale)).json['spec']).toEqual({ replicas: 1 });
    answer = () => patch('/deleteOptions', { gracePeriodSeconds: 77 });
    await s.call('POST', `${pods}/slow/eviction`, { metadata: { name: 'slow', namespace: 'default' } });
    const { json } = await s.call('GET', `${pods}/slow`);
    expect(json['metadata']).toMatchObject({ deletionGracePeriodSeconds: 77 });
  });

  test('a webhook that would change a Binding fails the request: a change must not be lost', async () => {
    const pods = '/api/v1/namespaces/default/pods';
    await s.call('POST', pods, { metadata: { name: 'bent' }, spec: { containers: [{ name: 'a', image: 'a' }] } });
    await configured('Mutating', { rules: [rule(['pods/binding'])] });
    const operations = [{ op: 'replace', path: '/target/name', value: 'elsewhere' }];
    answer = () => ({ patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(operations)).toString('base64') });
    const binding = { metadata: { name: 'bent', namespace: 'default' }, target: { name: 'n' } };
    const { status, json } = await s.call('POST', `${pods}/bent/binding`, binding);
    expect([status, String(json['message'])]).toEqual([500, expect.stringContaining('can be refused, not changed')]);
    expect((await s.call('GET', `${pods}/bent`)).json['spec']!['nodeName']).toBeUndefined();
  });

  test('scope tells objects of namespaces from those of the cluster', async () => {
    await configured('Validating', { rules: [rule(['*'], { scope: 'Cluster', operations: ['CREATE'] })] });
    await make();
    expect(asked()).toEqual([]);
    await s.call('POST', '/api/v1/namespaces', { metadata: { name: 'scoped' } });
    expect(asked()).toMatchObject([{ name: 'scoped', operation: 'CREATE' }]);
  });

  // …#matching-requests-objectselector
  test('an object selector looks at the object as it was, too', async () => {
    await configured('Validating', { objectSelector: { matchLabels: { watched: 'yes' } } });
    await make({ name: 'looked-at' });
    expect(asked()).toEqual([]);
    const merge = { 'content-type': 'application/merge-patch+json' };
    await s.call('PATCH', `${maps}/looked-at`, { metadata: { labels: { watched: 'yes' } } }, merge);
    await s.call('PATCH', `${maps}/looked-at`, { metadata: { labels: { watched: 'no' } } }, merge);
    expect(asked().map(({ operation }) => operation)).toEqual(['UPDATE', 'UPDATE']);
    await s.call('PATCH', `${maps}/looked-at`, { data: { b: '2' } }, merge);
    expect(asked()).toHaveLength(2);
  });

  // …#matching-requests-namespaceselector
  test('a namespace selector looks at the labels of a namespace itself, and lets other objects of the cluster through to the webhook', async () => {
    await configured('Validating', {
      rules: [rule(['namespaces', 'configmaps', 'priorityclasses'])],
      namespaceSelector: { matchLabels: { watched: 'yes' } },
    });
    await make();
    await s.call('POST', '/api/v1/namespaces', { metadata: { name: 'aside' } });
    await s.call('POST', '/api/v1/namespaces', { metadata: { name: 'seen', labels: { watched: 'yes' } } });
    await s.call('POST', '/api/v1/namespaces/seen/configmaps', { metadata: { name: 'inside' } });
    await s.call('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', { metadata: { name: 'above' }, value: 1 });
    expect(asked().map(({ name }) => name)).toEqual(['seen', 'inside', 'above']);
  });

  // …#matching-requests-matchpolicy
  test('Equivalent sees a request by another version of the kind, in the version that it names; Exact does not', async () => {
    const autoscalers = (version: string) => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers`;
    const scaleTargetRef = { kind: 'Deployment', name: 'd', apiVersion: 'apps/v1' };
    const rules = [rule(['horizontalpodautoscalers'], { apiGroups: ['autoscaling'], apiVersions: ['v1'] })];
    await configured('Validating', { rules, matchPolicy: 'Exact' });
    await s.call('POST', autoscalers('v2'), { metadata: { name: 'exact' }, spec: { scaleTargetRef, maxReplicas: 3 } });
    expect(asked()).toEqual([]);
    await s.call('DELETE', `${base}/${plurals.Validating}`);
    await configured('Validating', { rules });
    await s.call('POST', autoscalers('v2'), { metadata: { name: 'equal' }, spec: { scaleTargetRef, maxReplicas: 3 } });
    expect(asked()).toMatchObject([
      {
        kind: { group: 'autoscaling', version: 'v1', kind: 'HorizontalPodAutoscaler' },
        resource: { group: 'autoscaling', version: 'v1', resource: 'horizontalpodautoscalers' },
        requestKind: { group: 'autoscaling', version: 'v2', kind: 'HorizontalPodAutoscaler' },
        requestResource: { group: 'autoscaling', version: 'v2', resource: 'horizontalpodautoscalers' },
        object: { apiVersion: 'autoscaling/v1', spec: { maxReplicas: 3 } },
      },
    ]);
  });
});

describe('reviews', () => {
  // …#request, …#webhook-request-and-response
  test('are sent in the first form of the list that is spoken', async () => {
    await configured('Validating', { admissionReviewVersions: ['v9', 'v1beta1', 'v1'] });
    expect((await make()).status).toBe(201);
    expect(hook.asked[0]!.body).toMatchObject({ apiVersion: 'admission.k8s.io/v1beta1', kind: 'AdmissionReview' });
  });

  // …#response
  test('a refusal without words is told of, with 400', async () => {
    await configured('Validating');
    answer = () => ({ allowed: false });
    const { status, json } = await make();
    expect([status, json['message']]).toEqual([
      400,
      'admission webhook "hook.example.com" denied the request without explanation',
    ]);
  });

  test('a refusal that claims success has the code of a refusal', async () => {
    await configured('Validating');
    answer = () => ({ allowed: false, status: { code: 200, status: 'Success', reason: 'BecauseISaySo' } });
    const { status, json } = await make();
    expect([status, json['status'], json['message']]).toEqual([
      400,
      'Failure',
      'admission webhook "hook.example.com" denied the request: BecauseISaySo',
    ]);
  });

  test('a patch needs its type, and there is one', async () => {
    await configured('Mutating');
    const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/data/b', value: '2' }])).toString('base64');
    answer = () => ({ patch });
    expect((await make()).status).toBe(500);
    answer = () => ({ patch, patchType: 'Merge' });
    expect((await make()).status).toBe(500);
    answer = () => ({ patch, patchType: 'JSONPatch' });
    expect((await make()).json['data']).toEqual({ a: '1', b: '2' });
  });

  test('a validating webhook that patches fails the request', async () => {
    await configured('Validating');
    answer = () => ({ patchType: 'JSONPatch', patch: Buffer.from('[]').toString('base64') });
    expect((await make()).status).toBe(500);
  });

  test('validating webhooks see what mutating ones made, and all of them are asked', async () => {
    await configured('Mutating');
    await configured('Validating', { name: 'a.example.com' }, 'a');
    await configured('Validating', { name: 'b.example.com' }, 'b');
    const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/data/b', value: '2' }])).toString('base64');
    answer = ({ object }) => ('b' in object!['data']! ? {} : { patch, patchType: 'JSONPatch' });
    expect((await make()).status).toBe(201);
    expect(asked().map(({ object }) => object!['data'])).toEqual([{ a: '1' }, { a: '1', b: '2' }, { a: '1', b: '2' }]);
  });

  // …#response: warnings
  test('long warnings are cut, and there is an end to many', async () => {
    await configured('Validating');
    answer = () => ({ warnings: Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(400)}`) });
    const { status, headers } = await make();
    expect(status).toBe(201);
    const warnings = [headers['warning'] ?? []].flat().join(',');
    expect(warnings.length).toBeGreaterThan(1000);
    expect(warnings.length).toBeLessThan(6000);
  });
});

describe('best practices that the server sees to', () => {
  // …#authenticate-apiservers and …#avoiding-deadlocks-in-self-hosted-webhooks
  test('reviews of access and tokens, and configurations themselves, are kept from webhooks', async () => {
    await configured('Validating', { rules: [rule(['*'])], failurePolicy: 'Fail' });
    answer = () => ({ allowed: false });
    const { status } = await s.call('DELETE', `${base}/${plurals.Validating}/hook`);
    expect(status).toBe(200);
    expect(asked()).toEqual([]);
  });

  // …#request: dryRun
  test('a dry run asks only those without side effects', async () => {
    await configured('Validating', { sideEffects: 'NoneOnDryRun' });
    expect((await s.call('POST', `${maps}?dryRun=All`, { metadata: { name: 'dry' } })).status).toBe(201);
    expect(asked()).toMatchObject([{ dryRun: true, options: { dryRun: ['All'] } }]);
  });
});
