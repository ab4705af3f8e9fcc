import { hostname } from 'node:os';
import type { OfferFilters } from '../mesos/offers.ts';
import type { FrameworkInfo } from '../mesos/types.ts';

export interface FrameworkInfoOptions {
  mesosUser: string;
  mesosPrincipal: string;
  frameworkName: string;
  frameworkWebuiUrl: string;
  /** Milliseconds. */
  failoverTimeout: number;
  regionAware: boolean;
  gpus: boolean;
  /** Of the class `revocable`. */
  revocable: boolean;
  /** Cores and megabytes; 0 leaves it to the master. */
  minOfferCpus: number;
  minOfferMem: number;
}

/** How we introduce ourselves to the master. */
export function frameworkInfo(o: FrameworkInfoOptions, roles: readonly string[]): FrameworkInfo {
  const capabilities = ['PARTITION_AWARE', 'MULTI_ROLE', 'RESERVATION_REFINEMENT', 'TASK_KILLING_STATE'] as const;
  const optional = [
    ...(o.regionAware ? (['REGION_AWARE'] as const) : []),
    ...(o.gpus ? (['GPU_RESOURCES'] as const) : []),
    ...(o.revocable ? (['REVOCABLE_RESOURCES'] as const) : []),
  ];
  const filters = offerFilters(o);
  return {
    user: o.mesosUser || 'root',
    name: o.frameworkName,
    roles: [...roles],
    checkpoint: true,
    failover_timeout: o.failoverTimeout / 1000,
    hostname: hostname(),
    capabilities: [...capabilities, ...optional].map((type) => ({ type })),
    ...(filters ? { offer_filters: Object.fromEntries(roles.map((role) => [role, filters])) } : {}),
    ...(o.mesosPrincipal ? { principal: o.mesosPrincipal } : {}),
    ...(o.frameworkWebuiUrl ? { webui_url: o.frameworkWebuiUrl } : {}),
  };
}

/** An offer must have all of it: without cpus, as at a quota, memory is of no use. Undefined where the master decides. */
function offerFilters({ minOfferCpus, minOfferMem }: FrameworkInfoOptions): OfferFilters | undefined {
  const least = Object.entries({ cpus: minOfferCpus, mem: minOfferMem }).filter(([, value]) => value > 0);
  if (least.length === 0) return undefined;
  const quantities = Object.fromEntries(least.map(([name, value]) => [name, { value }]));
  return { min_allocatable_resources: { quantities: [{ quantities }] } };
}
