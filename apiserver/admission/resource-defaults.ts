import type { Container, Pod } from '../../api/kinds/pod.ts';
import { compareQuantities } from '../../api/quantity.ts';
import type { AdmissionRule } from './order.ts';
import { containersOf, creates } from './requests.ts';

/** Quantities by resource: what a container gets that asks for nothing, and the least it gets. */
export interface ResourceDefaults {
  standard: Readonly<Record<'cpu' | 'memory', string>>;
  least: Readonly<Record<'cpu' | 'memory', string>>;
}

/**
 * What the first km did: every container has a request and a limit for cpu and memory, the one as the other where only
 * one is told, because Mesos accounts everything.
 */
export const resourceDefaults = (defaults: ResourceDefaults): AdmissionRule => ({
  name: 'MesosResourceDefaults',
  mutate: (request) => {
    if (!creates(request, 'pods')) return;
    const { spec } = request.object as Pod;
    for (const container of containersOf(spec)) fillIn(container, defaults);
  },
});

function fillIn(container: Container, { standard, least }: ResourceDefaults): void {
  const { requests, limits } = container.resources ?? {};
  const filled = { ...container.resources, requests: { ...requests }, limits: { ...limits } };
  for (const resource of ['cpu', 'memory'] as const) {
    const atLeast = (amount: string) => (compareQuantities(amount, least[resource]) < 0 ? least[resource] : amount);
    const request = requests?.[resource] ?? limits?.[resource] ?? standard[resource];
    filled.requests[resource] = atLeast(request);
    filled.limits[resource] = atLeast(limits?.[resource] ?? request);
  }
  container.resources = filled;
}
