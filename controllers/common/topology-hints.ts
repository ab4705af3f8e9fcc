import type { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { zoneLabel, type Node } from '../../api/kinds/node.ts';
import type { Service } from '../../api/kinds/service.ts';
import { quantity } from '../../api/quantity.ts';

type Endpoint = EndpointSlice['endpoints'][number];

/** How much more than its share an endpoint may have to bear. */
const overload = 1.2;

const isAuto = ({ metadata: { annotations } }: Service): boolean =>
  ['auto', 'Auto'].includes(
    annotations?.['service.kubernetes.io/topology-mode'] ??
      annotations?.['service.kubernetes.io/topology-aware-hints'] ??
      '',
  );

/**
 * Whose clients each endpoint is for. The annotation of old goes before `spec.trafficDistribution`.
 * https://kubernetes.io/docs/concepts/services-networking/service/#traffic-distribution
 */
export function hinted(service: Service, endpoints: readonly Endpoint[], nodes: readonly Node[]): Endpoint[] {
  if (isAuto(service)) return proportional(endpoints, nodes);
  const { trafficDistribution: wish } = service.spec;
  const byNode = wish === 'PreferSameNode';
  if (!byNode && wish !== 'PreferClose' && wish !== 'PreferSameZone') return [...endpoints];
  return endpoints.map((endpoint) => {
    const { nodeName, zone, conditions } = endpoint;
    if (conditions?.ready === false || (byNode ? !nodeName : !zone)) return endpoint;
    const forZones = zone ? { forZones: [{ name: zone }] } : {};
    return { ...endpoint, hints: { ...forZones, ...(byNode ? { forNodes: [{ name: nodeName! }] } : {}) } };
  });
}

/** Endpoints for each zone by its part of the processors, or no hints at all where that cannot be fair. */
function proportional(endpoints: readonly Endpoint[], nodes: readonly Node[]): Endpoint[] {
  const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false);
  const shares = sharesOf(nodes);
  const quotas = shares && quotasOf(shares, ready.length);
  if (!quotas || ready.some(({ zone }) => zone === undefined)) return [...endpoints];
  const given = new Map<Endpoint, string>();
  const room = new Map(quotas);
  const give = (endpoint: Endpoint, zone: string) => {
    given.set(endpoint, zone);
    room.set(zone, room.get(zone)! - 1);
  };
  for (const one of ready) if ((room.get(one.zone!) ?? 0) > 0) give(one, one.zone!);
  for (const one of ready) {
    if (given.has(one)) continue;
    const zone = [...room].find(([, free]) => free > 0)?.[0];
    if (zone !== undefined) give(one, zone);
  }
  return endpoints.map((endpoint) => {
    const zone = given.get(endpoint);
    return zone === undefined ? endpoint : { ...endpoint, hints: { forZones: [{ name: zone }] } };
  });
}

/** Each zone's part of all processors of nodes that are well; undefined where a node tells no zone, or there are not two. */
function sharesOf(nodes: readonly Node[]): Map<string, number> | undefined {
  const cpus = new Map<string, number>();
  for (const { metadata, status } of nodes) {
    if (Object.hasOwn(metadata.labels ?? {}, 'node-role.kubernetes.io/control-plane')) continue;
    if (!status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')) continue;
    const zone = metadata.labels?.[zoneLabel];
    const cpu = status.allocatable?.['cpu'];
    if (!zone || cpu === undefined) return undefined;
    cpus.set(zone, (cpus.get(zone) ?? 0) + quantity(cpu));
  }
  const total = [...cpus.values()].reduce((sum, cpu) => sum + cpu, 0);
  if (cpus.size < 2 || total === 0) return undefined;
  return new Map([...cpus].sort(([a], [b]) => (a < b ? -1 : 1)).map(([zone, cpu]) => [zone, cpu / total]));
}

/** How many endpoints each zone gets, all given out; undefined when some zone's would have to bear too much. */
function quotasOf(shares: ReadonlyMap<string, number>, count: number): Map<string, number> | undefined {
  const least = (share: number) => Math.ceil((share * count) / overload);
  const quotas = new Map([...shares].map(([zone, share]) => [zone, least(share)]));
  let left = count - [...quotas.values()].reduce((sum, quota) => sum + quota, 0);
  if (left < 0 || [...quotas.values()].includes(0)) return undefined;
  for (; left > 0; left -= 1) {
    const lack = (zone: string) => shares.get(zone)! * count - quotas.get(zone)!;
    const poorest = [...quotas.keys()].reduce((a, b) => (lack(b) > lack(a) ? b : a));
    quotas.set(poorest, quotas.get(poorest)! + 1);
  }
  return quotas;
}
