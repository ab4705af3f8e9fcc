import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../eventually.ts';
import { makeCa, type TestAuthority } from '../pki.ts';
import { kubectls, runKubectl } from './kubectls.ts';
import { adminToken, startServer, type Json, type TestServer, listOf } from './harness.ts';

// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/

const group = 'wardle.example.com';
const resources = [
  { name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder', verbs: ['create', 'get', 'list'] },
  { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] },
];

const gvk = { group, version: 'v1alpha1', kind: 'Flunder' };
const flunders = `/apis/${group}/v1alpha1/namespaces/{namespace}/flunders`;
/** What the extension says of itself; its metadata is not that of our server. */
const schemas = (prefix: string) => ({
  'com.example.wardle.v1alpha1.Flunder': {
    type: 'object',
    description: 'A flunder of the tests.',
    'x-kubernetes-group-version-kind': [gvk],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: `${prefix}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta` },
      spec: { type: 'object', properties: { size: { type: 'integer', description: 'How large it is.' } } },
    },
  },
  'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta': {
    type: 'object',
    description: 'Metadata of another server.',
    properties: { name: { type: 'string' }, namespace: { type: 'string' } },
  },
});
const patch = (parameters: object[]) => ({
  operationId: 'patchFlunder',
  'x-kubernetes-action': 'patch',
  'x-kubernetes-group-version-kind': gvk,
  parameters,
  responses: { 200: { description: 'OK' } },
});
const documents: Record<string, object> = {
  '/openapi/v3': {
    paths: { [`apis/${group}/v1alpha1`]: { serverRelativeURL: `/openapi/v3/apis/${group}/v1alpha1?hash=A1` } },
  },
  [`/openapi/v3/apis/${group}/v1alpha1`]: {
    openapi: '3.0.0',
    info: { title: 'wardle', version: '1' },
    paths: {
      [`${flunders}/{name}`]: {
        patch: patch([{ name: 'fieldValidation', in: 'query', schema: { type: 'string', uniqueItems: true } }]),
      },
    },
    components: { schemas: schemas('#/components/schemas/') },
  },
  '/openapi/v2': {
    swagger: '2.0',
    info: { title: 'wardle', version: '1' },
    paths: {
      [`${flunders}/{name}`]: {
        patch: patch([{ name: 'fieldValidation', in: 'query', type: 'string', uniqueItems: true }]),
        get: {
          operationId: 'readFlunder',
          responses: {
            200: { description: 'OK', schema: { $ref: '#/definitions/com.example.wardle.v1alpha1.Flunder' } },
          },
        },
      },
      '/apis/apps/v1/deployments': {
        get: { operationId: 'foreign', responses: { 200: { description: 'not its own' } } },
      },
    },
    definitions: { ...schemas('#/definitions/'), 'com.example.Unused': { type: 'object' } },
  },
};

let server: TestServer;
let extension: {
  ca: TestAuthority;
  http: Server;
  port: number;
  asked: IncomingMessage[];
  isBroken: boolean;
  isOld: boolean;
};

beforeAll(async () => {
  server = await startServer();
  extension = await startExtension();
});
afterAll(async () => {
  await server.stop();
  extension.http.closeAllConnections();
  await new Promise((resolve) => extension.http.close(resolve));
});

/** A small server of a group version, as somebody would put behind an APIService. */
async function startExtension(): Promise<typeof extension> {
  const ca = await makeCa('extension-ca');
  const pair = await ca.issueFor('wardle.default.svc');
  const own = {
    ca,
    asked: [] as IncomingMessage[],
    isBroken: false,
    isOld: false,
    port: 0,
    http: createServer({ ...pair, requestCert: true, rejectUnauthorized: false }),
  };
  own.http.on('request', (request, response) => {
    own.asked.push(request);
    response.setHeader('content-type', 'application/json');
    if (own.isBroken) return void response.writeHead(500).end('{}');
    if (request.url === `/apis/${group}/v1alpha1`)
      return void response.end(
        JSON.stringify({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${group}/v1alpha1`, resources }),
      );
    const document =
      own.isOld && request.url!.startsWith('/openapi/v3') ? undefined : documents[request.url!.split('?')[0]!];
    if (document) return void response.end(JSON.stringify(document));
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      response.end(
        JSON.stringify({
          kind: 'Echo',
          url: request.url,
          method: request.method,
          body: Buffer.concat(chunks).toString(),
        }),
      ),
    );
  });
  new WebSocketServer({ server: own.http }).on('connection', (socket, { headers }) =>
    socket.on('message', (data) => socket.send(`${String(data as Buffer)} from ${String(headers['x-remote-user'])}`)),
  );
  await new Promise<void>((resolve) => own.http.listen(0, '127.0.0.1', resolve));
  own.port = (own.http.address() as AddressInfo).port;
  return own;
}

const services = '/apis/apiregistration.k8s.io/v1/apiservices';
const name = `v1alpha1.${group}`;
const available = (json: Json) =>
  (json['status']?.['conditions'] && listOf(json['status']['conditions']))?.find(
    (one) => String(one['type']) === 'Available',
  );
const saysAvailable = (expected: object) =>
  eventually(
    async () => expect(available((await server.call('GET', `${services}/${name}`)).json)).toMatchObject(expected),
    15_000,
  );

describe('the aggregation layer', () => {
  test('group versions of this server are local and available', async () => {
    await eventually(async () => {
      const { json } = await server.call('GET', `${services}/v1.apps`);
      expect(json).toMatchObject({ spec: { group: 'apps', version: 'v1' } });
      expect(available(json)).toMatchObject({ status: 'True', reason: 'Local' });
    });
  });

  test('says what is missing until the service, its endpoints and its server are there', async () => {
    const made = await server.call('POST', services, {
      metadata: { name },
      spec: {
        group,
        version: 'v1alpha1',
        service: { namespace: 'default', name: 'wardle' },
        caBundle: Buffer.from(extension.ca.pem).toString('base64'),
        groupPriorityMinimum: 2000,
        versionPriority: 200,
      },
    });
    expect([made.status, made.json['message']]).toEqual([201, undefined]);
    await saysAvailable({ status: 'False', reason: 'ServiceNotFound' });
    expect((await server.call('GET', `/apis/${group}/v1alpha1/flunders`)).status).toBe(503);
    await server.call('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 'wardle' },
      spec: { ports: [{ port: 443 }] },
    });
    await saysAvailable({ status: 'False', reason: 'MissingEndpoints' });
    await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: { name: 'wardle-1', labels: { 'kubernetes.io/service-name': 'wardle' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: '', port: extension.port, protocol: 'TCP' }],
    });
    await saysAvailable({ status: 'True', reason: 'Passed' });
  });

  test('passes requests on with who asks, and never what callers claim to be', async () => {
    const { status, json } = await server.call(
      'POST',
      `/apis/${group}/v1alpha1/namespaces/default/flunders?x=1`,
      { a: 1 },
      { 'x-remote-user': 'root', 'x-remote-group': 'system:masters' },
    );
    expect([status, json]).toEqual([
      200,
      { kind: 'Echo', url: `/apis/${group}/v1alpha1/namespaces/default/flunders?x=1`, method: 'POST', body: '{"a":1}' },
    ]);
    // The aggregator asks, too, in its own name.
    const { headers } = extension.asked.findLast(({ method }) => method === 'POST')!;
    expect(headers['x-remote-user']).toBe('admin');
    expect(headers['x-remote-group']).toBe('system:masters, system:authenticated');
    expect(headers['authorization']).toBeUndefined();
  });

  test('passes on what leaves HTTP, and bodies of any length', async () => {
    const path = `/apis/${group}/v1alpha1/namespaces/default/flunders`;
    const body = 'x'.repeat(4 * 1024 * 1024);
    expect((await server.call('POST', path, body)).json['body']).toHaveLength(body.length);
    const socket = new WebSocket(`wss://127.0.0.1:${server.port}${path}/x/chat`, {
      ca: server.ca.pem,
      headers: { authorization: `Bearer ${adminToken}` },
    });
    await new Promise((done) => socket.once('open', done));
    socket.send('ping');
    expect(String(await new Promise((done) => socket.once('message', done)))).toBe('ping from admin');
    socket.terminate();
  });

  test('who may not is refused here, not there', async () => {
    const before = extension.asked.length;
    const { status } = await server.call('DELETE', `/apis/${group}/v1alpha1/namespaces/default/flunders/x`, undefined, {
      authorization: '',
    });
    expect(status).toBe(403);
    expect(extension.asked.slice(before).filter(({ method }) => method === 'DELETE')).toEqual([]);
  });

  test('is part of discovery in every form', async () => {
    const groups = await server.call('GET', '/apis');
    expect(listOf(groups.json['groups']).map((one) => String(one['name']))).toContain(group);
    expect((await server.call('GET', `/apis/${group}`)).json).toMatchObject({
      preferredVersion: { version: 'v1alpha1' },
    });
    expect((await server.call('GET', `/apis/${group}/v1alpha1`)).json).toMatchObject({ resources });
    const form = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const { json } = await server.call('GET', '/apis', undefined, { accept: form });
    const found = listOf(json['items']).find((item) => String(item['metadata']!['name']) === group);
    expect(found).toMatchObject({
      versions: [
        {
          version: 'v1alpha1',
          freshness: 'Current',
          resources: [{ resource: 'flunders', scope: 'Namespaced', subresources: [{ subresource: 'status' }] }],
        },
      ],
    });
  });

  test('is part of OpenAPI: its definitions stand beside those of this server, its documents are its own', async () => {
    const { paths } = (await server.call('GET', '/openapi/v3')).json;
    const url = `/openapi/v3/apis/${group}/v1alpha1?hash=A1`;
    expect(paths![`apis/${group}/v1alpha1`]).toEqual({ serverRelativeURL: url });
    expect((await server.call('GET', url)).json['info']!['title']).toBe('wardle');
    expect(extension.asked.findLast((one) => one.url === url)!.headers['x-remote-user']).toBe('admin');
    const v2 = (await server.call('GET', '/openapi/v2')).json;
    expect(v2['paths']![`${flunders}/{name}`]!['get']!['operationId']).toBe('readFlunder');
    expect(v2['paths']!['/apis/apps/v1/deployments']!['get']!['operationId']).not.toBe('foreign');
    const definitions = v2['definitions']!;
    const metadata = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
    expect(definitions['com.example.wardle.v1alpha1.Flunder']!['properties']!['metadata']).toEqual({
      $ref: `#/definitions/${metadata}_v2`,
    });
    expect(definitions[`${metadata}_v2`]!['description']).toBe('Metadata of another server.');
    expect(definitions[metadata]!['properties']).toHaveProperty('ownerReferences');
    expect(definitions).not.toHaveProperty(['com.example.Unused']);
  });

  test.each(kubectls())('%s explains what it serves', async (kubectl) => {
    const env = { HOME: server.dir, KUBECONFIG: server.kubeconfig };
    const { out, err } = await runKubectl(kubectl, ['explain', 'flunders.spec.size'], { env });
    expect([err, out]).toEqual(['', expect.stringContaining('How large it is.')]);
  });

  test('a server that fails is unavailable, its discovery stale, and back when it answers again', async () => {
    extension.isBroken = true;
    await saysAvailable({ status: 'False', reason: 'FailedDiscoveryCheck' });
    expect((await server.call('GET', '/openapi/v3')).json['paths']).not.toHaveProperty([`apis/${group}/v1alpha1`]);
    extension.isBroken = false;
    // It is asked anew what it serves; now it knows no more than Swagger 2.0.
    extension.isOld = true;
    await saysAvailable({ status: 'True' });
    const { paths } = (await server.call('GET', '/openapi/v3')).json;
    const url = String(paths![`apis/${group}/v1alpha1`]!['serverRelativeURL']);
    const made = (await server.call('GET', url)).json;
    const { metadata } = made['components']!['schemas']!['com.example.wardle.v1alpha1.Flunder']!['properties']!;
    expect(metadata).toEqual({ $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' });
    const { get, patch } = made['paths']![`${flunders}/{name}`]!;
    expect(get!['responses']!['200']!['content']).toEqual({
      'application/json': { schema: { $ref: '#/components/schemas/com.example.wardle.v1alpha1.Flunder' } },
    });
    expect(patch!['parameters']).toEqual([
      { name: 'fieldValidation', in: 'query', schema: { type: 'string', uniqueItems: true } },
    ]);
  });

  test.each(kubectls())('%s explains that, too', async (kubectl) => {
    const env = { HOME: server.dir, KUBECONFIG: server.kubeconfig };
    const { out, err } = await runKubectl(kubectl, ['explain', 'flunders.spec.size'], { env });
    expect([err, out]).toEqual(['', expect.stringContaining('How large it is.')]);
  });

  test('goes with its APIService', async () => {
    await server.call('DELETE', `${services}/${name}`);
    await eventually(async () => expect((await server.call('GET', `/apis/${group}`)).status).toBe(404));
  });
});
