import type { Pod } from '../api/kinds/pod.ts';

/** Ports of the host that the pod's containers ask for: they must be in the offer. */
export function hostPortsOf(pod: Pod): number[] {
  const ports = pod.spec.containers.flatMap((c) => (c.ports ?? []).flatMap((p) => (p.hostPort ? [p.hostPort] : [])));
  return [...new Set(ports)];
}
