import { hostPortNotes, hostPortOf, portsOf } from '../api/host-ports.ts';
import { prefix } from '../api/kinds/names.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { DiscoveryInfo, DiscoveryInfoVisibility } from '../mesos/tasks.ts';
import type { Labels } from '../mesos/types.ts';

const visibilities: Record<string, DiscoveryInfoVisibility> = {
  framework: 'FRAMEWORK',
  cluster: 'CLUSTER',
  external: 'EXTERNAL',
};

/** The name of a pod's task, under which Mesos-DNS and the pages of Mesos have it. */
export const taskName = ({ metadata: { namespace = '', name = '' } }: Pod): string => `${name}.${namespace}.pod`;

/**
 * How other frameworks find the pod: under the name of its task, or what its labels `k8s.mesosphere.io/discovery-name`,
 * `-visibility` (framework, cluster, external), `-environment`, `-location` and `-version` say, at those ports of its agent
 * that lead to it.
 */
export function discoveryOf(pod: Pod, anyPorts: readonly number[]): DiscoveryInfo {
  const label = (of: string) => pod.metadata.labels?.[`${prefix}discovery-${of}`];
  const said = ['environment', 'location', 'version'].flatMap((of) => {
    const value = label(of);
    return value === undefined ? [] : [[of, value]];
  });
  const annotations = { ...pod.metadata.annotations, ...hostPortNotes(pod, anyPorts) };
  const mapped = { ...pod, metadata: { ...pod.metadata, annotations } };
  const ports = portsOf(mapped).flatMap((port) => {
    const number = hostPortOf(mapped, port);
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    return number === undefined ? [] : [{ number, protocol, ...(port.name ? { name: port.name } : {}) }];
  });
  return {
    visibility: visibilities[label('visibility')?.toLowerCase() ?? ''] ?? 'CLUSTER',
    name: label('name') ?? taskName(pod),
    ...Object.fromEntries(said),
    ...(ports.length > 0 ? { ports: { ports } } : {}),
  };
}

/** The pod's labels, for whoever reads tasks. */
export const labelsOfTask = ({ metadata: { labels = {} } }: Pod): Labels => ({
  labels: Object.entries(labels).map(([key, value]) => ({ key, value })),
});
