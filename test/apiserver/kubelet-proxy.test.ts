import { X509Certificate, createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import type { KeyPair } from '../../lib/certs.ts';
import { makeCa } from '../pki.ts';
import { adminToken, startServer, type TestServer } from './harness.ts';

const pods = '/api/v1/namespaces/default/pods';
const dir = mkdtempSync(join(tmpdir(), 'km-kubelet-'));
let s: TestServer;
let kubelet: Server;
const asked: { url: string; client: string; authorization: string | undefined }[] = [];

/** A node of which half a core is busy, and a pod that uses a tenth of one and 20 MiB. */
function summary(now: number): object {
  const used = (cores: number) => ({
    time: new Date(now).toISOString(),
    usageCoreNanoSeconds: Math.round(now * cores * 1e6),
  });
  return {
    node: { nodeName: 'n1', cpu: used(0.5), memory: { workingSetBytes: 512 * 1024 * 1024 } },
    pods: [
      {
        podRef: { name: 'one', namespace: 'default' },
        containers: [{ name: 'main', cpu: used(0.1), memory: { workingSetBytes: 20 * 1024 * 1024 } }],
      },
    ],
  };
}

beforeAll(async () => {
  const clients = await makeCa();
  const identity = await clients.issue('kube-apiserver-kubelet-client', 'system:masters');
  const serving = await (await makeCa()).issue('kubelet');
  const files = { cert: join(dir, 'kubelet-client.pem'), key: join(dir, 'kubelet-client.key') };
  writeFileSync(files.cert, identity.cert);
  writeFileSync(files.key, identity.key);
  s = await startServer({ kubeletClientCertFile: files.cert, kubeletClientKeyFile: files.key });
  kubelet = createServer(
    { ...serving, requestCert: true, rejectUnauthorized: true, ca: clients.pem },
    (request, response) => {
      asked.push({
        url: request.url!,
        client: (request.socket as TLSSocket).getPeerX509Certificate()!.subject,
        authorization: request.headers.authorization,
      });
      if (request.url!.startsWith('/stats/summary')) return void response.end(JSON.stringify(summary(Date.now())));
      response.end('line 1\nline 2\n');
    },
  );
  kubelet.on('upgrade', (request, socket) => {
    asked.push({ url: request.url!, client: '', authorization: request.headers.authorization });
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
  const { port } = kubelet.address() as AddressInfo;
  const fingerprint = createHash('sha256').update(new X509Certificate(serving.cert).raw).digest('hex');
  const node = (name: string, sha: string) => ({
    metadata: { name, annotations: { 'k8s.mesosphere.io/kubelet-certificate-sha256': sha } },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
  await s.call('POST', '/api/v1/nodes', node('n1', fingerprint));
  await s.call('POST', '/api/v1/nodes', node('impostor', '0'.repeat(64)));
  const pod = (name: string, nodeName: string | undefined, containers: string[]) =>
    s.call('POST', pods, {
      metadata: { name },
      spec: { ...(nodeName ? { nodeName } : {}), containers: containers.map((c) => ({ name: c, image: 'i' })) },
    });
  await pod('one', 'n1', ['main']);
  await pod('two', 'n1', ['a', 'b']);
  await pod('fooled', 'impostor', ['main']);
  await pod('waiting', undefined, ['main']);
});
afterAll(async () => {
  kubelet.close();
  await s.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('logs come from the kubelet, who sees the apiserver and not the caller', async () => {
  const answer = await s.call('GET', `${pods}/one/log?tailLines=5&follow=false`);
  expect(answer).toMatchObject({ status: 200, text: 'line 1\nline 2\n' });
  expect(asked.at(-1)).toEqual({
    url: '/containerLogs/default/one/main?tailLines=5&follow=false',
    client: expect.stringContaining('CN=kube-apiserver-kubelet-client'),
    authorization: undefined,
  });
  expect((await s.call('GET', '/api/v1/nodes/n1/proxy/healthz')).status).toBe(200);
  expect(asked.at(-1)!.url).toBe('/healthz');
});

test.each([
  ['', (frame: Buffer) => frame.toString()],
  ['binary.k8s.io', (frame: Buffer) => frame.toString()],
  ['base64.binary.k8s.io', (frame: Buffer) => Buffer.from(frame.toString(), 'base64').toString()],
])('logs over a WebSocket come in frames, protocol "%s"', async (protocol, read) => {
  const open = (pod: string) =>
    new WebSocket(`${s.url.replace('https', 'wss')}${pods}/${pod}/log`, protocol ? [protocol] : [], {
      ca: s.ca.pem,
      headers: { authorization: `Bearer ${adminToken}` },
    });
  const socket = open('one');
  const frames: string[] = [];
  socket.on('message', (frame: Buffer) => frames.push(read(frame)));
  const [code] = (await once(socket, 'close')) as [number];
  expect([code, frames.join('')]).toEqual([1000, 'line 1\nline 2\n']);
  const [error] = (await once(open('none'), 'error')) as [Error];
  expect(error.message).toContain('404');
});

test('a node is its kubelet, whose port may be named, by the old path too', async () => {
  const { port } = kubelet.address() as AddressInfo;
  for (const path of ['/api/v1/nodes/n1/proxy', `/api/v1/nodes/n1:${port}/proxy`, '/api/v1/proxy/nodes/n1']) {
    expect((await s.call('GET', `${path}/logs/?a=b`)).status).toBe(200);
    expect(asked.at(-1)).toMatchObject({ url: '/logs/?a=b', client: expect.stringContaining('kubelet-client') });
    expect((await s.call('GET', path)).headers['location']).toBe(`${path}/`);
  }
  expect((await s.call('GET', '/api/v1/nodes/n1:1/proxy/')).json).toMatchObject({
    code: 400,
    message: 'address not allowed',
  });
  expect((await s.call('GET', '/api/v1/nodes/none/proxy/')).json).toMatchObject({ code: 404 });
});

test('which container is meant must be clear', async () => {
  expect((await s.call('GET', `${pods}/two/log`)).json).toMatchObject({
    code: 400,
    reason: 'BadRequest',
    message: 'a container name must be specified for pod two, choose one of: [a b]',
  });
  expect((await s.call('GET', `${pods}/two/log?container=c`)).json).toMatchObject({
    code: 400,
    message: 'container c is not valid for pod two',
  });
  expect((await s.call('GET', `${pods}/two/log?container=b`)).status).toBe(200);
  expect((await s.call('GET', `${pods}/none/log`)).json).toMatchObject({ code: 404 });
});

test('the log of a pod without a node is empty, its containers are not there', async () => {
  expect(await s.call('GET', `${pods}/waiting/log?follow=true`)).toMatchObject({ status: 204, text: '' });
  expect((await s.call('GET', `${pods}/waiting/log?container=c`)).json).toMatchObject({ code: 400 });
  expect((await s.call('POST', `${pods}/waiting/exec?command=ls`)).json).toMatchObject({
    code: 400,
    message: 'pod waiting does not have a host assigned',
  });
});

test('a kubelet with another certificate than its node names is not spoken to', async () => {
  const before = asked.length;
  expect((await s.call('GET', `${pods}/fooled/log`)).json).toMatchObject({
    code: 502,
    message: expect.stringContaining('it shows another certificate than node impostor names'),
  });
  expect(asked.length).toBe(before);
});

test.each(['SPDY/3.1', 'websocket'])('an upgrade to %s passes bytes both ways', async (protocol) => {
  const socket = connect({
    host: '127.0.0.1',
    port: s.port,
    ca: s.ca.pem,
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  socket.write(
    `POST ${pods}/one/exec?command=sh&command=-c&stdin=true&stdout=1&stderr=false HTTP/1.1\r\nHost: km\r\nAuthorization: Bearer admin-token\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nContent-Length: 0\r\n\r\n`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  expect(head.toString()).toMatch(new RegExp(`^HTTP/1.1 101 [^]*Upgrade: ${protocol}`));
  expect(asked.at(-1)).toMatchObject({
    url: '/exec/default/one/main?command=sh&command=-c&input=1&output=1',
    authorization: undefined,
  });
  socket.write('ping');
  const [echo] = (await once(socket, 'data')) as [Buffer];
  expect(echo.toString()).toBe('ping');
  socket.destroy();
});

test('an upgrade that is refused reads a Status', async () => {
  const socket = connect({
    host: '127.0.0.1',
    port: s.port,
    ca: s.ca.pem,
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  socket.write(
    `GET ${pods}/none/exec?command=sh HTTP/1.1\r\nHost: km\r\nAuthorization: Bearer admin-token\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  expect(head.toString()).toMatch(/^HTTP\/1.1 404 [^]*"message":"pods \\"none\\" not found"/);
  socket.destroy();
});

test('what nodes and pods use is asked of the kubelets, for kubectl top', async () => {
  const nodes = await s.call('GET', '/apis/metrics.k8s.io/v1beta1/nodes');
  expect(nodes.json).toMatchObject({
    kind: 'NodeMetricsList',
    items: [{ metadata: { name: 'n1' }, usage: { memory: '524288Ki' }, window: '1s' }],
  });
  const cores = Number.parseInt(String(nodes.json['items']![0]!['usage']!['cpu']), 10) / 1e9;
  expect(cores).toBeCloseTo(0.5, 1);
  const list = await s.call('GET', '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods');
  expect(list.json['items']).toMatchObject([
    { metadata: { name: 'one', namespace: 'default' }, containers: [{ name: 'main', usage: { memory: '20480Ki' } }] },
  ]);
  expect((await s.call('GET', '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/two')).status).toBe(404);
  expect((await s.call('GET', '/apis/metrics.k8s.io/v1beta1/nodes/n1')).json).toMatchObject({ kind: 'NodeMetrics' });
  expect((await s.call('DELETE', '/apis/metrics.k8s.io/v1beta1/nodes/n1')).status).toBe(405);
});

describe('with a CA for kubelets', () => {
  let strict: TestServer;
  let shows: (certificate: KeyPair) => void;
  let close: () => void;
  const authority = makeCa('kubelets');
  beforeAll(async () => {
    const caFile = join(dir, 'kubelets.pem');
    writeFileSync(caFile, (await authority).pem);
    strict = await startServer({ kubeletCertificateAuthority: caFile });
    const signed = createServer({ ...(await (await authority).issue('system:node:n1')) }, (_, response) =>
      response.end('ok'),
    );
    shows = (certificate) => signed.setSecureContext({ ...certificate });
    close = () => signed.close();
    await new Promise<void>((resolve) => signed.listen(0, '127.0.0.1', resolve));
    for (const name of ['n1', 'n2']) {
      const { port } = signed.address() as AddressInfo;
      const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }];
      const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: port } } };
      await strict.call('POST', '/api/v1/nodes', { metadata: { name }, status });
    }
  });
  afterAll(async () => {
    close();
    await strict.stop();
  });
  const ask = (node: string) => strict.call('GET', `/api/v1/nodes/${node}/proxy/x`);

  test('a node is who shows what it signed for the node and the address', async () => {
    expect(await ask('n1')).toMatchObject({ status: 200, text: 'ok' });
    expect(await ask('n2')).toMatchObject({
      status: 502,
      json: { message: expect.stringContaining('its certificate is not that of node n2') },
    });
    shows(await (await makeCa('other')).issue('system:node:n2'));
    expect((await ask('n2')).json['message']).toContain('its certificate is not good');
    shows(await (await authority).issueFor('system:node:n2', '127.0.0.2'));
    expect((await ask('n2')).json['message']).toMatch(/not good.*ALTNAME/);
    shows(await (await authority).issue('system:node:n2'));
    expect(await ask('n2')).toMatchObject({ status: 200, text: 'ok' });
  });
});

test('while a node changes its certificate it names both', async () => {
  const { metadata } = (await s.call('GET', '/api/v1/nodes/n1')).json as { metadata: { annotations: object } };
  const [name, known] = Object.entries(metadata.annotations)[0]! as [string, string];
  const says = (sha: string) =>
    s.call(
      'PATCH',
      '/api/v1/nodes/n1',
      { metadata: { annotations: { [name]: sha } } },
      { 'content-type': 'application/merge-patch+json' },
    );
  for (const sha of [`${known},${'0'.repeat(64)}`, `${'0'.repeat(64)},${known}`]) {
    await says(sha);
    expect((await s.call('GET', '/api/v1/nodes/n1/proxy/healthz')).status).toBe(200);
  }
  await says('0'.repeat(64));
  expect((await s.call('GET', '/api/v1/nodes/n1/proxy/healthz')).status).toBe(502);
  await says(known);
});
