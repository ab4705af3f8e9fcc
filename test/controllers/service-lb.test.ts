import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { parse } from 'yaml';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Event } from '../../api/kinds/event.ts';
import { Node } from '../../api/kinds/node.ts';
import { Service, type ServicePort } from '../../api/kinds/service.ts';
import { isNotFound } from '../../api/status.ts';
import { openDoor } from '../../client/door.ts';
import { options } from '../../controllers/index.ts';
import type { MarathonApp } from '../../controllers/common/marathon-lb.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { adminToken } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const namespace = 'default';
const finalizer = 'service.kubernetes.io/load-balancer-cleanup';
const guide = /```yaml\n([^]*?)```/.exec(readFileSync('docs/load-balancing.md', 'utf8'))?.[1] ?? '';
const shop = parse(guide) as Service;

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  c = await startControllers({ controllers: ['service-lb'], loadBalancer: 'marathon-lb' });
});
afterAll(() => c.stop());

const status = (ready: boolean, address: string): NonNullable<Node['status']> => ({
  addresses: [{ type: 'InternalIP', address }],
  conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: '2026-01-01T00:00:00Z' }],
});
const makeNode = (name: string, address: string, labels: Record<string, string> = {}) =>
  c.client.create(Node, { metadata: { name, labels }, status: status(true, address) });
const setNode = (name: string, address: string, ready: boolean) =>
  c.client.patch(Node, { name }, { status: status(ready, address) }, { subresource: 'status' });
const balanced = (name: string, ports: ServicePort[], spec: Partial<Service['spec']> = {}) =>
  c.client.create(Service, { metadata: { name, namespace }, spec: { type: 'LoadBalancer', ports, ...spec } });
const service = (name: string) => c.client.get(Service, { namespace, name });
const ingress = async (name: string) => (await service(name)).status?.loadBalancer?.ingress;
const remove = async (name: string) => {
  await c.client.delete(Service, { namespace, name });
  await eventually(async () => expect(await service(name).then(() => false, isNotFound)).toBe(true));
};
const reasons = async (name: string) => {
  const { items } = await c.client.list(Event, { namespace, fieldSelector: `involvedObject.name=${name}` });
  return items.map(({ reason }) => reason).sort();
};

describe('a Service of type LoadBalancer', () => {
  beforeAll(async () => {
    await makeNode('a', '10.1.0.1');
    await makeNode('b', '10.1.0.2');
    await makeNode('master', '10.1.0.9', { 'node.kubernetes.io/exclude-from-external-load-balancers': '' });
  });

  test('is told where it is reached, follows the nodes, and is cleared when its type changes', async () => {
    await balanced('web', [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ]);
    const ports = [
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP', error: 'k8s.mesosphere.io/OnlyTCP' },
    ];
    const at = (ip: string) => ({ ip, ipMode: 'Proxy', ports });
    await eventually(async () => expect(await ingress('web')).toEqual([at('10.1.0.1'), at('10.1.0.2')]));
    expect((await service('web')).metadata.finalizers).toEqual([finalizer]);
    await setNode('b', '10.1.0.2', false);
    await eventually(async () => expect(await ingress('web')).toEqual([at('10.1.0.1')]));
    await setNode('b', '10.1.0.7', true);
    await eventually(async () => expect(await ingress('web')).toEqual([at('10.1.0.1'), at('10.1.0.7')]));
    await eventually(async () =>
      expect(await reasons('web')).toEqual(['EnsuredLoadBalancer', 'EnsuringLoadBalancer', 'UpdatedLoadBalancer']),
    );
    await c.client.patch(Service, { namespace, name: 'web' }, { spec: { type: 'ClusterIP' } });
    await eventually(async () => {
      const { metadata, status: now } = await service('web');
      expect([metadata.finalizers, now?.loadBalancer]).toEqual([undefined, {}]);
    });
    await eventually(async () => expect(await reasons('web')).toContain('DeletedLoadBalancer'));
    await remove('web');
  });

  test('of another class is left to others; of ours it is served, and goes when it is deleted', async () => {
    await balanced('theirs', [{ port: 8000 }], { loadBalancerClass: 'example.com/other' });
    await balanced('mine', [{ port: 8000 }], { loadBalancerClass: 'k8s.mesosphere.io/marathon-lb' });
    await eventually(async () => expect(await ingress('mine')).toHaveLength(2));
    const { metadata, status: theirs } = await service('theirs');
    expect([metadata.finalizers, theirs?.loadBalancer]).toEqual([undefined, {}]);
    await remove('mine');
    await remove('theirs');
  });

  test('waits for a port that an older one has', async () => {
    await balanced('older', [{ port: 7000 }]);
    await eventually(async () => expect(await ingress('older')).toHaveLength(2));
    await balanced('younger', [{ port: 7000 }]);
    await eventually(async () => expect(await reasons('younger')).toContain('SyncLoadBalancerFailed'));
    expect(await ingress('younger')).toBeUndefined();
    await c.client.patch(
      Service,
      { namespace, name: 'older' },
      [{ op: 'replace', path: '/spec/ports/0/port', value: 7001 }],
      {
        type: 'json',
      },
    );
    await eventually(async () => expect(await ingress('younger')).toHaveLength(2));
    await remove('older');
    await remove('younger');
  });

  test('without node ports cannot be served, and says so', async () => {
    await balanced('portless', [{ port: 7100 }], { allocateLoadBalancerNodePorts: false });
    await eventually(async () => expect(await reasons('portless')).toContain('SyncLoadBalancerFailed'));
    expect(await ingress('portless')).toBeUndefined();
    await remove('portless');
  });
});

describe('Marathon-LB', () => {
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  let origin: string;
  beforeAll(async () => {
    const rooms = { name: 'km-test', registry: c.figures.registry, checks: () => [], pages: c.pages };
    const given = { ...defaultsOf(options), bindAddress: '127.0.0.1' };
    const door = await openDoor(given, rooms, { client: c.own, log: silent, signal: c.signal });
    origin = `https://127.0.0.1:${door.port}`;
  });
  afterAll(() => agent.close());
  const ask = (path: string) => {
    // As it authenticates: name and password.
    const authorization = `Basic ${Buffer.from(`km:${adminToken}`).toString('base64')}`;
    return agent.request({ origin, path, method: 'GET', headers: { authorization } });
  };
  const apps = async () => {
    const { body } = await ask('/v2/apps?embed=apps.tasks');
    return ((await body.json()) as { apps: MarathonApp[] }).apps;
  };

  test('reads the Service of the guide as an app with its ports, labels and tasks, and hears of changes', async () => {
    const events = await ask('/v2/events?plan-format=light');
    const heard: string[] = [];
    events.body.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
    const made = await c.client.create(Service, shop);
    await eventually(() =>
      expect(heard.join('')).toMatch(/data: \{"eventType":"status_update_event","appId":"\/default\/shop"/),
    );
    const nodePorts = made.spec.ports!.map(({ nodePort }) => nodePort);
    expect(nodePorts.every((port) => port! > 0)).toBe(true);
    const task = (name: string, host: string) => ({
      id: `default_shop.${name}`,
      appId: '/default/shop',
      host,
      ports: nodePorts,
      state: 'TASK_RUNNING',
    });
    expect(await apps()).toEqual([
      {
        id: '/default/shop',
        labels: {
          HAPROXY_GROUP: 'external',
          HAPROXY_0_VHOST: 'shop.example.com',
          ...Object.fromEntries(
            [0, 1].flatMap((n) => [
              [`HAPROXY_${n}_ENABLED`, 'true'],
              [`HAPROXY_${n}_BALANCE`, 'source'],
              [`HAPROXY_${n}_BACKEND_NETWORK_ALLOWED_ACL`, '203.0.113.0/24'],
            ]),
          ),
        },
        instances: 2,
        networks: [{ mode: 'host' }],
        portDefinitions: [
          { port: 10080, protocol: 'tcp', name: 'web' },
          { port: 10081, protocol: 'tcp', name: 'admin' },
        ],
        ports: [10080, 10081],
        tasks: [task('a', '10.1.0.1'), task('b', '10.1.0.7')],
      },
    ]);
    await remove('shop');
    await eventually(async () => expect(await apps()).toEqual([]));
    events.body.destroy();
  });

  test('is given the nodes with ready endpoints, and where to ask their health, under the policy Local', async () => {
    const made = await balanced('near', [{ port: 9000 }], { externalTrafficPolicy: 'Local' });
    const slice = (ready: boolean): EndpointSlice => ({
      metadata: { name: 'near-1', namespace, labels: { 'kubernetes.io/service-name': 'near' } },
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.2.0.1'], nodeName: 'a', conditions: { ready: false } },
        { addresses: ['10.2.0.2'], nodeName: 'b', conditions: { ready } },
      ],
    });
    await eventually(async () => expect(await reasons('near')).toContain('UnAvailableLoadBalancer'));
    const stored = await c.client.create(EndpointSlice, slice(true));
    await eventually(async () => expect((await ingress('near'))?.map(({ ip }) => ip)).toEqual(['10.1.0.7']));
    const [app] = await apps();
    expect(app?.tasks.map(({ host }) => host)).toEqual(['10.1.0.7']);
    expect(app?.healthChecks).toMatchObject([{ protocol: 'TCP', port: made.spec.healthCheckNodePort }]);
    expect(made.spec.healthCheckNodePort).toBeGreaterThan(0);
    expect(app?.labels['HAPROXY_0_BACKEND_TCP_HEALTHCHECK_OPTIONS']).toContain('httpchk GET /healthz');
    await c.client.update(EndpointSlice, { ...stored, endpoints: slice(false).endpoints });
    await eventually(async () => expect(await ingress('near')).toBeUndefined());
    await remove('near');
  });
});

test('the addresses that are told are those of the balancers where they are named', async () => {
  const w = await startControllers({
    controllers: ['service-lb'],
    loadBalancer: 'marathon-lb',
    loadBalancerAddresses: ['192.0.2.10', 'lb.example.com'],
  });
  const ports = [{ port: 80, protocol: 'TCP' }];
  await w.client.create(Service, {
    metadata: { name: 'web', namespace },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  });
  await eventually(async () =>
    expect((await w.client.get(Service, { namespace, name: 'web' })).status?.loadBalancer?.ingress).toEqual([
      { ip: '192.0.2.10', ipMode: 'Proxy', ports },
      { hostname: 'lb.example.com', ports },
    ]),
  );
  await w.stop();
});
