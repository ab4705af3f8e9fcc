import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../../api/kinds/endpoints.ts';
import { Event } from '../../api/kinds/event.ts';
import { IngressClass } from '../../api/kinds/ingress-class.ts';
import { Ingress } from '../../api/kinds/ingress.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Service } from '../../api/kinds/service.ts';
import { isNotFound } from '../../api/status.ts';
import { freePort } from '../../cli/ports.ts';
import { everyVerb, heard } from '../client/every-verb.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

/*
 * Each test has the name of a conformance test of Kubernetes 1.23 ([sig-network]) and its promise, as far as no packet has to flow:
 * how traffic goes is what test/proxy/modes.test.ts and test/cluster/services.suite.ts see.
 */

let port = 0;
let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  port = await freePort();
  c = await startControllers({}, { bindAddress: '127.0.0.1', port });
  for (const name of ['one', 'two']) await c.client.create(Namespace, { metadata: { name } });
});
afterAll(() => c.stop());

const namespace = 'one';
const service = (name: string, spec: Partial<Service['spec']> = {}, labels: Record<string, string> = {}): Service => ({
  metadata: { name, namespace, labels },
  spec: { ports: [{ name: 'http', port: 80 }], ...spec },
});
const isGone = (object: Promise<unknown>) => object.then(() => false, isNotFound);
const slicesOf = async (name: string) => {
  const labelSelector = `kubernetes.io/service-name=${name}`;
  return (await c.client.list(EndpointSlice, { namespace, labelSelector })).items;
};
async function readyPod(name: string, app: string, ip: string, ports: { name: string; containerPort: number }[]) {
  await c.client.create(Pod, {
    metadata: { name, namespace, labels: { app } },
    spec: { nodeName: 'n', containers: [{ name: 'c', image: 'x', ports }] },
  });
  await c.setReady(name, namespace, ip);
}

const rule = {
  http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'x', port: { number: 80 } } } }] },
};

test('Ingress API should support creating Ingress API operations', () =>
  everyVerb(c.client, Ingress, (name) => ({ metadata: { name, namespace }, spec: { rules: [rule] } }), {
    loadBalancer: { ingress: [{ ip: '169.1.1.1' }] },
  }));

test('IngressClass API should support creating IngressClass API operations', () =>
  everyVerb(c.client, IngressClass, (name) => ({
    metadata: { name },
    spec: { controller: 'example.com/controller' },
  })));

test('EndpointSlice should support creating EndpointSlice API operations', () =>
  everyVerb(c.client, EndpointSlice, (name): EndpointSlice => ({
    metadata: { name, namespace },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['1.2.3.4'] }],
  })));

test('Services should provide secure master service', async () => {
  const { spec } = await c.client.get(Service, { namespace: 'default', name: 'kubernetes' });
  expect(spec.ports).toMatchObject([{ name: 'https', port: 443, protocol: 'TCP' }]);
});

test('EndpointSlice should have Endpoints and EndpointSlices pointing to API Server', async () => {
  const endpoints = await c.client.get(Endpoints, { namespace: 'default', name: 'kubernetes' });
  expect(endpoints.subsets).toMatchObject([{ addresses: [{ ip: '127.0.0.1' }], ports: [{ name: 'https', port }] }]);
  const labelSelector = 'kubernetes.io/service-name=kubernetes';
  const { items } = await c.client.list(EndpointSlice, { namespace: 'default', labelSelector });
  expect(items.flatMap(({ endpoints: all }) => all)).toMatchObject([{ addresses: ['127.0.0.1'] }]);
});

test('EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified', async () => {
  await c.client.create(Service, service('selects', { selector: { app: 'nobody' } }));
  await eventually(async () => {
    expect(await slicesOf('selects')).toHaveLength(1);
    await c.client.get(Endpoints, { namespace, name: 'selects' });
  });
  await c.client.delete(Service, { namespace, name: 'selects' });
  await eventually(async () => {
    expect(await slicesOf('selects')).toEqual([]);
    expect(await isGone(c.client.get(Endpoints, { namespace, name: 'selects' }))).toBe(true);
  });
});

test('EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service', async () => {
  const ports = [{ name: 'web', containerPort: 3000 }];
  await c.client.create(
    Service,
    service('matches', { selector: { app: 'matches' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] }),
  );
  await readyPod('matches-1', 'matches', '10.1.0.1', ports);
  await readyPod('matches-2', 'matches', '10.1.0.2', [{ name: 'web', containerPort: 3001 }]);
  await eventually(async () => {
    const slices = await slicesOf('matches');
    const found = slices.map(({ endpoints, ports: own }) => [
      endpoints.flatMap(({ addresses }) => addresses),
      own?.[0]?.port,
    ]);
    expect(found.sort()).toEqual([
      [['10.1.0.1'], 3000],
      [['10.1.0.2'], 3001],
    ]);
    const { subsets = [] } = await c.client.get(Endpoints, { namespace, name: 'matches' });
    expect(subsets.map(({ ports: own }) => own?.[0]?.port).sort()).toEqual([3000, 3001]);
  });
});

test('Services should serve multiport endpoints from pods', async () => {
  const both = [
    { name: 'p1', port: 80, targetPort: 100 },
    { name: 'p2', port: 81, targetPort: 101 },
  ];
  await c.client.create(Service, service('multi', { selector: { app: 'multi' }, ports: both }));
  const ports = async () =>
    (await slicesOf('multi')).flatMap((slice) =>
      slice.endpoints.flatMap(({ addresses }) =>
        (slice.ports ?? []).map(({ name, port }) => `${addresses[0]} ${name} ${port}`),
      ),
    );
  await readyPod('multi-1', 'multi', '10.1.1.1', []);
  await eventually(async () => expect((await ports()).sort()).toEqual(['10.1.1.1 p1 100', '10.1.1.1 p2 101']));
  await c.client.delete(Pod, { namespace, name: 'multi-1' }, { gracePeriodSeconds: 0 });
  await eventually(async () => expect(await ports()).toEqual([]));
});

test('EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete', async () => {
  await c.client.create(Service, service('custom'));
  const subsets = (ip: string) => [{ addresses: [{ ip }], ports: [{ name: 'http', port: 80 }] }];
  const metadata = { name: 'custom', namespace };
  const mirrored = async () =>
    (await slicesOf('custom')).flatMap(({ endpoints }) => endpoints.flatMap((one) => one.addresses));
  await c.client.create(Endpoints, { metadata, subsets: subsets('10.1.2.3') });
  await eventually(async () => expect(await mirrored()).toEqual(['10.1.2.3']));
  await c.client.patch(Endpoints, metadata, { subsets: subsets('10.2.3.4') });
  await eventually(async () => expect(await mirrored()).toEqual(['10.2.3.4']));
  await c.client.delete(Endpoints, metadata);
  await eventually(async () => expect(await mirrored()).toEqual([]));
});

test('Services should test the lifecycle of an Endpoint', async () => {
  const labels = { 'test-endpoint-static': 'true' };
  const metadata = { name: 'static', namespace, labels };
  const types = await heard(c.client, Endpoints, metadata, async () => {
    await c.client.create(Endpoints, {
      metadata,
      subsets: [{ addresses: [{ ip: '10.0.0.24' }], ports: [{ port: 80 }] }],
    });
    const { items } = await c.client.list(Endpoints, { labelSelector: 'test-endpoint-static=true' });
    const [found] = items;
    await c.client.update(Endpoints, {
      metadata: { ...metadata, labels: { ...labels, updated: 'yes' } },
      subsets: found?.subsets ?? [],
    });
    const patched = await c.client.patch(Endpoints, metadata, {
      subsets: [{ addresses: [{ ip: '10.0.0.25' }], ports: [{ name: 'http', port: 8080 }] }],
    });
    expect(patched.subsets).toMatchObject([{ addresses: [{ ip: '10.0.0.25' }] }]);
    await c.client.raw('DELETE', `/api/v1/namespaces/${namespace}/endpoints?labelSelector=test-endpoint-static%3Dtrue`);
  });
  expect(types).toEqual(['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED']);
});

test('Services should find a service from listing all namespaces', async () => {
  await c.client.create(Service, service('listed'));
  const { items } = await c.client.list(Service);
  expect(items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toContain('one/listed');
});

test('Services should delete a collection of services', async () => {
  const labels = { collected: 'yes' };
  for (const name of ['e2e-1', 'e2e-2', 'e2e-3']) await c.client.create(Service, service(name, {}, labels));
  await c.client.create(Service, service('stays'));
  await c.client.raw('DELETE', `/api/v1/namespaces/${namespace}/services?labelSelector=collected%3Dyes`);
  await eventually(async () =>
    expect((await c.client.list(Service, { namespace, labelSelector: 'collected=yes' })).items).toEqual([]),
  );
  await c.client.get(Service, { namespace, name: 'stays' });
});

test('Services should complete a service status lifecycle', async () => {
  await c.client.create(Service, service('status', { type: 'LoadBalancer' }));
  const ref = { namespace, name: 'status' };
  const types = await heard(c.client, Service, ref, async () => {
    const ingress = [{ ip: '203.0.113.1' }];
    await c.client.patch(Service, ref, { status: { loadBalancer: { ingress } } }, { subresource: 'status' });
    const current = await c.client.get(Service, ref);
    expect(current.status?.loadBalancer?.ingress).toMatchObject(ingress);
    const lastTransitionTime = '2026-01-01T00:00:00Z';
    const condition = {
      type: 'StatusUpdate',
      status: 'True' as const,
      reason: 'E2E',
      message: 'Set from e2e test',
      lastTransitionTime,
    };
    const status = { ...current.status, conditions: [condition] };
    const updated = await c.client.update(Service, { ...current, status }, { subresource: 'status' });
    expect(updated.status?.conditions).toMatchObject([{ type: 'StatusUpdate' }]);
    await c.client.delete(Service, ref);
  });
  expect(types).toEqual(['MODIFIED', 'MODIFIED', 'DELETED']);
});

test.each([
  ['ExternalName', 'ClusterIP'],
  ['ExternalName', 'NodePort'],
  ['ClusterIP', 'ExternalName'],
  ['NodePort', 'ExternalName'],
] as const)('Services should be able to change the type from %s to %s', async (from, to) => {
  const name = `${from}-${to}`.toLowerCase();
  const externalName = 'other.example.com';
  const selector = { app: name };
  const spec = (type: 'ExternalName' | 'ClusterIP' | 'NodePort'): Service['spec'] =>
    type === 'ExternalName' ? { type, externalName } : { type, selector, ports: [{ name: 'http', port: 80 }] };
  const made = await c.client.create(Service, { metadata: { name, namespace }, spec: spec(from) });
  if (from === 'ExternalName') {
    expect(made.spec.clusterIP ?? '').toBe('');
    const changed = await c.client.patch(Service, made.metadata, { spec: { ...spec(to), externalName: null } });
    expect(changed.spec.clusterIP).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(changed.spec.externalName).toBeUndefined();
    expect((changed.spec.ports?.[0]?.nodePort ?? 0) > 0).toBe(to === 'NodePort');
    await eventually(async () => expect(await slicesOf(name)).toHaveLength(1));
    return;
  }
  const ip = made.spec.clusterIP;
  const changed = await c.client.patch(Service, made.metadata, {
    spec: { type: to, externalName, clusterIP: '', clusterIPs: null },
  });
  expect([changed.spec.type, changed.spec.externalName, changed.spec.clusterIP ?? '']).toEqual([to, externalName, '']);
  // The address is free for others.
  await c.client.create(Service, service(`${name}-next`, { clusterIP: ip! }));
});

test('Services should be able to switch session affinity for service with type clusterIP', async () => {
  const made = await c.client.create(Service, service('affine', { sessionAffinity: 'ClientIP' }));
  expect(made.spec.sessionAffinityConfig).toEqual({ clientIP: { timeoutSeconds: 10800 } });
  const none = await c.client.patch(Service, made.metadata, { spec: { sessionAffinity: 'None' } });
  expect(none.spec.sessionAffinityConfig).toBeUndefined();
  const again = await c.client.patch(Service, made.metadata, { spec: { sessionAffinity: 'ClientIP' } });
  expect(again.spec.sessionAffinityConfig).toEqual({ clientIP: { timeoutSeconds: 10800 } });
});

test('Service endpoints latency should not be very high', async () => {
  await readyPod('prompt-1', 'prompt', '10.1.9.1', []);
  const many = Array.from({ length: 200 }, (_, i) => `prompt-${i}`);
  for (const name of many) await c.client.create(Service, service(name, { selector: { app: 'prompt' } }));
  // Half of them may take 20 s there; all do here.
  await eventually(async () => {
    const { items } = await c.client.list(Endpoints, { namespace });
    const ready = items.filter(({ metadata, subsets }) => metadata.name.startsWith('prompt-') && subsets?.length);
    expect(ready).toHaveLength(many.length);
  }, 20_000);
}, 60_000);

test('nothing of all this was refused to the controllers', async () => {
  const { items } = await c.client.list(Event, { namespace });
  expect(items.filter(({ type }) => type === 'Warning').map(({ reason, message }) => [reason, message])).toEqual([]);
});
