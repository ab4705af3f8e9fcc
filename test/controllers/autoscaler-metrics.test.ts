import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { APIService } from '../../api/kinds/api-service.ts';
import { Deployment } from '../../api/kinds/deployment.ts';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { HorizontalPodAutoscaler, type MetricSpec } from '../../api/kinds/horizontal-pod-autoscaler.ts';
import { Service } from '../../api/kinds/service.ts';
import { eventually } from '../eventually.ts';
import { makeCa } from '../pki.ts';
import { aroundTests } from './around-tests.ts';
import { type Controllers, deployment, running } from './harness.ts';

// A server of metrics behind an APIService, as prometheus-adapter is one; the paths are those of k8s.io/metrics.

const namespace = 'default';
const groups = ['custom.metrics.k8s.io', 'external.metrics.k8s.io', 'metrics.k8s.io'];
/** Path below the group → the items of the answer. */
const answers = new Map<string, (names: string[]) => object[]>();
const asked: string[] = [];
let http: Server;
let c: Controllers;
aroundTests((started) => void (c = started), running);

beforeAll(async () => {
  const ca = await makeCa('metrics-ca');
  http = createServer(await ca.issueFor('metrics.default.svc'), (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://x');
    const [, , group = '', version = '', ...rest] = pathname.split('/');
    response.setHeader('content-type', 'application/json');
    const groupVersion = `${group}/${version}`;
    if (rest.length === 0)
      return void response.end(
        JSON.stringify({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: [] }),
      );
    const path = rest.slice(2).join('/');
    asked.push(`${group} ${path}?${searchParams.toString()}`);
    const app = /^app=(.*)/.exec(searchParams.get('labelSelector') ?? '')?.[1] ?? 'nobody';
    void c.podsOf(app).then((pods) => {
      const items = answers.get(`${group} ${path}`)?.(pods.map(({ metadata }) => metadata.name));
      response.writeHead(items ? 200 : 404).end(JSON.stringify({ apiVersion: groupVersion, kind: 'List', items }));
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  await c.client.create(Service, { metadata: { name: 'metrics', namespace }, spec: { ports: [{ port: 443 }] } });
  await c.client.create(EndpointSlice, {
    metadata: { name: 'metrics-1', namespace, labels: { 'kubernetes.io/service-name': 'metrics' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    ports: [{ name: '', port, protocol: 'TCP' }],
  });
  for (const group of groups) {
    const name = `v1beta1.${group}`;
    const spec = {
      ...{ group, version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
      service: { namespace, name: 'metrics' },
      caBundle: Buffer.from(ca.pem).toString('base64'),
    };
    // The apiserver has one of its own for metrics.k8s.io.
    const there = await c.client.patch(APIService, { name }, { spec }).then(
      () => true,
      () => false,
    );
    if (!there) await c.client.create(APIService, { metadata: { name }, spec });
    await eventually(async () => {
      const { status } = await c.client.get(APIService, { name });
      // The apiserver's own would be available, too.
      expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Available', reason: 'Passed' }));
    }, 20_000);
  }
});
afterAll(async () => {
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
});

/** A Deployment of two that is scaled by one metric. */
async function scaledBy(name: string, metric: MetricSpec) {
  const one = deployment(name, 2);
  const resources = { requests: { cpu: '100m' } };
  const containers = ['c', 'sidecar'].map((container) => ({ name: container, image: 'x', resources }));
  const template = { ...one.spec.template, spec: { containers } };
  await c.client.create(Deployment, { ...one, spec: { ...one.spec, template } });
  await eventually(async () =>
    expect((await c.client.get(Deployment, { namespace, name })).status?.readyReplicas).toBe(2),
  );
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name };
  await c.client.create(HorizontalPodAutoscaler, {
    metadata: { name, namespace },
    spec: { scaleTargetRef, maxReplicas: 10, metrics: [metric] },
  });
  return eventually(async () => {
    const { status } = await c.client.get(HorizontalPodAutoscaler, { namespace, name });
    expect(status?.conditions?.map(({ type, status: is }) => [type, is])).toContainEqual(['ScalingActive', 'True']);
    const { spec } = await c.client.get(Deployment, { namespace, name });
    return { replicas: spec.replicas, current: status?.currentMetrics };
  });
}

const metric = { name: 'requests', selector: { matchLabels: { path: 'all' } } };
const average = (averageValue: string) => ({ type: 'AverageValue' as const, averageValue });

test('one container of the pods alone can be the measure', async () => {
  answers.set('metrics.k8s.io pods', (names) =>
    names.map((name) => ({
      metadata: { name },
      containers: [
        { name: 'c', usage: { cpu: '150m' } },
        { name: 'sidecar', usage: { cpu: '1' } },
      ],
    })),
  );
  const containerResource = {
    name: 'cpu',
    container: 'c',
    target: { type: 'Utilization' as const, averageUtilization: 50 },
  };
  const { replicas, current } = await scaledBy('container', { type: 'ContainerResource', containerResource });
  expect(replicas).toBe(6);
  const shown = { name: 'cpu', container: 'c', current: { averageUtilization: 150, averageValue: '150m' } };
  expect(current).toEqual([{ type: 'ContainerResource', containerResource: shown }]);
});

test('a custom metric of the pods is averaged over them', async () => {
  answers.set('custom.metrics.k8s.io pods/*/requests', (names) =>
    names.map((name) => ({ describedObject: { kind: 'Pod', name }, metricName: 'requests', value: '1500m' })),
  );
  const { replicas, current } = await scaledBy('pods', { type: 'Pods', pods: { metric, target: average('500m') } });
  expect(replicas).toBe(6);
  expect(current).toEqual([{ type: 'Pods', pods: { metric, current: { averageValue: '1500m' } } }]);
  expect(asked).toContain(
    'custom.metrics.k8s.io pods/*/requests?labelSelector=app%3Dpods&metricLabelSelector=path%3Dall',
  );
});

test('a metric of another object is asked for under the name of its resource', async () => {
  const path = 'ingresses.networking.k8s.io/door/requests';
  answers.set(`custom.metrics.k8s.io ${path}`, () => [
    { describedObject: { kind: 'Ingress', name: 'door' }, value: '60' },
  ]);
  const describedObject = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'door' };
  const object = { describedObject, metric, target: { type: 'Value' as const, value: '20' } };
  const { replicas, current } = await scaledBy('object', { type: 'Object', object });
  expect(replicas).toBe(6);
  expect(current).toEqual([{ type: 'Object', object: { describedObject, metric, current: { value: '60' } } }]);
});

test('an external metric is summed, and spread over the pods', async () => {
  answers.set('external.metrics.k8s.io requests', () => [{ value: '30' }, { value: '40' }]);
  const external = { metric, target: average('10') };
  const { replicas, current } = await scaledBy('external', { type: 'External', external });
  expect(replicas).toBe(6);
  expect(current).toEqual([{ type: 'External', external: { metric, current: { averageValue: '35' } } }]);
  expect(asked).toContain('external.metrics.k8s.io requests?labelSelector=path%3Dall');
});
