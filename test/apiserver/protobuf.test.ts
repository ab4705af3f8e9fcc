import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs/minimal.js';
import { builtinKinds } from '../../api/kinds/index.ts';
import { resourcePath } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { definitionOf } from '../../api/schema.ts';
import { decodeProtobuf } from '../../apiserver/protobuf/decode.ts';
import { encodeMessage, envelope } from '../../apiserver/protobuf/encode.ts';
import { messageFor, messageOfKind } from '../../apiserver/protobuf/fields.ts';
import { eventually } from '../eventually.ts';
import { adminToken, startServer, type TestServer } from './harness.ts';
import { minimalObjects, objectNames } from './minimal-objects.ts';

const binary = 'application/vnd.kubernetes.protobuf';
const cms = '/api/v1/namespaces/default/configmaps';

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

interface Answer {
  status: number;
  type: string;
  body: Buffer;
}

function ask(method: string, path: string, accept: string, body?: Buffer, contentType = binary): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminToken}`, accept, ...(body ? { 'content-type': contentType } : {}) };
    const request = httpsRequest(`${s.url}${path}`, { method, ca: s.ca.pem, headers });
    request.once('error', reject).once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({
          status: response.statusCode!,
          type: response.headers['content-type']!,
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.end(body);
  });
}

const typeOf = (apiVersion: string, kind: string) => {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return { group: group!, version: version!, kind, definition: definitionOf(group!, version!, kind) };
};
const decoded = (body: Buffer, apiVersion: string, kind: string) =>
  decodeProtobuf(body, typeOf(apiVersion, kind)) as unknown as KubeObject & { items?: KubeObject[]; code?: number };

const encoded = (object: { apiVersion: string; kind: string }): Buffer => {
  const { group, version, kind } = typeOf(object.apiVersion, object.kind);
  const bytes = encodeMessage(object, messageFor(group, version, kind)!);
  return Buffer.concat([envelope(object.apiVersion, kind, bytes.length), bytes]);
};

describe.each(
  builtinKinds
    .filter((kind) => `${kind.apiVersion}/${kind.kind}` in minimalObjects && messageOfKind(kind) !== undefined)
    .map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind] as const),
)('%s in protobuf', (id, kind) => {
  test('is made from it and read back as it is in JSON', async () => {
    const name = objectNames[id] ?? 'x';
    const { apiVersion } = kind;
    const path = resourcePath(kind, kind.namespaced ? 'default' : undefined);
    const object = { apiVersion, kind: kind.kind, metadata: { name }, ...minimalObjects[id] };
    const made = await ask('POST', path, binary, encoded(object));
    expect([made.status, made.type]).toEqual([201, binary]);
    // Until the server has left it alone, as it does not a new CustomResourceDefinition.
    await eventually(async () => {
      const one = await ask('GET', `${path}/${name}`, binary);
      const list = await ask('GET', `${path}?fieldSelector=metadata.name%3D${name}`, binary);
      const json = (await s.call('GET', `${path}/${name}`)).json;
      expect(decoded(one.body, apiVersion, kind.kind)).toEqual(json);
      const { kind: _k, apiVersion: _a, ...bare } = json as Record<string, unknown>;
      expect(decoded(list.body, apiVersion, kind.listKind).items).toEqual([bare]);
    });
    await s.call('DELETE', `${path}/${name}?gracePeriodSeconds=0`);
  });
});

test('refusals, scales and metadata alone come in protobuf too; tables do not', async () => {
  const missing = await ask('GET', `${cms}/none`, `${binary},application/json`);
  expect(missing.type).toBe(binary);
  expect(decoded(missing.body, 'v1', 'Status')).toMatchObject({
    code: 404,
    reason: 'NotFound',
    details: { name: 'none' },
  });
  await s.call('POST', cms, { metadata: { name: 'one', labels: { a: 'b' } }, data: { k: 'v' } });
  const as = (form: string) => `${binary};as=${form};g=meta.k8s.io;v=v1`;
  const partial = await ask('GET', `${cms}/one`, as('PartialObjectMetadata'));
  const object = decoded(partial.body, 'meta.k8s.io/v1', 'PartialObjectMetadata');
  expect(object.metadata.labels).toEqual({ a: 'b' });
  expect((await ask('GET', cms, as('Table'))).status).toBe(406);
  expect((await ask('GET', cms, `${as('Table')},application/json;as=Table;g=meta.k8s.io;v=v1`)).type).toBe(
    'application/json',
  );
});

test('a watch in protobuf is frames of events', async () => {
  const from = String((await s.call('GET', cms)).json['metadata']!['resourceVersion']);
  await s.call('POST', cms, { metadata: { name: 'framed' }, data: { k: 'v' } });
  const watched = await ask(
    'GET',
    `${cms}?watch=1&resourceVersion=${from}&timeoutSeconds=1&allowWatchBookmarks=true`,
    `${binary};stream=watch`,
  );
  expect(watched.type).toBe(`${binary};stream=watch`);
  const events = framesOf(watched.body).map((frame) => eventOf(frame));
  expect(events.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK']);
  expect(decoded(events[0]!.object, 'v1', 'ConfigMap')).toMatchObject({
    metadata: { name: 'framed' },
    data: { k: 'v' },
  });
});

function framesOf(body: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const length = body.readUInt32BE(at);
    frames.push(body.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}

function eventOf(frame: Buffer): { type: string; object: Buffer } {
  const reader = protobuf.Reader.create(frame);
  reader.uint32();
  const type = reader.string();
  reader.uint32();
  const extension = protobuf.Reader.create(reader.bytes());
  extension.uint32();
  return { type, object: Buffer.from(extension.bytes()) };
}
