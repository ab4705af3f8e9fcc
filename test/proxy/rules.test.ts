import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import type { Service, ServiceSpec } from '../../api/kinds/service.ts';
import { checksOf } from '../../proxy/health-check.ts';
import { Ledger, type Fragment } from '../../proxy/ledger.ts';
import { CommonChoices } from '../../proxy/common-choices.ts';
import { fragmentOf } from '../../proxy/nft-rules.ts';
import { Shelves } from '../../proxy/shelves.ts';
import {
  externalEndpoints,
  internalEndpoints,
  portsOf,
  type Place,
  type Plan,
  type ServicePort,
} from '../../proxy/rules.ts';
import { changesBetween, servicePort } from './plans.ts';

// https://kubernetes.io/docs/reference/networking/virtual-ips/

const here: Place = { node: 'here', zone: 'a' };
type Endpoint = EndpointSlice['endpoints'][number];
const endpoint = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({ addresses: [address], ...more });
const slice = (endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  ...more,
});
const service = (spec: Partial<ServiceSpec>, more: Partial<Service> = {}): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP: '10.96.0.10', ports: [{ port: 80, protocol: 'TCP' }], ...spec },
  ...more,
});
const addresses = (endpoints: readonly { address: string }[] = []) => endpoints.map(({ address }) => address).join(' ');

describe('Services that nobody needs rules for', () => {
  const none: [string, Service][] = [
    ['headless', service({ clusterIP: 'None' })],
    ['an external name', service({ type: 'ExternalName', externalName: 'example.com', clusterIP: '' })],
    ['one without an address yet', service({ clusterIP: '' })],
    [
      'one of another proxy',
      service({}, { metadata: { name: 'web', labels: { 'service.kubernetes.io/service-proxy-name': 'x' } } }),
    ],
  ];
  test.each(none)('%s', (_what, one) => expect(portsOf(one, [slice([endpoint('10.1.0.1')])], here)).toEqual([]));
});

describe('who answers', () => {
  const ending = { conditions: { ready: false, serving: true, terminating: true } };
  const dead = { conditions: { ready: false, serving: false, terminating: true } };
  const zone = (name: string) => ({ hints: { forZones: [{ name }] } });
  const mine = { nodeName: 'here' };
  const local = { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' };
  const cases: [string, Endpoint[], Partial<ServiceSpec>, inside: string, outside: string][] = [
    ['all that are ready', [endpoint('10.1.0.2'), endpoint('10.1.0.1', mine)], {}, '10.1.0.1 10.1.0.2', '10.1.0.1 10.1.0.2'],
    ['not those that are not', [endpoint('10.1.0.1', { conditions: { ready: false } })], {}, '', ''],
    ['those that end, only while no other is ready', [endpoint('10.1.0.1', ending), endpoint('10.1.0.2', dead)], {}, '10.1.0.1', '10.1.0.1'],
    ['the ready before those that end', [endpoint('10.1.0.1', ending), endpoint('10.1.0.2')], {}, '10.1.0.2', '10.1.0.2'],
    ['Local: those on the node', [endpoint('10.1.0.1', mine), endpoint('10.1.0.2')], local, '10.1.0.1', '10.1.0.1'],
    ['Local inside only', [endpoint('10.1.0.1', mine), endpoint('10.1.0.2')], { internalTrafficPolicy: 'Local' }, '10.1.0.1', '10.1.0.1 10.1.0.2'],
    ['Local: those on the node that end, before ready ones elsewhere', [endpoint('10.1.0.1', { ...mine, ...ending }), endpoint('10.1.0.2')], local, '10.1.0.1', '10.1.0.1'],
    ['hints: those for our zone', [endpoint('10.1.0.1', zone('a')), endpoint('10.1.0.2', zone('b'))], {}, '10.1.0.1', '10.1.0.1'],
    ['hints: no heed where one has none', [endpoint('10.1.0.1', zone('a')), endpoint('10.1.0.2')], {}, '10.1.0.1 10.1.0.2', '10.1.0.1 10.1.0.2'],
    ['hints: no heed where none is for us', [endpoint('10.1.0.1', zone('b'))], {}, '10.1.0.1', '10.1.0.1'],
    ['hints for nodes before those for zones', [endpoint('10.1.0.1', { hints: { ...zone('b').hints, forNodes: [{ name: 'here' }] } }), endpoint('10.1.0.2', { hints: { ...zone('a').hints, forNodes: [{ name: 'there' }] } })], {}, '10.1.0.1', '10.1.0.1'],
    ['each once', [endpoint('10.1.0.1'), endpoint('10.1.0.1')], {}, '10.1.0.1', '10.1.0.1'],
  ]; // prettier-ignore
  test.each(cases)('%s', (_what, endpoints, spec, inside, outside) => {
    const [port] = portsOf(service({ type: 'NodePort', ...spec }), [slice(endpoints)], here);
    expect(addresses(internalEndpoints(port!))).toBe(inside);
    expect(addresses(externalEndpoints(port!))).toBe(outside);
  });

  test('each family has its own ports, by name and protocol', () => {
    const both = service({
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'fd00::10'],
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'web', port: 80, protocol: 'TCP' },
      ],
    });
    const ports = [{ name: 'dns', port: 5353, protocol: 'UDP' }];
    const six = slice([endpoint('fd00:1::1')], { addressType: 'IPv6', ports });
    const plan = portsOf(both, [slice([endpoint('10.1.0.1')], { ports }), six], here);
    expect(plan.map(({ key, cluster }) => [key, addresses(cluster)])).toEqual([
      ['default/web:dns/UDP', '10.1.0.1'],
      ['default/web:web/TCP', ''],
      ['default/web:dns/UDP/6', 'fd00:1::1'],
      ['default/web:web/TCP/6', ''],
    ]);
  });

  test('a load balancer that is a proxy itself gets no rules; ranges are those of the family', () => {
    const [port] = portsOf(
      service(
        { type: 'LoadBalancer', loadBalancerSourceRanges: [' 192.0.2.0/24', 'fd00::/8'] },
        { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }, { ip: '203.0.113.2', ipMode: 'Proxy' }] } } },
      ),
      [],
      here,
    );
    expect(port).toMatchObject({ loadBalancerIPs: ['203.0.113.1'], sourceRanges: ['192.0.2.0/24'] });
  });

  test.each([
    [
      ['192.0.2.7', 'fd00::7'],
      ['192.0.2.0/24', '203.0.113.1/32'],
    ],
    [['198.51.100.7'], ['192.0.2.0/24']],
  ])('a node at %j that the ranges let in may come by the address of the load balancer: %j', (own, sourceRanges) => {
    const spec = { type: 'LoadBalancer' as const, loadBalancerSourceRanges: ['192.0.2.0/24'] };
    const status = { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } };
    expect(portsOf(service(spec, { status }), [], { ...here, addresses: own })[0]).toMatchObject({ sourceRanges });
  });
});

test('health checks count the addresses on this node, over all ports of the Service', () => {
  const ports = ['a', 'b'].map((name) =>
    servicePort({ key: name, healthCheckNodePort: 32000, localReady: ['10.1.0.1'] }),
  );
  const plan: Plan = new Map(ports.map((port) => [port.key, port]));
  expect([...checksOf(plan)]).toEqual([[32000, { service: 'default/web', local: 1 }]]);
});

/** A kernel that does as it is told. */
class Kernel {
  readonly chains = new Map<string, readonly string[]>();
  readonly entries = new Map<string, string>();

  take({ delta }: ReturnType<Ledger['change']>): void {
    for (const [id, value] of delta.goneEntries) {
      expect(this.entries.get(id)).toBe(value);
      this.entries.delete(id);
    }
    for (const [id, value] of delta.newEntries) {
      expect(this.entries.has(id)).toBe(false);
      this.entries.set(id, value);
    }
    for (const [chain, rules] of delta.filled) this.chains.set(chain, rules);
    for (const chain of delta.goneChains) expect(this.chains.delete(chain)).toBe(true);
  }

  get all() {
    return [[...this.chains].sort(), [...this.entries].sort()];
  }
}

describe('a change', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });
  const ports = fc.uniqueArray(
    fc
      .record({ i: fc.integer({ min: 1, max: 6 }), cluster: numbers, nodePort: fc.constantFrom(0, 30080), affinity: fc.boolean(), externalLocal: fc.boolean() })
      .map(({ i, cluster, affinity, ...more }) => {
        const endpoints = cluster.sort().map((n) => ({ address: `10.1.0.${n}`, port: 80 }));
        return servicePort({ key: `default/web-${i}:/TCP`, service: `default/web-${i}`, clusterIP: `10.96.0.${i}`, affinitySeconds: affinity ? 30 : 0, cluster: endpoints, local: endpoints.slice(1), ...more });
      }),
    { selector: ({ key }) => key },
  ); // prettier-ignore
  const planOf = (all: ServicePort[]): Plan => new Map(all.map((port) => [port.key, port]));
  const o = { clusterCidr: [], masqueradeAll: false, nodePortAddresses: [], masqueradeMark: 0x4000 };
  const places = { common: new CommonChoices(), shelves: new Shelves() };
  const fragments = (changes: ReadonlyMap<string, ServicePort | undefined>): Map<string, Fragment> =>
    new Map(
      [...changes].map(([key, port]) => [
        key,
        port ? fragmentOf(port, o, places) : { chains: new Map(), sets: new Map(), entries: new Map() },
      ]),
    );

  test('put upon a plan gives what the next plan gives at once; what was refused leaves no trace', () => {
    fc.assert(
      fc.property(fc.array(ports, { minLength: 1, maxLength: 5 }), (plans) => {
        const [ledger, kernel] = [new Ledger(), new Kernel()];
        let before: Plan = new Map();
        for (const after of plans.map(planOf)) {
          const changes = fragments(changesBetween(before, after));
          ledger.change(changes).undo();
          kernel.take(ledger.change(changes));
          before = after;
        }
        const [whole, at] = [new Kernel(), new Ledger()];
        whole.take(at.change(fragments(before)));
        expect(kernel.all).toEqual(whole.all);
      }),
      { numRuns: 200 },
    );
  });

  test('of one endpoint touches the entries of its Service alone', () => {
    const all = [1, 2, 3].map((i) =>
      servicePort({
        key: `default/web-${i}:/TCP`,
        service: `default/web-${i}`,
        clusterIP: `10.96.0.${i}`,
        cluster: [{ address: `10.1.0.${i}`, port: 80 }],
      }),
    );
    const ledger = new Ledger();
    ledger.change(fragments(planOf(all)));
    const next = { ...all[1]!, cluster: [{ address: '10.1.0.9', port: 80 }] };
    const { delta } = ledger.change(fragments(changesBetween(planOf(all), planOf([all[0]!, next, all[2]!]))));
    expect([delta.filled, delta.goneChains]).toEqual([[], []]);
    expect(delta.newEntries).toEqual([
      ['one-of-1-tcp|10.96.0.2 . 80 . 0', '10.1.0.9 . 80'],
      ['hairpin|10.1.0.9 . 10.1.0.9', ''],
    ]);
    expect(delta.goneEntries.map(([id]) => id)).toEqual([
      'one-of-1-tcp|10.96.0.2 . 80 . 0',
      'hairpin|10.1.0.2 . 10.1.0.2',
    ]);
  });
});
