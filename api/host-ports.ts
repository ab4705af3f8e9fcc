import { portMapping, prefix } from './kinds/names.ts';
import type { ContainerPort, Pod } from './kinds/pod.ts';

/**
 * What becomes of a container's port without a host port: with `wildcard` it gets one of those that Mesos offers, with
 * `fixed` none. A pod says it with the label `k8s.mesosphere.io/portMapping`; which one it got stands in annotations.
 */
export type PortMapping = 'fixed' | 'wildcard';

/** Of all its containers. */
export const portsOf = (pod: Pod): ContainerPort[] => pod.spec.containers.flatMap(({ ports = [] }) => ports);

const numberNote = ({ protocol = 'TCP', containerPort }: ContainerPort) => `${prefix}port_${protocol}_${containerPort}`;
const nameNote = ({ protocol = 'TCP', name }: ContainerPort) => `${prefix}portName_${protocol}_${name}`;

/** The port of the host that leads to a container's port: asked for, or mapped; undefined where there is none. */
export function hostPortOf(pod: Pod, port: ContainerPort): number | undefined {
  return port.hostPort || Number(pod.metadata.annotations?.[numberNote(port)]) || undefined;
}

/** Ports of the host that the pod's containers have or ask for, each once. */
export function hostPortsOf(pod: Pod): number[] {
  return [...new Set(portsOf(pod).flatMap((port) => hostPortOf(pod, port) ?? []))];
}

/** Ports that nothing of the host leads to, in the order of the pod's containers. */
const unmapped = (pod: Pod): ContainerPort[] => portsOf(pod).filter((port) => hostPortOf(pod, port) === undefined);

/** How many ports of the host the pod wants that may have any number. */
export function openPorts(pod: Pod, byDefault: PortMapping): number {
  const isWildcard = (pod.metadata.labels?.[portMapping] ?? byDefault) === 'wildcard';
  return isWildcard && !pod.spec.hostNetwork ? unmapped(pod).length : 0;
}

/**
 * Annotations that say which ports of the host the open ones got, in their order: `port_TCP_80` and, where the port has a
 * name, `portName_TCP_http`.
 */
export function hostPortNotes(pod: Pod, numbers: readonly number[]): Record<string, string> {
  if (numbers.length === 0) return {};
  return Object.fromEntries(
    unmapped(pod).flatMap((port, i) =>
      [numberNote(port), ...(port.name ? [nameNote(port)] : [])].map((note) => [note, String(numbers[i])]),
    ),
  );
}
