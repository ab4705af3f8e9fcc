import type { ServiceSpec } from './kinds/service.ts';

/** Whether the Service has ports on every node. */
export const usesNodePorts = ({ type }: ServiceSpec): boolean => type === 'NodePort' || type === 'LoadBalancer';

/** Whether it can be reached from outside the cluster. */
export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  usesNodePorts(spec) || (spec.type === 'ClusterIP' && (spec.externalIPs ?? []).length > 0);

/** A load balancer asks each node whether it has endpoints: https://kubernetes.io/docs/tutorials/services/source-ip/ */
export const needsHealthCheckPort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean =>
  type === 'LoadBalancer' && externalTrafficPolicy === 'Local';

/** Addresses of the Service that the cluster gives out; none for headless ones and names of others. */
export const clusterIpsOf = (spec: ServiceSpec | undefined): string[] => {
  const all = spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : []);
  return all.filter((ip) => ip !== '' && ip !== 'None');
};
