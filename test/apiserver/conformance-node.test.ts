import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Lease } from '../../api/kinds/lease.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { PodTemplate } from '../../api/kinds/pod-template.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { RuntimeClass } from '../../api/kinds/runtime-class.ts';
import { Secret } from '../../api/kinds/secret.ts';
import type { Client } from '../../client/client.ts';
import { everyVerb } from '../client/every-verb.ts';
import { type TestServer, startServer } from './harness.ts';

/* What the API does for nodes: each test has the name of a conformance test of Kubernetes 1.23 ([sig-node], [sig-storage]), and its promise. */

const namespace = 'one';
let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
  await client.create(Namespace, { metadata: { name: namespace } });
});
afterAll(async () => {
  await server.stop();
});

test('ConfigMap should run through a ConfigMap lifecycle', () =>
  everyVerb<ConfigMap>(client, ConfigMap, (name) => ({ metadata: { name, namespace }, data: { key: name } })));

test('Secrets should patch a secret', async () => {
  const make = (name: string): Secret => ({
    metadata: { name, namespace },
    type: 'Opaque',
    data: { key: btoa('value') },
  });
  await everyVerb(client, Secret, make);
  await client.create(Secret, make('patched'));
  const data = { key: btoa('value1') };
  const patched = await client.patch(
    Secret,
    { namespace, name: 'patched' },
    { metadata: { labels: { a: 'b' } }, data },
  );
  expect(patched).toMatchObject({ metadata: { labels: { a: 'b' } }, data });
});

test('Lease lease API should be available', async () => {
  const spec = {
    holderIdentity: 'holder',
    leaseDurationSeconds: 30,
    leaseTransitions: 0,
    renewTime: '2026-01-01T00:00:05.000000Z',
  };
  await everyVerb<Lease>(client, Lease, (name) => ({ metadata: { name, namespace }, spec }));
  await client.create(Lease, { metadata: { name: 'kept', namespace }, spec });
  const ref = { namespace, name: 'kept' };
  const next = { ...spec, holderIdentity: 'holder2', leaseTransitions: 1 };
  await client.update(Lease, { ...(await client.get(Lease, ref)), spec: next });
  expect((await client.get(Lease, ref)).spec).toEqual(next);
  await client.patch(Lease, ref, { spec: { leaseDurationSeconds: 60 } });
  expect((await client.get(Lease, ref)).spec).toEqual({ ...next, leaseDurationSeconds: 60 });
});

const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'x' }] } };
const podTemplate = (name: string): PodTemplate => ({ metadata: { name, namespace }, template });
test('PodTemplates should run the lifecycle of PodTemplates', () => everyVerb(client, PodTemplate, podTemplate));

test('PodTemplates should delete a collection of pod templates', async () => {
  const labels = { set: 'three' };
  for (const name of ['one', 'two', 'three'])
    await client.create(PodTemplate, { ...podTemplate(name), metadata: { name, namespace, labels } });
  await client.create(PodTemplate, podTemplate('other'));
  await client.raw('DELETE', `/api/v1/namespaces/${namespace}/podtemplates?labelSelector=set%3Dthree`);
  expect((await client.list(PodTemplate, { namespace })).items.map(({ metadata }) => metadata.name)).toEqual(['other']);
});

test('RuntimeClass should support RuntimeClasses API operations', () =>
  everyVerb<RuntimeClass>(client, RuntimeClass, (name) => ({ metadata: { name }, handler: 'runc' })));

test.each<[string, Kind<ConfigMap> | Kind<Secret>]>([
  ['ConfigMap should fail to create ConfigMap with empty key', ConfigMap],
  ['Secrets should fail to create secret due to empty secret key', Secret],
])('%s', async (_, kind) => {
  const path = `/api/v1/namespaces/${namespace}/${kind.plural}`;
  const { status, text } = await server.call('POST', path, {
    metadata: { name: 'empty' },
    data: { '': btoa('value') },
  });
  expect([status, text]).toEqual([422, expect.stringContaining('data[]')]);
});

test.each<[string, Kind<ConfigMap> | Kind<Secret>]>([
  ['ConfigMap should be immutable if `immutable` field is set', ConfigMap],
  ['Secrets should be immutable if `immutable` field is set', Secret],
])('%s', async (_, kind) => {
  const path = `/api/v1/namespaces/${namespace}/${kind.plural}`;
  const patch = async (change: object) =>
    (await server.call('PATCH', `${path}/fixed`, change, { 'content-type': 'application/merge-patch+json' })).status;
  await server.call('POST', path, { metadata: { name: 'fixed' }, data: { key: btoa('a') } });
  expect(await patch({ data: { key: btoa('b') } })).toBe(200);
  expect(await patch({ immutable: true })).toBe(200);
  expect(await patch({ immutable: false })).toBe(422);
  expect(await patch({ data: { key: btoa('c') } })).toBe(422);
  expect(await patch({ metadata: { labels: { a: 'b' } } })).toBe(200);
  expect((await server.call('DELETE', `${path}/fixed`)).status).toBe(200);
});

describe('pods', () => {
  const containers = (resources?: object) => [{ name: 'c', image: 'x', ...(resources ? { resources } : {}) }];
  test('Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu', async () => {
    const amounts = { cpu: '100m', memory: '100Mi' };
    const made = await client.create<Pod>(Pod, {
      metadata: { name: 'guaranteed', namespace },
      spec: { containers: containers({ requests: amounts, limits: amounts }) },
    });
    expect(made.status?.qosClass).toBe('Guaranteed');
  });

  test('Sysctls should reject invalid sysctls', async () => {
    const sysctls = ['foo-', 'kernel.shmmax', 'safe-and-unsafe', 'bar..'].map((name) => ({ name, value: '42' }));
    const spec = { containers: containers(), securityContext: { sysctls } };
    const { status, text } = await server.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name: 'sysctls' },
      spec,
    });
    expect(status).toBe(422);
    for (const i of [0, 3]) expect(text).toContain(`spec.securityContext.sysctls[${i}].name`);
    for (const i of [1, 2]) expect(text).not.toContain(`spec.securityContext.sysctls[${i}].name`);
  });
});
