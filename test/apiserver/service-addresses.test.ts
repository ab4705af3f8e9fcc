import { expect, test } from '@jest/globals';
import { Service } from '../../api/kinds/service.ts';
import { repairAddresses } from '../../apiserver/admission/service-addresses.ts';
import { contains, firstAddress, formatAddress, parseAddress, parseCidr } from '../../apiserver/cidr.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';

test('reads ranges and addresses', () => {
  expect(parseCidr('10.96.0.0/12')).toEqual({ first: parseAddress('10.96.0.0'), size: 2 ** 20 });
  expect(firstAddress('10.0.0.0/24')).toBe('10.0.0.1');
  expect(formatAddress(parseAddress('192.168.1.250')!)).toBe('192.168.1.250');
  expect(contains(parseCidr('10.0.0.0/24'), parseAddress('10.0.0.255')!)).toBe(false);
  expect(parseAddress('1.2.3.400')).toBeUndefined();
  for (const wrong of ['10.0.0.0', '10.0.0.0/40', 'x/8', '300.0.0.0/8'])
    expect(() => parseCidr(wrong)).toThrow('expected an IPv4 range');
});

test('claims that no Service holds are freed, but not before their writer had time', async () => {
  const store = openEmbedded(':memory:');
  const claim = (key: string) => store.put(`/registry/allocations/${key}`, Buffer.from('{}'), 0);
  await claim('clusterips/10.96.0.7');
  await claim('clusterips/10.96.0.8');
  await claim('nodeports/30001');
  const service: Service = {
    metadata: { name: 's' },
    spec: { type: 'NodePort', clusterIP: '10.96.0.7', ports: [{ port: 80, nodePort: 30001 }] },
  };
  const suspects = await repairAddresses(store, [service], new Map(), 0);
  expect([...suspects.keys()]).toEqual(['/registry/allocations/clusterips/10.96.0.8']);
  expect(await repairAddresses(store, [service], suspects, 59_000)).toEqual(suspects);
  await repairAddresses(store, [service], suspects, 61_000);
  expect((await store.list('/registry/allocations/')).items.map(({ key }) => key)).toEqual([
    '/registry/allocations/clusterips/10.96.0.7',
    '/registry/allocations/nodeports/30001',
  ]);
  await store.close();
});
