import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Endpoints } from '../../api/kinds/endpoints.ts';
import { Service } from '../../api/kinds/service.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (c = await startControllers()));
afterAll(() => c.stop());

test('endpoints made by hand are mirrored while they are there, and change with them', async () => {
  const ref = { namespace: 'default', name: 'outside' };
  await c.client.create(Service, { metadata: ref, spec: { ports: [{ port: 80 }] } });
  const subset = (...ips: string[]) => ({ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 9376 }] });
  await c.client.create(Endpoints, { metadata: ref, subsets: [subset('10.1.2.3', '2001:db8::1')] });
  const slices = async () => {
    const { items } = await c.client.list(EndpointSlice, { labelSelector: 'kubernetes.io/service-name=outside' });
    return items
      .map(({ addressType, endpoints, ports }) => [
        addressType,
        endpoints.flatMap((one) => one.addresses),
        ports![0]!.port,
      ])
      .sort();
  };
  await eventually(async () =>
    expect(await slices()).toEqual([
      ['IPv4', ['10.1.2.3'], 9376],
      ['IPv6', ['2001:db8::1'], 9376],
    ]),
  );
  await c.client.patch(Endpoints, ref, { subsets: [subset('10.2.3.4')] });
  await eventually(async () => expect(await slices()).toEqual([['IPv4', ['10.2.3.4'], 9376]]));
  await c.client.delete(Endpoints, ref);
  await eventually(async () => expect(await slices()).toEqual([]));
});
