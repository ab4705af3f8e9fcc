import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, request as overHttp1 } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { makeCa } from '../pki.ts';
import { adminToken, startServer, type TestServer, listOf } from './harness.ts';

// https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
// [sig-network] Proxy version v1 "should proxy through a service and a pod",
// "A set of valid responses are returned for both pod and service Proxy", "… ProxyWithPath"

const namespace = '/api/v1/namespaces/default';
let s: TestServer;
let plain: Server;
let secure: ReturnType<typeof createTlsServer>;
let port: number;
let securePort: number;
let released: (() => void) | undefined;

/** What a pod might serve: an echo, a redirect, a page, a stream. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url!.split('?')[0];
  if (path === '/redirect') return void response.writeHead(302, { location: '/target?x=1' }).end();
  if (path === '/elsewhere') return void response.writeHead(302, { location: 'https://example.com/a' }).end();
  if (path === '/page' || path === '/packed') {
    const html =
      '<html><a href="/up?a=1&amp;b">é</a><img src=relative.png><script src="https://cdn.example/x.js"></script>';
    const packed = path === '/packed';
    const headers = { 'content-type': 'text/html; charset=utf-8', ...(packed ? { 'content-encoding': 'gzip' } : {}) };
    return void response.writeHead(200, headers).end(packed ? gzipSync(html) : html);
  }
  if (path === '/stream') {
    response.write('first');
    released = () => response.end('last');
    return;
  }
  if (path === '/cut') return void request.socket.destroy();
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('x-method', request.method!);
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, headers, bytes: Buffer.concat(chunks).length }));
  });
}

beforeAll(async () => {
  s = await startServer({ proxyToLoopback: true });
  plain = createServer(answer);
  secure = createTlsServer(await (await makeCa()).issue('pod'), answer);
  const sockets = new WebSocketServer({ server: plain });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data as Buffer)}`)));
  for (const server of [plain, secure]) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  port = (plain.address() as AddressInfo).port;
  securePort = (secure.address() as AddressInfo).port;
  await pod('web', '127.0.0.1', port);
  await pod('bare', '127.0.0.1', undefined);
  await pod('linked', '169.254.169.254', 80);
  await service('web', [
    { name: 'http', port: 80, targetPort: port },
    { name: 'tls', port: 443, targetPort: securePort },
  ]);
  await slice('web', 'web', '127.0.0.1');
  await service('empty', [{ port: 80 }]);
  await service('forged', [{ name: 'http', port: 80 }]);
  await slice('forged', 'web', '127.0.0.2');
});
afterAll(async () => {
  await s.stop();
  for (const server of [plain, secure]) {
    server.closeAllConnections();
    server.close();
  }
});

async function pod(name: string, podIP: string, containerPort: number | undefined): Promise<void> {
  const ports = containerPort ? { ports: [{ containerPort }] } : {};
  await s.call('POST', `${namespace}/pods`, {
    metadata: { name },
    spec: {
      containers: [
        { name: 'sidecar', image: 'i' },
        { name: 'main', image: 'i', ...ports },
      ],
    },
  });
  const status = { status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }] } };
  const merge = { 'content-type': 'application/merge-patch+json' };
  expect((await s.call('PATCH', `${namespace}/pods/${name}/status`, status, merge)).status).toBe(200);
}

const service = (name: string, ports: object[]) =>
  s.call('POST', `${namespace}/services`, { metadata: { name }, spec: { selector: { app: name }, ports } });

const slice = (name: string, ofPod: string, address: string) =>
  s.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true }, targetRef: { kind: 'Pod', name: ofPod } }],
    ports: [
      { name: 'http', port, protocol: 'TCP' },
      { name: 'tls', port: securePort, protocol: 'TCP' },
    ],
  });

describe('the proxy to pods and services', () => {
  test.each([
    ['a pod at its first port', () => 'pods/web/proxy'],
    ['a pod at a port', () => `pods/bare:${port}/proxy`],
    ['a pod over TLS', () => `pods/https:web:${securePort}/proxy`],
    ['a service by the name of its port', () => 'services/web:http/proxy'],
    ['a service by the number of its port', () => 'services/web:80/proxy'],
    ['a service over TLS', () => 'services/https:web:tls/proxy'],
    ['a service over TLS by number', () => 'services/https:web:443/proxy'],
  ])('reaches %s', async (_, place) => {
    const { status, json, headers } = await s.call('GET', `${namespace}/${place()}/some/path%20here/?q=a%20b`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ method: 'GET', url: '/some/path%20here/?q=a%20b' });
    expect(json['headers']).toMatchObject({
      'x-forwarded-uri': `${namespace}/${place()}/some/path%20here/`,
      'x-forwarded-for': '127.0.0.1',
    });
    expect(json['headers']!['authorization']).toBeUndefined();
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  test.each(['pods/web', 'services/web:http'])('the old path of %s still leads there', async (place) => {
    const old = `/api/v1/proxy/namespaces/default/${place}`;
    expect((await s.call('GET', `${old}/a/b`)).json).toMatchObject({ url: '/a/b' });
    expect((await s.call('GET', old)).headers['location']).toBe(`${old}/`);
  });

  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('passes %s', async (method) => {
    const body = ['POST', 'PUT', 'PATCH'].includes(method) ? 'x'.repeat(4 * 1024 * 1024) : undefined;
    for (const place of ['pods/web', 'services/web:http']) {
      const { json } = await s.call(method, `${namespace}/${place}/proxy/some/path/with/${method}`, body);
      expect(json).toMatchObject({ method, url: `/some/path/with/${method}`, bytes: body?.length ?? 0 });
    }
  });

  test('passes HEAD', async () => {
    const { status, text, headers } = await s.call('HEAD', `${namespace}/pods/web/proxy/a`);
    expect([status, text, headers['x-method']]).toEqual([200, '', 'HEAD']);
  });

  test.each(['pods/web', 'services/web:http', 'services/https:web:tls'])(
    'a path of %s without its slash is redirected to the one with it',
    async (place) => {
      const path = `${namespace}/${place}/proxy`;
      const { status, headers } = await s.call('GET', `${path}?method=GET`);
      expect([status, headers['location']]).toEqual([301, `${path}/?method=GET`]);
      expect((await s.call('POST', path, 'x')).json).toMatchObject({ method: 'POST', url: '/' });
    },
  );

  test('redirects and the links of pages lead through the proxy, those to other hosts do not', async () => {
    const root = `${namespace}/services/web:http/proxy`;
    expect((await s.call('GET', `${root}/redirect`)).headers['location']).toBe(`${root}/target?x=1`);
    expect((await s.call('GET', `${root}/elsewhere`)).headers['location']).toBe('https://example.com/a');
    const page = `<html><a href="${root}/up?a=1&amp;b">é</a><img src=relative.png><script src="https://cdn.example/x.js"></script>`;
    expect((await s.call('GET', `${root}/page`)).text).toBe(page);
    expect(gunzipSync(await bytes(`${root}/packed`)).toString()).toBe(page);
  });

  test('what a pod sends arrives before it is done', async () => {
    const stream = overHttp1({
      ...http1,
      port: s.port,
      ca: s.ca.pem,
      path: `${namespace}/pods/web/proxy/stream`,
    }).end();
    const response = await new Promise<IncomingMessage>((done) => stream.once('response', done));
    expect(String(await new Promise((done) => response.once('data', done)))).toBe('first');
    released!();
    expect(String(await new Promise((done) => response.once('data', done)))).toBe('last');
  });

  test('a WebSocket passes', async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${s.port}${namespace}/services/web:http/proxy/chat`, {
      ca: s.ca.pem,
      headers: { authorization: `Bearer ${adminToken}` },
    });
    await new Promise((done) => socket.once('open', done));
    socket.send('ping');
    const [data] = await new Promise<[Buffer]>((done) => socket.once('message', (...args) => done(args as never)));
    expect(String(data)).toBe('echo ping');
    socket.terminate();
  });
});

const http1 = { host: '127.0.0.1', headers: { authorization: `Bearer ${adminToken}` }, agent: false } as const;

function bytes(path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    overHttp1({ ...http1, port: s.port, ca: s.ca.pem, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
    })
      .on('error', reject)
      .end();
  });
}

describe('what the proxy refuses', () => {
  test.each([
    ['pods/none/proxy/', 404, 'pods "none" not found'],
    ['services/none/proxy/', 404, 'services "none" not found'],
    ['services/empty/proxy/', 503, 'no endpoints available for service "empty"'],
    ['services/web:nope/proxy/', 503, 'no endpoints available for service "web:nope"'],
    ['services/web:81/proxy/', 503, 'no service port 81 found for service "web"'],
    ['services/forged:http/proxy/', 503, 'no endpoints available for service "forged:http"'],
    ['pods/ftp:web:80/proxy/', 400, 'invalid pod request "ftp:web:80"'],
    ['pods/web:80%2F..%2Fx/proxy/', 400, 'invalid pod request "web:80/../x"'],
    ['pods/linked/proxy/', 400, 'address not allowed'],
    ['pods/web:1/proxy/', 503, /^error trying to reach service: .*ECONNREFUSED/],
    ['pods/web/proxy/cut', 503, /^error trying to reach service: /],
  ])('%s: %i', async (place, code, message) => {
    const { status, json } = await s.call('GET', `${namespace}/${place}`);
    expect(status).toBe(code);
    expect(json).toMatchObject({ kind: 'Status', code, message: expect.stringMatching(message) });
  });

  test('a path cannot climb out of the proxy', async () => {
    const escaped = await bytes(`${namespace}/pods/web/proxy/a/%2e%2e/../../../secret`);
    expect(JSON.parse(escaped.toString())).toMatchObject({ url: '/secret' });
  });

  test('each method needs its verb on the subresource', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    const rules = [{ apiGroups: [''], resources: ['pods/proxy'], verbs: ['get'] }];
    await s.call('POST', `${rbac}/roles`, { metadata: { name: 'reader' }, rules });
    await s.call('POST', `${rbac}/rolebindings`, {
      metadata: { name: 'reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'User', name: 'jane' }],
    });
    const asJane = { 'impersonate-user': 'jane' };
    const status = async (method: string, place: string) =>
      (await s.call(method, `${namespace}/${place}/proxy/`, undefined, asJane)).status;
    expect(await status('GET', 'pods/web')).toBe(200);
    expect(await status('HEAD', 'pods/web')).toBe(200);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) expect(await status(method, 'pods/web')).toBe(403);
    expect(await status('GET', 'services/web:http')).toBe(403);
    expect((await s.call('GET', '/api/v1/proxy/namespaces/default/pods/web/', undefined, asJane)).status).toBe(200);
  });

  test('loopback addresses are refused unless the server is told otherwise', async () => {
    const strict = await startServer();
    try {
      await strict.call('POST', `${namespace}/pods`, {
        metadata: { name: 'web' },
        spec: { containers: [{ name: 'main', image: 'i' }] },
      });
      const merge = { 'content-type': 'application/merge-patch+json' };
      await strict.call('PATCH', `${namespace}/pods/web/status`, { status: { podIP: '127.0.0.1' } }, merge);
      const { json } = await strict.call('GET', `${namespace}/pods/web:${port}/proxy/`);
      expect(json).toMatchObject({ code: 400, message: 'address not allowed' });
    } finally {
      await strict.stop();
    }
  });
});

test('discovery names the proxies and their methods', async () => {
  const { json } = await s.call('GET', '/api/v1');
  const resources = listOf<{ name: string; kind: string; verbs: string[] }>(json['resources']);
  for (const kind of ['Pod', 'Service', 'Node'])
    expect(resources.find(({ name }) => name === `${kind.toLowerCase()}s/proxy`)).toMatchObject({
      kind: `${kind}ProxyOptions`,
      verbs: ['create', 'delete', 'get', 'patch', 'update'],
    });
});
