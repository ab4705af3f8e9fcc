import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../../api/kinds/endpoints.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Service } from '../../api/kinds/service.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

// https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  c = await startControllers({}, { serviceCidr: ['10.96.0.0/16', 'fd00:1::/108'] });
});
afterAll(() => c.stop());

async function podWith(name: string, ...ips: string[]): Promise<void> {
  await c.client.create(Pod, {
    metadata: { name, namespace: 'default', labels: { app: 'web' } },
    spec: { nodeName: 'n', containers: [{ name: 'c', image: 'x' }] },
  });
  await c.setReady(name, 'default', ips[0]);
  const status = { podIPs: ips.map((ip) => ({ ip })) };
  await c.client.patch(Pod, { namespace: 'default', name }, { status }, { subresource: 'status' });
}

test.each<[policy: string, families: string[], slices: Record<string, string[]>, endpoints: string[]]>([
  ['SingleStack', ['IPv4'], { IPv4: ['10.1.0.1', '10.1.0.2'] }, ['10.1.0.1', '10.1.0.2']],
  ['SingleStack', ['IPv6'], { IPv6: ['fd00::2', 'fd00::3'] }, ['fd00::2', 'fd00::3']],
  [
    'RequireDualStack',
    ['IPv6', 'IPv4'],
    { IPv4: ['10.1.0.1', '10.1.0.2'], IPv6: ['fd00::2', 'fd00::3'] },
    ['fd00::2', 'fd00::3'],
  ],
])('a Service that is %s of %p has slices of these families', async (ipFamilyPolicy, ipFamilies, slices, endpoints) => {
  const name = `web-${ipFamilies.join('-').toLowerCase()}`;
  if (name === 'web-ipv4') {
    await podWith('a', '10.1.0.1');
    await podWith('b', '10.1.0.2', 'fd00::2');
    await podWith('c', 'fd00::3');
  }
  await c.client.create(Service, {
    metadata: { name, namespace: 'default' },
    spec: { ipFamilyPolicy, ipFamilies, selector: { app: 'web' }, ports: [{ port: 80 }] } as Service['spec'],
  });
  await eventually(async () => {
    const labelSelector = `kubernetes.io/service-name=${name}`;
    const { items } = await c.client.list(EndpointSlice, { namespace: 'default', labelSelector });
    const found = items.map((slice) => [
      slice.addressType,
      slice.endpoints.flatMap(({ addresses }) => addresses).sort(),
    ]);
    expect(Object.fromEntries(found)).toEqual(slices);
    const { subsets = [] } = await c.client.get(Endpoints, { namespace: 'default', name });
    expect(subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip))).toEqual(endpoints);
  });
});
