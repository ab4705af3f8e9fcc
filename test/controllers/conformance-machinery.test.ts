import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import { CertificateSigningRequest } from '../../api/kinds/certificate-signing-request.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Event } from '../../api/kinds/event.ts';
import { EventsEvent } from '../../api/kinds/events-event.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicationController } from '../../api/kinds/replication-controller.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { Service } from '../../api/kinds/service.ts';
import type { KubeObject } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { makeCa, requestFor } from '../pki.ts';
import { deleteCollection, everyVerb, heard } from '../client/every-verb.ts';
import { running, startControllers } from './harness.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise; kubelets are played, so pods just run.

const dir = mkdtempSync(join(tmpdir(), 'km-conformance-'));
const [keyFile, caFile] = [join(dir, 'key.pem'), join(dir, 'ca.pem')];
let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  writeFileSync(caFile, (await makeCa()).pem);
  const tokens = { serviceAccountIssuer: ['https://issuer'], serviceAccountSigningKeyFile: keyFile };
  c = await startControllers({ rootCaFile: caFile }, { disableAdmissionPlugins: [], ...tokens });
  await eventually(() => c.client.get(ServiceAccount, { namespace: 'default', name: 'default' }));
  await c.runPods(() => running());
});
afterAll(async () => {
  await c.stop();
  rmSync(dir, { recursive: true });
});

const namespace = 'default';
const ref = (name: string) => ({ namespace, name });
const gone = (object: Promise<unknown>) => object.then(() => false, isNotFound);

async function controller(name: string, replicas = 2): Promise<ReplicationController> {
  const made = await c.client.create(ReplicationController, {
    metadata: ref(name),
    spec: {
      replicas,
      selector: { app: name },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  });
  await eventually(async () => expect(await c.podsOf(name)).toHaveLength(replicas));
  return made;
}

test('Garbage collector should delete pods created by rc when not orphaning', async () => {
  await controller('takes');
  await c.client.delete(ReplicationController, ref('takes'), { propagationPolicy: 'Background' });
  expect(await gone(c.client.get(ReplicationController, ref('takes')))).toBe(true);
  await eventually(async () => expect(await c.podsOf('takes')).toEqual([]));
});

test('Garbage collector should orphan pods created by rc if delete options say so', async () => {
  await controller('leaves', 5);
  await c.client.delete(ReplicationController, ref('leaves'), { propagationPolicy: 'Orphan' });
  await eventually(async () => expect(await gone(c.client.get(ReplicationController, ref('leaves')))).toBe(true));
  const pods = await c.podsOf('leaves');
  expect(pods.map(({ metadata }) => metadata.ownerReferences ?? [])).toEqual([[], [], [], [], []]);
});

test('Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so', async () => {
  await controller('waits');
  const pods = await c.podsOf('waits');
  for (const { metadata } of pods)
    await c.client.patch(Pod, metadata, { metadata: { finalizers: ['example.com/hold'] } });
  await c.client.delete(ReplicationController, ref('waits'), { propagationPolicy: 'Foreground' });
  await eventually(async () => expect(await c.podsOf('waits')).toEqual([]));
  const [first, second] = pods;
  const letGo = async (pod: typeof first) => {
    if (pod) await c.client.patch(Pod, pod.metadata, { metadata: { finalizers: null } });
  };
  await letGo(first);
  await eventually(async () => expect(await gone(c.client.get(Pod, ref(first?.metadata.name ?? '')))).toBe(true));
  const { metadata } = await c.client.get(ReplicationController, ref('waits'));
  expect([metadata.deletionTimestamp !== undefined, metadata.finalizers]).toEqual([true, ['foregroundDeletion']]);
  await letGo(second);
  await eventually(async () => expect(await gone(c.client.get(ReplicationController, ref('waits')))).toBe(true));
});

test('Namespaces should patch a Namespace', async () => {
  await c.client.create(Namespace, { metadata: { name: 'patched' } });
  await c.client.patch(Namespace, { name: 'patched' }, { metadata: { labels: { testLabel: 'testValue' } } });
  const { metadata } = await c.client.get(Namespace, { name: 'patched' });
  expect(metadata.labels).toMatchObject({ testLabel: 'testValue', 'kubernetes.io/metadata.name': 'patched' });
});

test('Namespaces should ensure that all services are removed when a namespace is deleted', async () => {
  await emptiedWith('services', (place) =>
    c.client.create(Service, { metadata: { ...place, name: 's' }, spec: { ports: [{ port: 80 }] } }),
  );
  expect((await c.client.list(Service, { namespace: 'services' })).items).toEqual([]);
});

test('Namespaces should ensure that all pods are removed when a namespace is deleted', async () => {
  await emptiedWith('pods', (place) =>
    c.client.create(Pod, { metadata: { ...place, name: 'p' }, spec: { containers: [{ name: 'c', image: 'x' }] } }),
  );
  expect((await c.client.list(Pod, { namespace: 'pods' })).items).toEqual([]);
});

/** Another one of this name is empty. */
async function emptiedWith(name: string, fill: (place: { namespace: string }) => Promise<unknown>): Promise<void> {
  await c.client.create(Namespace, { metadata: { name } });
  await eventually(() => c.client.get(ServiceAccount, { namespace: name, name: 'default' }));
  await fill({ namespace: name });
  await c.client.delete(Namespace, { name });
  await eventually(async () => expect(await gone(c.client.get(Namespace, { name }))).toBe(true));
  await c.client.create(Namespace, { metadata: { name } });
}

test('ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace', async () => {
  const place = { namespace: 'any', name: 'kube-root-ca.crt' };
  await c.client.create(Namespace, { metadata: { name: 'any' } });
  const ca = () => eventually(async () => (await c.client.get(ConfigMap, place)).data?.['ca.crt'] ?? '');
  const first = await ca();
  expect(first).toContain('BEGIN CERTIFICATE');
  await c.client.delete(ConfigMap, place);
  expect(await ca()).toBe(first);
  await c.client.patch(ConfigMap, place, { data: { 'ca.crt': '' } });
  await eventually(async () => expect(await ca()).toBe(first));
});

test('ServiceAccounts should run through the lifecycle of a ServiceAccount', async () => {
  const labels = { 'test-account': 'yes' };
  const types = await heard(c.client, ServiceAccount, ref('lives'), async () => {
    await c.client.create(ServiceAccount, { metadata: { ...ref('lives'), labels } });
    await c.client.patch(ServiceAccount, ref('lives'), { automountServiceAccountToken: false });
    const { items } = await c.client.list(ServiceAccount, { labelSelector: 'test-account=yes' });
    expect(items.map(({ automountServiceAccountToken }) => automountServiceAccountToken)).toEqual([false]);
    await deleteCollection(c.client, ServiceAccount, 'test-account=yes', namespace);
  });
  expect(types).toEqual(['ADDED', 'MODIFIED', 'DELETED']);
});

test('ServiceAccounts should allow opting out of API token automount', async () => {
  const accounts = { mount: true, 'no-mount': false, unset: undefined };
  for (const [name, automount] of Object.entries(accounts))
    await c.client.create(ServiceAccount, {
      metadata: ref(name),
      ...(automount === undefined ? {} : { automountServiceAccountToken: automount }),
    });
  for (const serviceAccountName of Object.keys(accounts))
    for (const automount of [true, false, undefined]) {
      const name = `${serviceAccountName}-${String(automount)}`;
      const pod: Pod = {
        metadata: ref(name),
        spec: {
          serviceAccountName,
          containers: [{ name: 'c', image: 'x' }],
          ...(automount === undefined ? {} : { automountServiceAccountToken: automount }),
        },
      };
      const { spec } = await c.client.create(Pod, pod);
      const path = '/var/run/secrets/kubernetes.io/serviceaccount';
      const mounted = (spec.containers[0]?.volumeMounts ?? []).some(({ mountPath }) => mountPath === path);
      expect([name, mounted]).toEqual([name, automount ?? serviceAccountName !== 'no-mount']);
    }
});

test('Certificates API should support CSR API operations', async () => {
  const signerName = 'example.com/e2e';
  const wanted = await requestFor('CN=e2e');
  await everyVerb(c.client, CertificateSigningRequest, (name) => ({
    metadata: { name },
    spec: { request: wanted, signerName, usages: ['digital signature', 'key encipherment'] },
  }));
  const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests/whole';
  const request = await c.client.create(CertificateSigningRequest, {
    metadata: { name: 'whole' },
    spec: { request: wanted, signerName, usages: ['digital signature'] },
  });
  const conditions = [{ type: 'Approved', status: 'True', reason: 'E2E', message: 'Set from an e2e test' }];
  const approved = await c.client.raw<CertificateSigningRequest>('PUT', `${path}/approval`, {
    ...request,
    status: { conditions },
  });
  expect(approved.status?.conditions).toMatchObject(conditions);
  expect((await c.client.raw<CertificateSigningRequest>('GET', `${path}/approval`)).metadata.name).toBe('whole');
  const certificate = Buffer.from(c.server.ca.pem).toString('base64');
  const signed = await c.client.patch(
    CertificateSigningRequest,
    { name: 'whole' },
    { status: { certificate } },
    { subresource: 'status' },
  );
  expect(signed.status).toMatchObject({ certificate, conditions });
});

const regarding = { kind: 'Pod', namespace, name: 'somebody' };
const anEvent = (name: string): Event => ({
  metadata: ref(name),
  involvedObject: regarding,
  reason: 'Test',
  message: 'This is a test event',
  type: 'Normal',
  source: { component: 'test' },
});
const anotherEvent = (name: string): EventsEvent => ({
  metadata: ref(name),
  regarding,
  eventTime: '2026-01-01T00:00:00.000000Z',
  reason: 'Test',
  action: 'Do',
  note: 'This is a test event',
  type: 'Normal',
  reportingController: 'test-controller',
  reportingInstance: 'test-node',
});

test('Events should ensure that an event can be fetched, patched, deleted, and listed', () =>
  everyVerb(c.client, Event, anEvent));

test('Events API should ensure that an event can be fetched, patched, deleted, and listed', () =>
  everyVerb(c.client, EventsEvent, anotherEvent));

test('Events should delete a collection of events', () => collectionOf(Event, anEvent));
test('Events API should delete a collection of events', () => collectionOf(EventsEvent, anotherEvent));

/** Of three that are named by a label the collection goes, and one without it stays. */
async function collectionOf<T extends KubeObject>(kind: Kind<T>, make: (name: string) => T): Promise<void> {
  const labels = { 'testevent-set': 'true' };
  for (const name of ['e1', 'e2', 'e3'])
    await c.client.create(kind, { ...make(name), metadata: { ...ref(name), labels } });
  await c.client.create(kind, make('stays'));
  const named = async () => (await c.client.list(kind, { labelSelector: 'testevent-set=true' })).items;
  expect(await named()).toHaveLength(3);
  await deleteCollection(c.client, kind, 'testevent-set=true', namespace);
  expect(await named()).toEqual([]);
  await c.client.delete(kind, ref('stays'));
}
