import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Deployment } from '../../api/kinds/deployment.ts';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../../api/kinds/endpoints.ts';
import { Event } from '../../api/kinds/event.ts';
import type { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Service } from '../../api/kinds/service.ts';
import type { Stored } from '../../api/meta.ts';
import { planSlices } from '../../controllers/common/slice-plan.ts';
import { hinted } from '../../controllers/common/topology-hints.ts';
import { TriggerTimes } from '../../controllers/common/trigger-times.ts';
import { eventually } from '../eventually.ts';
import { deployment, running, startControllers } from './harness.ts';

type Endpoint = EndpointSlice['endpoints'][number];
const endpoint = (name: string, more: Partial<Endpoint> = {}): Endpoint => ({
  addresses: [name],
  targetRef: { kind: 'Pod', name, uid: name },
  ...more,
});
const ports = (port: number) => [{ name: '', port, protocol: 'TCP' }];
const sliceOf = (endpoints: string, port = 80): EndpointSlice => ({
  metadata: {},
  addressType: 'IPv4',
  endpoints: [...endpoints].map((name) => endpoint(name)),
  ports: ports(port),
});
const stored = (name: string, endpoints: string, port = 80): EndpointSlice & Stored => ({
  ...sliceOf(endpoints, port),
  metadata: { name, uid: name, resourceVersion: '1' },
});
const short = (slices: readonly EndpointSlice[]) =>
  slices.map(
    ({ metadata: { name = '' }, endpoints, ports: own }) =>
      `${name}:${endpoints.map(({ addresses }) => addresses[0]).join('')}@${own?.[0]?.port}`,
  );

describe('slices of at most three', () => {
  test.each<[string, (EndpointSlice & Stored)[], EndpointSlice[], string[], string[], string[]]>([
    ['are made', [], [sliceOf('abcd')], [':abc@80', ':d@80'], [], []],
    ['are made empty, to be there', [], [sliceOf('')], [':@80'], [], []],
    ['are left alone', [stored('x', 'abc')], [sliceOf('cba')], [], [], []],
    ['lose what went, in place', [stored('x', 'abc'), stored('y', 'de')], [sliceOf('acde')], [], ['x:ac@80'], []],
    [
      'take what is new where something changes',
      [stored('x', 'abc'), stored('y', 'd')],
      [sliceOf('acde')],
      [],
      ['x:ace@80'],
      [],
    ],
    ['take what is new where room is', [stored('x', 'abc'), stored('y', 'd')], [sliceOf('abcde')], [], ['y:de@80'], []],
    ['overflow into a new one', [stored('x', 'abc')], [sliceOf('abcd')], [':d@80'], [], []],
    ['go when they are empty', [stored('x', 'abc'), stored('y', 'd')], [sliceOf('abc')], [], [], ['y:d@80']],
    ['stay as one empty', [stored('x', 'a'), stored('y', 'd')], [sliceOf('')], [], ['x:@80'], ['y:d@80']],
    ['are used again for other ports', [stored('x', 'ab')], [sliceOf('ab', 81)], [], ['x:ab@81'], []],
    ['go with their service', [stored('x', 'ab')], [], [], [], ['x:ab@80']],
    ['shrink when the limit did', [stored('x', 'abcde')], [sliceOf('abcde')], [':de@80'], ['x:abc@80'], []],
    ['of two sets of the same ports are one', [], [sliceOf('a'), sliceOf('b')], [':ab@80'], [], []],
    ['made twice lose the second', [stored('x', 'ab'), stored('y', 'ab')], [sliceOf('ab')], [], [], ['y:ab@80']],
  ])('%s', (_what, existing, wanted, create, update, remove) => {
    const plan = planSlices(existing, wanted, 3);
    expect([short(plan.create), short(plan.update), short(plan.remove)]).toEqual([create, update, remove]);
  });
});

const node = (zone: string, cpu: string, ready = 'True', labels: object = {}): Node => ({
  metadata: { labels: { 'topology.kubernetes.io/zone': zone, ...labels } },
  status: { allocatable: { cpu }, conditions: [{ type: 'Ready', status: ready as 'True' }] },
});
const service = (spec: Partial<Service['spec']>, annotations: Record<string, string> = {}): Service & Stored => ({
  metadata: { name: 's', uid: 's', resourceVersion: '1', annotations },
  spec,
});
const inZones = (zones: string) => [...zones].map((zone, i) => endpoint(String(i), { zone, nodeName: `n${i}` }));
const zonesOf = (endpoints: readonly Endpoint[]) =>
  endpoints.map(({ hints }) => hints?.forZones?.map(({ name }) => name).join() ?? '-').join('');

describe('hints', () => {
  const auto = service({}, { 'service.kubernetes.io/topology-mode': 'Auto' });
  const even = [node('a', '4'), node('b', '4')];
  test.each<[string, Service, string, Node[], string]>([
    ['are not given unasked', service({}), 'ab', even, '--'],
    ['to the same zone', service({ trafficDistribution: 'PreferSameZone' }), 'aab', [], 'aab'],
    ['to what is close', service({ trafficDistribution: 'PreferClose' }), 'ab', [], 'ab'],
    ['by processors, each in its zone', auto, 'aabb', even, 'aabb'],
    ['by processors, some given away', auto, 'aaab', even, 'aabb'],
    ['by processors of nodes that are well', auto, 'aaab', [...even, node('c', '8', 'False')], 'aabb'],
    ['not for one zone', auto, 'aaab', [node('a', '4')], '----'],
    ['not where too few would bear too much', auto, 'ab', [...even, node('c', '4')], '--'],
    ['not where a node tells no zone', auto, 'aabb', [...even, node('', '4')], '----'],
    [
      'without the control plane',
      auto,
      'aabb',
      [...even, node('c', '9', 'True', { 'node-role.kubernetes.io/control-plane': '' })],
      'aabb',
    ],
    ['by processors in parts', auto, 'aaabbb', [node('a', '8'), node('b', '4')], 'aaabba'],
  ])('%s', (_what, asked, zones, nodes, hints) => expect(zonesOf(hinted(asked, inZones(zones), nodes))).toBe(hints));

  test('to the same node tell the zone too, and those that are not ready get none', () => {
    const endpoints = [...inZones('a'), endpoint('x', { zone: 'a', nodeName: 'n', conditions: { ready: false } })];
    const [first, second] = hinted(service({ trafficDistribution: 'PreferSameNode' }), endpoints, []);
    expect(first!.hints).toEqual({ forZones: [{ name: 'a' }], forNodes: [{ name: 'n0' }] });
    expect(second!.hints).toBeUndefined();
  });
});

test('the trigger of a change is the earliest thing that is new', () => {
  const times = new TriggerTimes();
  const at = (minute: number) => `2026-01-01T00:0${minute}:00Z`;
  const pod = (name: string, minute: number): Pod & Stored => ({
    metadata: { name, uid: name, resourceVersion: '1' },
    spec: { containers: [] },
    status: { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: at(minute) }] },
  });
  const own = service({});
  own.metadata.creationTimestamp = at(1);
  const next = (...pods: (Pod & Stored)[]) => {
    const { time, note } = times.news(own, pods);
    note();
    return time;
  };
  expect(times.news(own, [pod('a', 2)]).time).toBe(at(1));
  expect(next(pod('a', 2), pod('b', 3))).toBe(at(1));
  expect(next(pod('a', 2), pod('b', 3))).toBeUndefined();
  expect(next(pod('a', 5), pod('b', 4))).toBe(at(4));
  expect(next(pod('a', 5))).toBeUndefined();
});

describe('in a cluster', () => {
  let w: Awaited<ReturnType<typeof startControllers>>;
  const ref = { namespace: 'default', name: 'web' };
  beforeAll(async () => {
    w = await startControllers({ maxEndpointsPerSlice: 3 });
    await w.runPods((pod) => running(pod, `10.0.0.${(Number.parseInt(pod.metadata.uid.slice(0, 2), 16) % 250) + 1}`));
    await w.client.create(Service, {
      metadata: ref,
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }], clusterIP: 'None' },
    });
    await w.client.create(Deployment, deployment('web', 5));
  });
  afterAll(() => w.stop());
  const slices = async () =>
    (await w.client.list(EndpointSlice, { ...ref, labelSelector: 'kubernetes.io/service-name=web' })).items;

  test('a service has as many slices as it needs, which tell when their change began; one pod less changes one slice', async () => {
    await eventually(async () => {
      const sizes = (await slices()).map(({ endpoints }) => endpoints.length).sort();
      expect(sizes).toEqual([2, 3]);
    });
    const [one] = await slices();
    const annotation = 'endpoints.kubernetes.io/last-change-trigger-time';
    expect(one!.metadata.annotations?.[annotation]).toMatch(/^\d{4}-.*Z$/);
    expect(one!.metadata.labels).toHaveProperty(['service.kubernetes.io/headless'], '');
    const endpoints = await w.client.get(Endpoints, ref);
    expect(endpoints.metadata.annotations?.[annotation]).toMatch(/^\d{4}-.*Z$/);
    await w.client.patch(Deployment, ref, { spec: { replicas: 4 } });
    await eventually(async () =>
      expect((await slices()).reduce((sum, slice) => sum + slice.endpoints.length, 0)).toBe(4),
    );
  });

  test('a pod that ends is told as one that ends, and still serves until it is not ready', async () => {
    const name = 'ending';
    await w.client.create(Service, {
      metadata: { name, namespace: 'default' },
      spec: { selector: { app: name }, ports: [{ port: 80 }] },
    });
    await w.client.create(Pod, {
      metadata: { name, namespace: 'default', labels: { app: name } },
      spec: { nodeName: 'somewhere', containers: [{ name: 'c', image: 'x' }] },
    });
    const conditions = async () =>
      (await w.client.list(EndpointSlice, { labelSelector: `kubernetes.io/service-name=${name}` })).items.flatMap(
        ({ endpoints }) => (endpoints ?? []).map((one) => one.conditions),
      );
    await eventually(async () =>
      expect(await conditions()).toEqual([{ ready: true, serving: true, terminating: false }]),
    );
    await w.client.delete(Pod, { namespace: 'default', name });
    await eventually(async () =>
      expect(await conditions()).toEqual([{ ready: false, serving: true, terminating: true }]),
    );
    const status = { conditions: [{ type: 'Ready', status: 'False' }] };
    await w.client.patch(Pod, { namespace: 'default', name }, { status }, { type: 'strategic', subresource: 'status' });
    await eventually(async () =>
      expect(await conditions()).toEqual([{ ready: false, serving: false, terminating: true }]),
    );
    await w.client.delete(Pod, { namespace: 'default', name }, { gracePeriodSeconds: 0 });
    await eventually(async () => expect(await conditions()).toEqual([]));
  });

  test('counts of zero are left out of the status of a deployment', async () => {
    await eventually(async () => {
      const { status } = await w.client.get(Deployment, ref);
      expect(status).toMatchObject({ replicas: 4, availableReplicas: 4 });
      expect(status).not.toHaveProperty('unavailableReplicas');
    });
  });

  test('events tell which controller speaks', async () => {
    const sources = await eventually(async () => {
      const { items } = await w.client.list(Event, { namespace: 'default' });
      const found = new Map(items.map((event) => [event.reason, event.source?.component]));
      expect([...found.keys()]).toEqual(expect.arrayContaining(['ScalingReplicaSet', 'SuccessfulCreate']));
      return found;
    });
    expect(sources.get('ScalingReplicaSet')).toBe('deployment-controller');
    expect(sources.get('SuccessfulCreate')).toBe('replicaset-controller');
  });
});

test('controllers go by our names and by those of kube-controller-manager; others are refused', async () => {
  const { chosen, all } = await import('../../controllers/list.ts');
  const names = (...wishes: string[]) => chosen(wishes).map(({ name }) => name);
  expect(names('deployment-controller', 'job', 'nodeipam')).toEqual(['deployment', 'job', 'node-ipam']);
  expect(names('*', '-deployment', '-replicaset')).not.toEqual(expect.arrayContaining(['deployment', 'replica-set']));
  expect(names('*')).not.toContain('token-cleaner');
  expect(names('*', 'tokencleaner')).toEqual([...names('*'), 'token-cleaner']);
  expect(names(...all.map(({ name }) => name))).toHaveLength(all.length);
  expect(() => chosen(['nonsense'])).toThrow('there is no controller "nonsense"; there are deployment,');
});
