import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { firstAddress } from '../../api/cidr.ts';
import type { Kind } from '../../api/kind.ts';
import { IPAddress } from '../../api/kinds/ip-address.ts';
import { Service } from '../../api/kinds/service.ts';
import { addressKey, ClusterIps } from '../../apiserver/admission/cluster-ips.ts';
import { portRangeOf, rangesOf, repairAddresses } from '../../apiserver/admission/service-addresses.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { encode } from '../../apiserver/encoding.ts';
import { Feed } from '../../apiserver/feed.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { startServer, type TestServer } from './harness.ts';

test('reads ranges, one or one of each family', () => {
  expect(rangesOf(['10.96.0.0/12', 'fd00:1::/108']).map(firstAddress)).toEqual(['10.96.0.1', 'fd00:1::1']);
  for (const wrong of [['10.0.0.0'], ['10.0.0.0/40'], ['x/8'], ['300.0.0.0/8'], ['10.0.0.0/31']])
    expect(() => rangesOf(wrong)).toThrow('expected a range such as');
  for (const wrong of [[], ['10.0.0.0/8', '11.0.0.0/8'], ['10.0.0.0/8', 'fd00::/64', 'fd01::/64']])
    expect(() => rangesOf(wrong)).toThrow('one of each family');
});

test('node ports are those of the range', async () => {
  for (const wrong of ['', '30000', '0-10', '10-9', '30000-65536'])
    expect(() => portRangeOf(wrong)).toThrow('expected ports such as 30000-32767');
  const s = await startServer({ serviceNodePortRange: '8000-8001' });
  const make = (name: string, port: object = {}) =>
    s.call('POST', '/api/v1/namespaces/default/services', {
      metadata: { name, labels: { of: 'range' } },
      spec: { type: 'NodePort', ports: [{ port: 80, ...port }] },
    });
  expect((await make('out', { nodePort: 30000 })).json['message']).toContain('The range of valid ports is 8000-8001');
  for (const name of ['a', 'b']) expect((await make(name)).status).toBe(201);
  const { items } = await s.client().list(Service, { namespace: 'default', labelSelector: 'of=range' });
  expect(items.map(({ spec }) => spec.ports?.[0]?.nodePort).sort()).toEqual([8000, 8001]);
  await s.stop();
});

test('claims that no Service holds are freed, but not before their writer had time; one that lacks is made', async () => {
  const store = openEmbedded(':memory:');
  const stopping = new AbortController();
  const service: Service = {
    metadata: { name: 's', namespace: 'default' },
    spec: { type: 'NodePort', clusterIP: '10.96.0.7', ports: [{ port: 80, nodePort: 30001 }] },
  };
  await store.put('/registry/core/services/default/s', encode(Service as Kind<never> as Kind, service), 0);
  const left = { metadata: { name: 'gone', namespace: 'default' }, spec: {} };
  await store.put(addressKey('10.96.0.8'), ClusterIps.holder(left, '10.96.0.8'), 0);
  const foreign: IPAddress = {
    metadata: { name: '10.96.0.9' },
    spec: { parentRef: { resource: 'gateways', name: 'g' } },
  };
  await store.put(addressKey('10.96.0.9'), encode(IPAddress as Kind<never> as Kind, foreign), 0);
  for (const port of [30001, 30002]) await store.put(`/registry/allocations/nodeports/${port}`, Buffer.from('{}'), 0);
  const feed = new Feed(store, [Service as Kind<never> as Kind, IPAddress as Kind<never> as Kind], 100, silent);
  await feed.start(stopping.signal);
  const repair = async (suspects: ReadonlyMap<string, number>, now: number) => {
    await feed.fresh();
    return repairAddresses(store, feed, suspects, now);
  };
  const suspects = await repair(new Map(), 0);
  expect([...suspects.keys()]).toEqual(['/registry/allocations/nodeports/30002', addressKey('10.96.0.8')]);
  expect(await repair(suspects, 59_000)).toEqual(suspects);
  await repair(suspects, 61_000);
  const keys = async (prefix: string) => (await store.list(prefix)).items.map(({ key }) => key);
  expect(await keys('/registry/allocations/')).toEqual(['/registry/allocations/nodeports/30001']);
  expect(await keys(addressKey('10.96.0.7').replace(/[^/]*$/, ''))).toEqual(['10.96.0.7', '10.96.0.9'].map(addressKey));
  stopping.abort();
  await store.close();
});

// https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
describe('ranges and addresses as objects', () => {
  let s: TestServer;
  const net = '/apis/networking.k8s.io/v1';
  const services = '/api/v1/namespaces/default/services';
  const start = async (...serviceCidr: string[]) => void (s = await startServer({ serviceCidr }));
  afterEach(() => s.stop());
  const make = async (name: string, spec: object = {}, query = '') => {
    const body = { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } };
    const { json } = await s.call('POST', `${services}${query}`, body);
    return (json['spec'] as Service['spec'] | undefined)?.clusterIP ?? String(json['message']);
  };
  const address = async (ip: string) => (await s.call('GET', `${net}/ipaddresses/${encodeURIComponent(ip)}`)).json;
  const isGone = (ip: string) => eventually(async () => expect((await address(ip))['reason']).toBe('NotFound'));

  test('the range of the server is a ServiceCIDR, an address of a Service an IPAddress that goes with it', async () => {
    await start('10.96.0.0/16', 'fd00:96::/108');
    expect((await s.call('GET', `${net}/servicecidrs/kubernetes`)).json).toMatchObject({
      spec: { cidrs: ['10.96.0.0/16', 'fd00:96::/108'] },
      status: { conditions: [{ type: 'Ready', status: 'True', message: 'Kubernetes default Service CIDR is ready' }] },
    });
    expect(await address('10.96.0.1')).toMatchObject({
      metadata: { labels: { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' } },
      spec: { parentRef: { group: '', resource: 'services', namespace: 'default', name: 'kubernetes' } },
    });
    expect(await make('six', { clusterIP: 'FD00:96:0::7' })).toBe('FD00:96:0::7');
    expect(await address('fd00:96::7')).toMatchObject({
      metadata: { labels: { 'ipaddress.kubernetes.io/ip-family': 'IPv6' } },
      spec: { parentRef: { name: 'six' } },
    });
    await s.call('DELETE', `${services}/six`);
    await isGone('fd00:96::7');
    const dry = await make('dry', {}, '?dryRun=All');
    expect((await address(dry))['reason']).toBe('NotFound');
    const refused = await make('refused', { clusterIP: '10.96.0.1' });
    expect(refused).toContain('provided IP is already allocated');
  });

  test('an address that a Service has comes back when somebody deletes it; what is not of a Service is not given out', async () => {
    await start('10.96.0.0/29');
    const ip = await make('keeps');
    await s.call('DELETE', `${net}/ipaddresses/${ip}`);
    await eventually(async () => expect((await address(ip))['spec']).toMatchObject({ parentRef: { name: 'keeps' } }));
    const free = [2, 3, 4, 5, 6].map((i) => `10.96.0.${i}`).find((one) => one !== ip)!;
    const spec = { parentRef: { group: 'gateway.networking.k8s.io', resource: 'gateways', name: 'g' } };
    expect((await s.call('POST', `${net}/ipaddresses`, { metadata: { name: free }, spec })).status).toBe(201);
    const given = await Promise.all(['a', 'b', 'c'].map((name) => make(name)));
    expect([...given, ip, free, '10.96.0.1'].sort()).toEqual([1, 2, 3, 4, 5, 6].map((i) => `10.96.0.${i}`));
  });

  test('the last addresses of a range are found, those for who chooses at the end', async () => {
    await start('10.96.0.0/26');
    const given = [];
    for (let i = 0; i < 61; i++) given.push(await make(`s${i}`));
    expect(new Set(given).size).toBe(61);
    expect(given.slice(0, 40).filter((ip) => Number(ip.split('.')[3]) < 16)).toEqual([]);
    expect(given.filter((ip) => Number(ip.split('.')[3]) < 16)).toHaveLength(14);
    expect(await make('more')).toContain('range is full');
  });

  test('a further ServiceCIDR extends a range that is full, as long as it is ready', async () => {
    await start('10.96.0.0/30');
    expect(await make('one')).toBe('10.96.0.2');
    const tiny = { metadata: { name: 'tiny' }, spec: { cidrs: ['10.99.0.0/32'] } };
    expect((await s.call('POST', `${net}/servicecidrs`, tiny)).status).toBe(201);
    await eventually(async () => expect((await s.call('GET', `${net}/servicecidrs/tiny`)).status).toBe(200));
    expect(await make('two')).toContain('range is full');
    expect(await make('own', { clusterIP: '10.97.0.3' })).toContain('The range of valid IPs is 10.96.0.0/30');
    const more = { metadata: { name: 'more' }, spec: { cidrs: ['10.97.0.0/28'] } };
    expect((await s.call('POST', `${net}/servicecidrs`, more)).status).toBe(201);
    await eventually(async () => expect(await make(`in-${Date.now()}`)).toMatch(/^10\.97\.0\./));
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'Terminating', message: '', lastTransitionTime: null },
    ];
    const merge = { 'content-type': 'application/merge-patch+json' };
    await s.call('PATCH', `${net}/servicecidrs/more/status`, { status: { conditions } }, merge);
    await eventually(async () => expect(await make(`after-${Date.now()}`)).toContain('range is full'));
  });
});

// https://kubernetes.io/docs/concepts/services-networking/dual-stack/
describe('on a cluster of both families', () => {
  let s: TestServer;
  beforeAll(async () => void (s = await startServer({ serviceCidr: ['10.96.0.0/16', 'fd00:96::/108'] })));
  afterAll(() => s.stop());
  const path = '/api/v1/namespaces/default/services';
  let serial = 0;
  const make = async (spec: object) => {
    const { status, json } = await s.call('POST', path, {
      metadata: { name: `s${(serial += 1)}` },
      spec: { ports: [{ port: 80 }], selector: { app: 'x' }, ...spec },
    });
    return { status, json, spec: json['spec'] as Service['spec'] | undefined, message: String(json['message']) };
  };
  const v4 = /^10\.96\./;
  const v6 = /^fd00:96::/;

  test('a Service is of the first family unless it says more', async () => {
    expect((await make({})).spec).toMatchObject({
      ...{ ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', clusterIPs: [expect.stringMatching(v4)] },
    });
    expect((await make({ ipFamilies: ['IPv6'] })).spec).toMatchObject({
      ...{ ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack', clusterIP: expect.stringMatching(v6) },
    });
    for (const ipFamilyPolicy of ['PreferDualStack', 'RequireDualStack'])
      expect((await make({ ipFamilyPolicy })).spec).toMatchObject({
        ipFamilies: ['IPv4', 'IPv6'],
        clusterIPs: [expect.stringMatching(v4), expect.stringMatching(v6)],
      });
    expect((await make({ ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] })).spec).toMatchObject({
      clusterIPs: [expect.stringMatching(v6), expect.stringMatching(v4)],
    });
    expect((await make({ clusterIP: 'fd00:96::77' })).spec).toMatchObject({ ipFamilies: ['IPv6'] });
  });

  test('an address is given out once, however it is written', async () => {
    expect((await make({ clusterIP: 'fd00:96::1234' })).status).toBe(201);
    const { status, message } = await make({ clusterIP: 'FD00:96:0::1234' });
    expect([status, message]).toEqual([422, expect.stringContaining('provided IP is already allocated')]);
    expect((await make({ clusterIP: 'fd00:97::1' })).message).toContain('The range of valid IPs is fd00:96::/108');
  });

  test('a Service gets a second family by its policy, and loses it', async () => {
    const { json, spec } = await make({});
    const at = `${path}/${String(json['metadata']!['name'])}`;
    const policy = async (ipFamilyPolicy: string) =>
      (await s.call('PATCH', at, { spec: { ipFamilyPolicy } }, { 'content-type': 'application/merge-patch+json' }))
        .json['spec'];
    const both = [spec!.clusterIP, expect.stringMatching(v6)];
    expect(await policy('PreferDualStack')).toMatchObject({ clusterIPs: both, ipFamilies: ['IPv4', 'IPv6'] });
    expect(await policy('SingleStack')).toMatchObject({ clusterIPs: [spec!.clusterIP], ipFamilies: ['IPv4'] });
  });

  test('a headless one without a selector is of both', async () => {
    expect((await make({ clusterIP: 'None', selector: undefined })).spec).toMatchObject({
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    });
    expect((await make({ clusterIP: 'None' })).spec).toMatchObject({ ipFamilies: ['IPv4'] });
  });

  test('a load balancer that keeps traffic local has a port for its health checks, as long as it does', async () => {
    const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
    const { json, spec } = await make(local);
    const port = spec!.healthCheckNodePort!;
    expect(port).toBeGreaterThanOrEqual(30_000);
    expect((await make({ ...local, healthCheckNodePort: port })).message).toContain(
      `spec.healthCheckNodePort: Invalid value: ${port}: provided port is already allocated`,
    );
    const at = `${path}/${String(json['metadata']!['name'])}`;
    const patch = (change: object) =>
      s.call('PATCH', at, { spec: change }, { 'content-type': 'application/merge-patch+json' });
    expect((await patch({ healthCheckNodePort: port + 1 })).status).toBe(422);
    expect((await patch({ selector: { app: 'y' } })).json['spec']).toMatchObject({ healthCheckNodePort: port });
    const changed = await patch({ externalTrafficPolicy: 'Cluster' });
    expect(changed.json['spec']).not.toHaveProperty('healthCheckNodePort');
    expect((await make({ ...local, healthCheckNodePort: port })).status).toBe(201);
    expect((await patch({ type: 'ClusterIP' })).json['spec']).not.toHaveProperty('allocateLoadBalancerNodePorts');
  });
});

test('a cluster of one family says what it cannot give', async () => {
  const s = await startServer();
  const make = async (spec: object) => {
    const body = { metadata: { name: 'x' }, spec: { ports: [{ port: 80 }], ...spec } };
    return String((await s.call('POST', '/api/v1/namespaces/default/services?dryRun=All', body)).json['message']);
  };
  const cases: [object, string][] = [
    [{ ipFamilies: ['IPv6'] }, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    [{ ipFamilyPolicy: 'RequireDualStack' }, 'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is'],
    [{ type: 'NodePort', clusterIP: 'None' }, 'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\''],
    [{ externalTrafficPolicy: 'Local' }, 'may only be set for externally-accessible services'],
    [{ type: 'NodePort', externalTrafficPolicy: 'Near' }, 'spec.externalTrafficPolicy: Unsupported value: "Near"'],
    [{ healthCheckNodePort: 31_000 }, "may only be set when `type` is 'LoadBalancer'"],
    [
      { externalIPs: ['127.0.0.1'] },
      'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range',
    ],
    [{ externalIPs: ['nowhere'] }, 'must be a valid IP address'],
    [{ loadBalancerSourceRanges: ['10.0.0.0/8'] }, 'spec.loadBalancerSourceRanges: Forbidden'],
    [{ type: 'LoadBalancer', loadBalancerSourceRanges: ['10/8'] }, 'must be a valid CIDR value'],
    [
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } },
      'must be greater than 0',
    ],
    [{ type: 'ExternalName', externalName: 'a_b' }, 'spec.externalName: Invalid value: "a_b"'],
    [{ trafficDistribution: 'Far' }, 'spec.trafficDistribution: Unsupported value: "Far"'],
    [{ loadBalancerClass: 'x' }, 'spec.loadBalancerClass: Forbidden'],
  ];
  for (const [spec, words] of cases) expect(await make(spec)).toContain(words);
  await s.stop();
});
