import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { IPAddress } from '../../api/kinds/ip-address.ts';
import { ServiceCIDR } from '../../api/kinds/service-cidr.ts';
import { Service } from '../../api/kinds/service.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let c: Awaited<ReturnType<typeof startControllers>>;
beforeAll(
  async () => void (c = await startControllers({ controllers: ['service-cidrs'] }, { serviceCidr: ['10.96.0.0/30'] })),
);
afterAll(() => c.stop());

const namespace = 'default';
const make = (name: string, cidr: string) =>
  c.client.create(ServiceCIDR, { metadata: { name }, spec: { cidrs: [cidr] } });
const isReady = async (name: string) =>
  (await c.client.get(ServiceCIDR, { name })).status?.conditions?.map(({ status, reason }) => [status, reason]);
const isGone = async (name: string) =>
  isNotFound(await c.client.get(ServiceCIDR, { name }).catch((error: unknown) => error));
const serve = (name: string, clusterIP: string) =>
  c.client.create(Service, { metadata: { name, namespace }, spec: { clusterIP, ports: [{ port: 80 }] } });

// https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
test('a range is ready, and when it is deleted it stays until no Service has an address that is in it alone', async () => {
  await make('more', '10.97.0.0/28');
  await eventually(async () => expect(await isReady('more')).toEqual([['True', '']]));
  const { finalizers } = (await c.client.get(ServiceCIDR, { name: 'more' })).metadata;
  expect(finalizers).toEqual(['networking.k8s.io/service-cidr-finalizer']);
  await eventually(async () => expect((await serve('user', '10.97.0.7')).spec.clusterIP).toBe('10.97.0.7'));
  expect((await c.client.list(IPAddress)).items.map(({ metadata }) => metadata.name)).toContain('10.97.0.7');

  await c.client.delete(ServiceCIDR, { name: 'more' });
  await eventually(async () => expect(await isReady('more')).toEqual([['False', 'Terminating']]));
  // Nothing is given out of it any more.
  await expect(serve('late', '10.97.0.8')).rejects.toThrow('is not in the valid range');
  // Apiservers are given ten seconds to hear of the deletion.
  await c.client.delete(Service, { namespace, name: 'user' });
  await eventually(async () => expect(await isGone('more')).toBe(true), 20_000);
}, 40_000);

test('a range that lies in another one goes though its addresses are in use', async () => {
  await make('wide', '10.98.0.0/24');
  await make('narrow', '10.98.0.0/28');
  await eventually(async () => expect(await isReady('narrow')).toEqual([['True', '']]));
  await eventually(async () => expect((await serve('inside', '10.98.0.3')).spec.clusterIP).toBe('10.98.0.3'));
  await c.client.delete(ServiceCIDR, { name: 'narrow' });
  await eventually(async () => expect(await isGone('narrow')).toBe(true), 20_000);
}, 40_000);
