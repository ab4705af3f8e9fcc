import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { builtinKinds } from '../../api/kinds/index.ts';
import { resourcePath, type Kind } from '../../api/kind.ts';
import { eventually } from '../eventually.ts';
import { adminToken, startServer, type Reply, type TestServer } from './harness.ts';
import { minimalObjects, objectNames } from './minimal-objects.ts';

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

/** Whatever would refuse the others' requests is left out. */
const kinds = builtinKinds.filter(
  ({ apiVersion, kind }) => minimalObjects[`${apiVersion}/${kind}`] && !apiVersion.startsWith('admissionregistration'),
);
/** By name, so that a counterexample can be read. */
const kindOf = new Map(kinds.map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));
const anyKind = fc.constantFrom(...kindOf.keys());
const pathOf = (kind: Kind, name?: string): string => resourcePath(kind, kind.namespaced ? 'default' : undefined, name);
const objectOf = (kind: Kind): object => {
  const id = `${kind.apiVersion}/${kind.kind}`;
  return { ...minimalObjects[id], metadata: { name: objectNames[id] ?? `fuzz-${kind.plural}` } };
};

/** Values that break what believes in types, sizes and names. */
const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1.5,
    2 ** 53,
    -(2 ** 63),
    1e308,
    '',
    ' ',
    '\0',
    '\ud800',
    '__proto__',
    'constructor',
    '../../etc',
    'x'.repeat(300),
    'ü.例え',
    '99999999999999999999Gi',
    '-1',
    '2026-13-45T99:99:99Z',
    [],
    [null],
    [[]],
    {},
    { a: { b: { c: [{}] } } },
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.constant(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as unknown),
);

/** Every place in an object, as a path of member names and indices. */
function places(value: unknown, at: (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== 'object') return [at];
  return [at, ...Object.entries(value).flatMap(([name, member]) => places(member, [...at, name]))].filter(
    (path) => path.length > 0,
  );
}

function put(object: object, path: readonly (string | number)[], value: unknown): object {
  const copy = structuredClone(object) as Record<string | number, unknown>;
  let node = copy;
  for (const step of path.slice(0, -1)) node = node[step] as Record<string | number, unknown>;
  node[path.at(-1)!] = value;
  return copy;
}

/** A kind and one of its valid objects with some places overwritten, and a member that nobody knows. */
const mutated = anyKind.chain((kind) => {
  const object = objectOf(kindOf.get(kind)!);
  const change = fc.tuple(fc.constantFrom(...places(object)), nasty);
  return fc.record({
    kind: fc.constant(kind),
    object: fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
      changes.reduce((changed, [path, value]) => {
        try {
          return put(changed, path, value);
        } catch {
          // An earlier change took the place away.
          return changed;
        }
      }, object),
    ),
  });
});

function expectSane({ status, json, text }: Reply, what: string): void {
  if (status >= 500) throw new Error(`${what}: ${status} ${text.slice(0, 500)}`);
  if (status < 400) return;
  expect(json).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
}

const bounded = { numRuns: 2000, interruptAfterTimeLimit: 10_000, markInterruptAsFailure: false };
const patchTypes = [
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/json-patch+json',
  'application/apply-patch+yaml',
];

test('a spoilt object is refused in words or kept as one that would be taken again', async () => {
  const property = fc.asyncProperty(mutated, async ({ kind: id, object }) => {
    const kind = kindOf.get(id)!;
    const made = await s.call('POST', `${pathOf(kind)}?fieldValidation=Warn`, object);
    expectSane(made, `POST ${kind.kind} ${JSON.stringify(object)}`);
    if (made.status !== 201) return;
    const { name, namespace } = made.json['metadata'] as unknown as { name: string; namespace?: string };
    const path = resourcePath(kind, namespace, name);
    const { resourceVersion: _v, uid: _u, ...metadata } = made.json['metadata'] as unknown as Record<string, unknown>;
    const again = await s.call('PUT', `${path}?dryRun=All`, { ...made.json, metadata });
    if (![200, 403, 405, 409].includes(again.status) && !again.text.includes('must be specified for an update'))
      throw new Error(`what was stored is refused: ${again.text.slice(0, 500)} ${JSON.stringify(object)}`);
    expectSane(await s.call('DELETE', `${path}?gracePeriodSeconds=0`), `DELETE ${path}`);
  });
  await fc.assert(property, bounded);
}, 30_000);

test('spoilt patches of every sort never are our fault', async () => {
  for (const kind of kinds) await s.call('POST', pathOf(kind), objectOf(kind));
  const operation = fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'nonsense'),
    path: fc.constantFrom(
      '/spec',
      '/metadata/name',
      '/metadata/labels/a',
      '',
      '/',
      '/spec/containers/-',
      '/__proto__/a',
      '/a~2',
    ),
    from: fc.constantFrom('/spec', '/metadata', '', '/nowhere'),
    value: nasty,
  });
  const given = fc.oneof(
    mutated.map(({ kind, object }) => ({ kind, body: object as unknown })),
    fc.record({ kind: anyKind, body: fc.oneof(nasty, fc.array(operation, { maxLength: 4 })) }),
  );
  const property = fc.asyncProperty(
    given,
    fc.constantFrom(...patchTypes),
    fc.constantFrom('', '/status', '/scale'),
    async ({ kind: id, body }, type, door) => {
      const kind = kindOf.get(id)!;
      const name = (objectOf(kind) as { metadata: { name: string } }).metadata.name;
      const path = `${pathOf(kind, name)}${door}?fieldManager=fuzz&force=${type.includes('apply')}`;
      const reply = await s.call('PATCH', path.replace('&force=false', ''), JSON.stringify(body), {
        'content-type': type,
      });
      expectSane(reply, `PATCH ${path} ${type} ${JSON.stringify(body)}`);
    },
  );
  await fc.assert(property, bounded);
}, 30_000);

test('bytes, queries and paths of any sort never are our fault', async () => {
  const types = [
    'application/json',
    'application/yaml',
    'application/vnd.kubernetes.protobuf',
    'text/plain',
    ...patchTypes,
  ];
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((tail) => Buffer.from([0x6b, 0x38, 0x73, 0, ...tail])),
    fc.uint8Array({ maxLength: 200 }).map((all) => Buffer.from(all)),
    fc.integer({ min: 1, max: 20_000 }).map((depth) => Buffer.from('{"a":'.repeat(depth) + '1' + '}'.repeat(depth))),
    fc.integer({ min: 1, max: 20_000 }).map((depth) => Buffer.from('['.repeat(depth))),
    fc.constant(Buffer.from('a: &a [*a, *a]\nb: !!js/function x')),
    fc.constant(Buffer.from('{"metadata":{"name":"\xff\xfe"}}', 'latin1')),
  );
  const words = fc.oneof(
    fc.constantFrom(
      'a=b',
      'a in (b',
      ',,',
      '!',
      'a notin ()',
      '%00',
      '-1',
      '1e9',
      'metadata.name=x',
      '{}',
      'x'.repeat(4000),
    ),
    fc.string({ maxLength: 40 }),
  );
  const names = [
    'labelSelector',
    'fieldSelector',
    'limit',
    'continue',
    'resourceVersion',
    'resourceVersionMatch',
    'timeoutSeconds',
    'dryRun',
    'fieldManager',
    'fieldValidation',
    'propagationPolicy',
    'gracePeriodSeconds',
    'pretty',
    'sendInitialEvents',
  ];
  const property = fc.asyncProperty(
    anyKind,
    fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'),
    fc.option(words, { nil: undefined }),
    fc.array(fc.tuple(fc.constantFrom(...names), words), { maxLength: 3 }),
    fc.constantFrom(...types),
    bytes,
    async (id, method, name, query, type, body) => {
      const kind = kindOf.get(id)!;
      const path = `${pathOf(kind, name && `fuzz-${name}`)}?${new URLSearchParams(query).toString()}`;
      const hasBody = ['POST', 'PUT', 'PATCH', 'DELETE'].includes(method);
      // Collections are left alone: other tests live there.
      if (method === 'DELETE' && !name) return;
      const reply = await s.call(method, path, hasBody ? body : undefined, { 'content-type': type });
      if (method === 'HEAD') expect(reply.status).toBeLessThan(500);
      else expectSane(reply, `${method} ${path} ${type} ${body.toString('latin1').slice(0, 80)}`);
    },
  );
  await fc.assert(property, bounded);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
}, 30_000);

/** A connection of our own, for what no HTTP client would do. */
async function raw(): Promise<import('node:tls').TLSSocket> {
  const { hostname, port } = new URL(s.url);
  const socket = connectTls({ host: hostname, port: Number(port), ca: s.ca.pem, ALPNProtocols: ['http/1.1'] });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return socket;
}

test('a body that comes in drips holds up nobody', async () => {
  const slow = await Promise.all(Array.from({ length: 50 }, raw));
  for (const socket of slow)
    socket.write(
      `POST /api/v1/namespaces HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${adminToken}\r\ncontent-length: 1000\r\n\r\n{`,
    );
  const started = Date.now();
  expect((await s.call('GET', '/api/v1/namespaces/default')).status).toBe(200);
  expect(Date.now() - started).toBeLessThan(2000);
  for (const socket of slow) socket.destroy();
  expect((await s.call('GET', '/readyz')).status).toBe(200);
}, 20_000);

test('a reader that does not read a watch is let go, and others are served meanwhile', async () => {
  const socket = await raw();
  socket.pause();
  const cms = '/api/v1/namespaces/default/configmaps';
  socket.write(`GET ${cms}?watch=true HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${adminToken}\r\n\r\n`);
  const gone = new Promise((resolve) => socket.once('close', resolve));
  expect((await s.call('POST', cms, { metadata: { name: 'slow' } })).status).toBe(201);
  const data = 'x'.repeat(900_000);
  for (let i = 0; i < 60; i++) {
    const { status } = await s.call('PUT', `${cms}/slow`, { metadata: { name: 'slow' }, data: { data, i: String(i) } });
    expect(status).toBe(200);
  }
  await eventually(async () => {
    const { text } = await s.call('GET', '/metrics');
    expect(text).not.toMatch(/apiserver_longrunning_requests\{verb="WATCH".*resource="configmaps".*\} [1-9]/);
  });
  socket.resume();
  await gone;
}, 90_000);
