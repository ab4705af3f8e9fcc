import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { startServer, type TestServer } from './harness.ts';

const cms = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

interface Case {
  what: string;
  method?: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  code: number;
  reason?: string;
  message: string | RegExp;
}

const pod = (spec: unknown) => ({ metadata: { name: 'p' }, spec });
const merge = { 'content-type': 'application/merge-patch+json' };

const cases: Case[] = [
  {
    what: 'malformed JSON',
    path: cms,
    body: '{"metadata":',
    code: 400,
    reason: 'BadRequest',
    message:
      /the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: unexpected end of JSON input \(\{"metadata":\)/,
  },
  {
    what: 'an empty body',
    path: cms,
    body: ' ',
    code: 400,
    reason: 'BadRequest',
    message: /unexpected end of JSON input/,
  },
  {
    what: 'JSON that is no object',
    path: cms,
    body: '[1]',
    code: 400,
    reason: 'BadRequest',
    message: /cannot unmarshal array/,
  },
  {
    what: 'malformed YAML',
    path: cms,
    body: 'a: [',
    headers: { 'content-type': 'application/yaml' },
    code: 400,
    message: /error converting YAML to JSON/,
  },
  {
    what: 'a wrong type',
    path: cms,
    body: { metadata: { name: 1 } },
    code: 400,
    message:
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string',
  },
  {
    what: 'another kind',
    path: cms,
    body: { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a' } },
    code: 400,
    message: /Pod in version "v1" cannot be handled as a ConfigMap/,
  },
  {
    what: 'another version',
    path: cms,
    body: { kind: 'ConfigMap', apiVersion: 'v2' },
    code: 400,
    message: 'the API version in the data (v2) does not match the expected API version (v1)',
  },
  {
    what: 'no name',
    path: cms,
    body: { data: {} },
    code: 422,
    reason: 'Invalid',
    message: 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
  },
  {
    what: 'a bad name',
    path: cms,
    body: { metadata: { name: 'A_b' } },
    code: 422,
    reason: 'Invalid',
    message:
      /ConfigMap "A_b" is invalid: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of/,
  },
  {
    what: 'a bad label',
    path: cms,
    body: { metadata: { name: 'a', labels: { 'a b': 'c d' } } },
    code: 422,
    reason: 'Invalid',
    message: /metadata.labels: Invalid value: "a b": name part must consist of/,
  },
  {
    what: 'another namespace',
    path: cms,
    body: { metadata: { name: 'a', namespace: 'b' } },
    code: 400,
    message: 'the namespace of the provided object does not match the namespace sent on the request',
  },
  {
    what: 'a resourceVersion on create',
    path: cms,
    body: { metadata: { name: 'a', resourceVersion: '5' } },
    code: 400,
    message: 'resourceVersion should not be set on objects to be created',
  },
  {
    what: 'a name that differs from the URL',
    method: 'PUT',
    path: `${cms}/a`,
    body: { metadata: { name: 'b' } },
    code: 400,
    message: 'the name of the object (b) does not match the name on the URL (a)',
  },
  {
    what: 'an update of nothing',
    method: 'PUT',
    path: `${cms}/none`,
    body: { metadata: { name: 'none' } },
    code: 404,
    reason: 'NotFound',
    message: 'configmaps "none" not found',
  },
  {
    what: 'an unknown resource',
    method: 'GET',
    path: '/api/v1/namespaces/default/gadgets',
    code: 404,
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  },
  {
    what: 'an unknown group',
    method: 'GET',
    path: '/apis/example.com/v1/gadgets',
    code: 404,
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  },
  {
    what: 'an unknown subresource',
    method: 'GET',
    path: `${cms}/a/status`,
    code: 404,
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  },
  {
    what: 'a method that is not there',
    method: 'PUT',
    path: cms,
    body: {},
    code: 405,
    reason: 'MethodNotAllowed',
    message: 'the server does not allow this method on the requested resource',
  },
  {
    what: 'a label selector',
    method: 'GET',
    path: `${cms}?labelSelector=a%20in`,
    code: 400,
    reason: 'BadRequest',
    message: /unable to parse requirement: found '', expected: '\('/,
  },
  {
    what: 'a field selector',
    method: 'GET',
    path: `${pods}?fieldSelector=spec.foo%3Dx`,
    code: 400,
    reason: 'BadRequest',
    message: 'field label not supported: spec.foo',
  },
  {
    what: 'a resourceVersion',
    method: 'GET',
    path: `${cms}?resourceVersion=abc`,
    code: 400,
    reason: 'BadRequest',
    message: /resourceVersion: Invalid value: "abc"/,
  },
  { what: 'a limit', method: 'GET', path: `${cms}?limit=x`, code: 400, message: /strconv.ParseInt/ },
  {
    what: 'a continue token',
    method: 'GET',
    path: `${cms}?continue=zzz`,
    code: 400,
    reason: 'BadRequest',
    message: /continue key is not valid/,
  },
  {
    what: 'an Accept',
    method: 'GET',
    path: cms,
    headers: { accept: 'text/html' },
    code: 406,
    reason: 'NotAcceptable',
    message: /only the following media types are accepted: application\/json/,
  },
  {
    what: 'a content type',
    path: cms,
    body: 'x',
    headers: { 'content-type': 'text/plain' },
    code: 415,
    reason: 'UnsupportedMediaType',
    message: /the body of the request was in an unknown format - accepted media types include/,
  },
  {
    what: 'a patch type',
    method: 'PATCH',
    path: `${cms}/kube`,
    body: '{}',
    code: 415,
    reason: 'UnsupportedMediaType',
    message: /application\/json-patch\+json, application\/merge-patch\+json, application\/strategic-merge-patch\+json/,
  },
  {
    what: 'a propagation policy',
    method: 'DELETE',
    path: `${cms}/a`,
    body: { propagationPolicy: 'Foo' },
    code: 422,
    reason: 'Invalid',
    message: /propagationPolicy: Unsupported value: "Foo"/,
  },
  {
    what: 'protobuf that is none',
    path: cms,
    body: 'nothing',
    headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
    code: 400,
    message: /does not appear to be a protobuf message/,
  },
  {
    what: 'cut-off protobuf',
    path: cms,
    body: Buffer.from('k8s\0\x0a\xff\xff\xff'),
    headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
    code: 400,
    message: /unable to decode protobuf/,
  },
  {
    what: 'a pod without containers',
    path: pods,
    body: pod({}),
    code: 422,
    reason: 'Invalid',
    message: 'Pod "p" is invalid: spec.containers: Required value',
  },
  {
    what: 'a container without image',
    path: pods,
    body: pod({ containers: [{ name: 'a' }] }),
    code: 422,
    reason: 'Invalid',
    message: 'Pod "p" is invalid: spec.containers[0].image: Required value',
  },
  {
    what: 'two containers of one name',
    path: pods,
    body: pod({
      containers: [
        { name: 'a', image: 'i' },
        { name: 'a', image: 'i' },
      ],
    }),
    code: 422,
    reason: 'Invalid',
    message: 'Pod "p" is invalid: spec.containers[1].name: Duplicate value: "a"',
  },
  {
    what: 'a bad restart policy',
    path: pods,
    body: pod({ restartPolicy: 'Sometimes', containers: [{ name: 'a', image: 'i' }] }),
    code: 422,
    message:
      'Pod "p" is invalid: spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
  },
  {
    what: 'a mount without volume',
    path: pods,
    body: pod({ containers: [{ name: 'a', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }] }),
    code: 422,
    message: 'Pod "p" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "v"',
  },
  {
    what: 'requests above limits',
    path: pods,
    body: pod({ containers: [{ name: 'a', image: 'i', resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }] }),
    code: 422,
    message: /must be less than or equal to cpu limit of 1/,
  },
  {
    what: 'a selector that misses its template',
    path: '/apis/apps/v1/namespaces/default/deployments',
    body: {
      metadata: { name: 'd' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'c' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    },
    code: 422,
    reason: 'Invalid',
    message:
      /Deployment.apps "d" is invalid: spec.template.metadata.labels: Invalid value: \{"a":"c"\}: `selector` does not match template `labels`/,
  },
  {
    what: 'deep nesting',
    path: cms,
    body: `{"metadata":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
    code: 400,
    message: /exceeded max depth/,
  },
  {
    what: 'a patch that is no object',
    method: 'PATCH',
    path: `${cms}/kube`,
    body: '[]',
    headers: merge,
    code: 400,
    message: /cannot unmarshal array into Go value of type map/,
  },
  {
    what: 'a lease without resourceVersion',
    method: 'PUT',
    path: '/apis/coordination.k8s.io/v1/namespaces/default/leases/l',
    body: { metadata: { name: 'l' } },
    code: 422,
    reason: 'Invalid',
    message: /metadata.resourceVersion: Invalid value: "": must be specified for an update/,
  },
];

describe('what is wrong is refused in the words of Kubernetes', () => {
  beforeAll(async () => {
    await s.call('POST', cms, { metadata: { name: 'kube' } });
    await s.call('POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'l' } });
  });

  test.each(cases)('$what', async ({ method = 'POST', path, body, headers, code, reason, message }) => {
    const { json, status } = await s.call(method, path, body, headers);
    expect(json).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code });
    expect(status).toBe(code);
    if (reason) expect(json['reason']).toBe(reason);
    expect(json['message']).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
  });

  test('a body over the limit', async () => {
    const answer = await s.call('POST', cms, { metadata: { name: 'big' }, data: { a: 'x'.repeat(4 * 1024 * 1024) } });
    expect(answer.json).toMatchObject({
      kind: 'Status',
      code: 413,
      reason: 'RequestEntityTooLarge',
      message: 'Request entity too large: limit is 3145728',
    });
  });

  test('an unknown fieldValidation, by the name of the options it came with', async () => {
    const query = '?fieldValidation=Maybe';
    const body = { metadata: { name: 'kube' } };
    const path = '/api/v1/namespaces/default';
    for (const [answer, kind] of [
      [await s.call('POST', `${cms}${query}`, body), 'CreateOptions'],
      [await s.call('PUT', `${path}${query}`, { metadata: { name: 'default' } }), 'UpdateOptions'],
      [await s.call('PATCH', `${path}${query}`, { metadata: { labels: { a: 'b' } } }, merge), 'PatchOptions'],
    ] as const)
      expect(answer.json).toMatchObject({
        code: 422,
        reason: 'Invalid',
        message: `${kind}.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": supported values: "Ignore", "Strict", "Warn"`,
      });
  });

  test('a ConfigMap over 1 MiB', async () => {
    const answer = await s.call('POST', cms, { metadata: { name: 'big' }, data: { a: 'x'.repeat(1_100_000) } });
    expect(answer.json).toMatchObject({ code: 422, reason: 'Invalid', message: expect.stringContaining('Too long') });
  });

  test('a path that is nothing', async () => {
    expect(await s.call('GET', '/nonsense')).toMatchObject({ status: 404, text: '404 page not found\n' });
  });

  test('keys that mean something to JavaScript are kept as data', async () => {
    const made = await s.call('POST', cms, '{"metadata":{"name":"proto"},"data":{"__proto__":"x","constructor":"y"}}');
    expect(made.status).toBe(201);
    expect(made.text).toContain('"data":{"__proto__":"x","constructor":"y"}');
    expect((await s.call('GET', `${cms}/proto`)).text).toBe(made.text);
  });
});

test('what is right in another form is taken', async () => {
  const yaml =
    'metadata: {name: from-yaml, annotations: {at: "2026-01-01"}}\nimmutable: yes\ndata:\n  when: "2026-01-01"\n';
  expect((await s.call('POST', cms, yaml, { 'content-type': 'application/yaml' })).json).toMatchObject({
    immutable: true,
  });
  const options = { kind: 'DeleteOptions', apiVersion: 'apps/v1' };
  expect((await s.call('DELETE', `${cms}/from-yaml`, options)).status).toBe(200);
});

test('no body whatever makes an answer of 5xx or stops the server', async () => {
  const member = fc.constantFrom(
    'metadata',
    'spec',
    'data',
    'name',
    'labels',
    'containers',
    '__proto__',
    'ports',
    'kind',
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.string({ maxLength: 6 }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(member, tie('any'), { maxKeys: 4 }),
    ),
  })).any;
  const path = fc.constantFrom(
    cms,
    pods,
    '/api/v1/nodes',
    '/api/v1/namespaces/default/services',
    '/api/v1/namespaces/default/events',
    '/apis/apps/v1/namespaces/default/deployments',
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
    '/apis/coordination.k8s.io/v1/namespaces/default/leases',
  );
  await fc.assert(
    fc.asyncProperty(path, fc.dictionary(member, value, { maxKeys: 4 }), fc.boolean(), async (where, body, named) => {
      const given = named ? { ...body, metadata: { name: 'fuzz' } } : body;
      const answer = await s.call('POST', `${where}?dryRun=All`, given);
      if (answer.status >= 500) throw new Error(answer.text);
    }),
    { numRuns: 400 },
  );
  expect((await s.call('GET', '/livez')).text).toBe('ok');
});
