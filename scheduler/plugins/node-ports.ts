import type { Pod } from '../../api/kinds/pod.ts';
import type { Plugin } from '../plugin.ts';

/** Host ports a pod asks for must be free on the node; on Mesos that means: in what is offered. */
export const nodePorts: Plugin = {
  name: 'NodePorts',
  filter: ({ pod }) => {
    const wanted = hostPorts(pod);
    if (wanted.length === 0) return undefined;
    return (node) =>
      wanted.every((port) => node.hasPort(port))
        ? undefined
        : "node(s) didn't have free ports for the requested pod ports";
  },
};

export function hostPorts(pod: Pod): number[] {
  return pod.spec.containers.flatMap((c) => (c.ports ?? []).flatMap((p) => (p.hostPort ? [p.hostPort] : [])));
}
