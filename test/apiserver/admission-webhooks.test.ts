import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { listOf, startServer, type TestServer } from './harness.ts';
import { startWebhook, type Review, type WebhookServer } from './webhook-server.ts';

// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/

let server: TestServer;
let hook: WebhookServer;
beforeAll(async () => {
  server = await startServer();
  hook = await startWebhook((path, body) => answer(path, body['request']!));
});
afterAll(async () => {
  await server.stop();
  await hook.stop();
});

const configurations = '/apis/admissionregistration.k8s.io/v1';
afterEach(async () => {
  for (const plural of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'])
    await server.call('DELETE', `${configurations}/${plural}`);
  hook.asked.length = 0;
});

const patch = (operations: object[]) => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

function answer(path: string, request: Review): unknown {
  const respond = (response: object) => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: request['uid'], allowed: true, ...response },
  });
  switch (path) {
    case '/add':
      return respond(patch([{ op: 'add', path: '/data/added', value: 'yes' }]));
    case '/count': {
      const count = Number((request['object']!['data'] as unknown as Record<string, string>)['count'] ?? 0);
      return respond(patch([{ op: 'add', path: '/data/count', value: String(count + 1) }]));
    }
    case '/sidecar':
      return respond(patch([{ op: 'add', path: '/spec/containers/-', value: { name: 'sidecar', image: 's' } }]));
    case '/deny':
      return respond({
        allowed: false,
        status: { code: 403, message: 'not today', reason: 'Forbidden' },
        warnings: ['be careful'],
      });
    case '/foreign':
      return { response: { uid: 'other', allowed: true } };
    case '/silent':
      return undefined;
    case '/broken-patch':
      return respond(patch([{ op: 'remove', path: '/data/absent' }]));
    default:
      return respond({ warnings: ['seen'] });
  }
}

const rule = (
  resources: string[],
  operations: string[] = ['CREATE', 'UPDATE'],
  apiGroups: string[] = [''],
  apiVersions = ['v1'],
) => ({
  operations,
  apiGroups,
  apiVersions,
  resources,
});

async function configure(
  type: 'Mutating' | 'Validating',
  name: string,
  path: string,
  webhook: object = {},
): Promise<void> {
  const { status, json } = await server.call('POST', `${configurations}/${type.toLowerCase()}webhookconfigurations`, {
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig: { url: `${hook.url}${path}`, caBundle: hook.caBundle },
        rules: [rule(['configmaps'])],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 1,
        ...webhook,
      },
    ],
  });
  expect([status, json['message']]).toEqual([201, undefined]);
}

const maps = '/api/v1/namespaces/default/configmaps';
let count = 0;
const make = (metadata: object = {}, query = '') =>
  server.call('POST', `${maps}${query}`, { metadata: { name: `m${(count += 1)}`, ...metadata }, data: { a: '1' } });

describe('admission webhooks', () => {
  test('a mutating one changes what is stored, and is told who asks for what', async () => {
    await configure('Mutating', 'add', '/add');
    const { json } = await make({ name: 'changed' });
    expect(json['data']).toEqual({ a: '1', added: 'yes' });
    expect(hook.asked[0]!.body).toMatchObject({
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        kind: { group: '', version: 'v1', kind: 'ConfigMap' },
        resource: { group: '', version: 'v1', resource: 'configmaps' },
        name: 'changed',
        namespace: 'default',
        operation: 'CREATE',
        userInfo: { username: 'admin' },
        object: { kind: 'ConfigMap', apiVersion: 'v1', data: { a: '1' } },
        oldObject: null,
        dryRun: false,
        options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      },
    });
  });

  test('they run in the order of their names; IfNeeded is asked again when a later one changed something', async () => {
    await configure('Mutating', 'a-count', '/count', { reinvocationPolicy: 'IfNeeded' });
    await configure('Mutating', 'b-add', '/add');
    const { json } = await make();
    expect(json['data']).toEqual({ a: '1', added: 'yes', count: '2' });
    expect(hook.asked.map(({ path }) => path)).toEqual(['/count', '/add', '/count']);
  });

  test('a container that one puts in gets what the plugins give every container', async () => {
    await server.call('POST', '/api/v1/namespaces/default/limitranges', {
      metadata: { name: 'limits' },
      spec: { limits: [{ type: 'Container', max: { cpu: '1' }, default: { cpu: '500m' } }] },
    });
    await configure('Mutating', 'sidecar', '/sidecar', { rules: [rule(['pods'])] });
    const { status, json } = await server.call('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'joined' },
      spec: { containers: [{ name: 'main', image: 'm' }] },
    });
    expect([status, json['message']]).toEqual([201, undefined]);
    expect(hook.asked).toHaveLength(1);
    expect(listOf(json['spec']!['containers']).map(({ resources }) => resources!['limits'])).toEqual([
      { cpu: '500m' },
      { cpu: '500m' },
    ]);
  });

  test('a validating one refuses in its own words and code, and warns', async () => {
    await configure('Validating', 'deny', '/deny');
    const { status, json, headers } = await make();
    expect(status).toBe(403);
    expect(json['message']).toBe('admission webhook "deny.example.com" denied the request: not today');
    expect(headers['warning'] ?? '').toBe('299 - "be careful"');
  });

  test('updates carry both objects, deletions the old one, dry runs say so', async () => {
    await make({ name: 'lived' });
    await configure('Validating', 'all', '/ok', { rules: [rule(['configmaps'], ['*'])] });
    await server.call(
      'PATCH',
      `${maps}/lived?dryRun=All`,
      { data: { a: '2' } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await server.call('DELETE', `${maps}/lived`);
    const [update, removal] = hook.asked.map(({ body }) => body['request']!);
    expect(update).toMatchObject({
      operation: 'UPDATE',
      dryRun: true,
      object: { data: { a: '2' } },
      oldObject: { data: { a: '1' } },
    });
    expect(removal).toMatchObject({ operation: 'DELETE', object: null, oldObject: { data: { a: '1' } } });
  });

  test('a refused deletion leaves the object', async () => {
    await make({ name: 'kept' });
    await configure('Validating', 'deny', '/deny', { rules: [rule(['configmaps'], ['DELETE'])] });
    expect((await server.call('DELETE', `${maps}/kept`)).status).toBe(403);
    expect((await server.call('GET', `${maps}/kept`)).status).toBe(200);
  });

  const failures: [string, string, string, string][] = [
    ['that does not answer in time', '/silent', 'Validating', 'context deadline exceeded'],
    ['that answers another request', '/foreign', 'Validating', 'expected response.uid='],
    ['whose patch cannot be applied', '/broken-patch', 'Mutating', 'failed calling webhook'],
  ];
  test.each(failures)('one %s fails the request', async (_what, path, type, words) => {
    await configure(type as 'Mutating', 'faulty', path);
    const { status, json } = await make();
    expect(status).toBe(500);
    expect(String(json['message'])).toContain(words);
  });

  test('faults are ignored where the configuration says so', async () => {
    await configure('Validating', 'faulty', '/silent', { failurePolicy: 'Ignore' });
    expect((await make()).status).toBe(201);
    expect(hook.asked).toHaveLength(1);
  });

  test('selectors, match conditions and side effects decide who is asked', async () => {
    await configure('Validating', 'deny', '/deny', {
      objectSelector: { matchLabels: { guarded: 'true' } },
      matchConditions: [
        {
          name: 'not-exempt',
          expression: '!(has(object.metadata.annotations) && "exempt" in object.metadata.annotations)',
        },
        {
          name: 'not-a-breakglass',
          expression:
            '!authorizer.serviceAccount("default", "x").group("").resource("pods").check("breakglass").allowed()',
        },
      ],
    });
    expect((await make()).status).toBe(201);
    expect((await make({ labels: { guarded: 'true' } })).status).toBe(403);
    expect((await make({ labels: { guarded: 'true' }, annotations: { exempt: '' } })).status).toBe(201);
    await configure('Validating', 'elsewhere', '/deny', { namespaceSelector: { matchLabels: { team: 'a' } } });
    expect((await make()).status).toBe(201);
  });

  test('match conditions that cannot be evaluated are refused', async () => {
    const { status, json } = await server.call('POST', `${configurations}/validatingwebhookconfigurations`, {
      metadata: { name: 'unreadable' },
      webhooks: [
        {
          name: 'unreadable.example.com',
          clientConfig: { url: 'https://127.0.0.1/' },
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          matchConditions: [
            { name: 'a', expression: 'objct.metadata.name ==' },
            { name: 'b', expression: 'objct.metadata.name == "a"' },
            { name: 'c', expression: 'object.metadata.name.size()' },
          ],
        },
      ],
    });
    expect(status).toBe(422);
    expect(listOf<{ field: string; message: string }>(json['details']!['causes'])).toMatchObject([
      { field: 'webhooks[0].matchConditions[0].expression', message: expect.stringContaining('Syntax error') },
      {
        field: 'webhooks[0].matchConditions[1].expression',
        message: expect.stringContaining("ERROR: <input>:1:1: undeclared reference to 'objct' (in container '')"),
      },
      { field: 'webhooks[0].matchConditions[2].expression', message: expect.stringMatching(/must evaluate to bool$/) },
    ]);
  });

  test('configurations are out of reach of webhooks', async () => {
    await configure('Validating', 'all', '/deny', { rules: [rule(['*'], ['*'], ['*'], ['*'])] });
    expect((await server.call('DELETE', `${configurations}/validatingwebhookconfigurations/all`)).status).toBe(200);
  });

  test('connections can be refused', async () => {
    await server.call('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    await configure('Validating', 'connect', '/deny', { rules: [rule(['pods/attach'], ['CONNECT'])] });
    const { status, json } = await server.call('POST', '/api/v1/namespaces/default/pods/p/attach?stdin=true');
    expect([status, json['message']]).toEqual([
      403,
      'admission webhook "connect.example.com" denied the request: not today',
    ]);
    expect(hook.asked[0]!.body['request']).toMatchObject({
      operation: 'CONNECT',
      subResource: 'attach',
      object: { kind: 'PodAttachOptions', stdin: true },
    });
  });

  test('a Service of the cluster is called at one of its endpoints', async () => {
    await server.call('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 'hook' },
      spec: { ports: [{ port: 443 }] },
    });
    const refused = () => make();
    await configure('Validating', 'service', '/deny', {
      clientConfig: { service: { namespace: 'default', name: 'hook', path: '/deny' }, caBundle: hook.caBundle },
    });
    expect(String((await refused()).json['message'])).toContain('no endpoints available for service "hook"');
    await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: { name: 'hook-1', labels: { 'kubernetes.io/service-name': 'hook' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: '', port: hook.port, protocol: 'TCP' }],
    });
    // The certificate names localhost only: the call gets there, and what it finds is not the service.
    expect(String((await refused()).json['message'])).toMatch(/hook\.default\.svc.*(altnames|certificate|Hostname)/s);
  });
});
