import { hostPortsOf } from '../../api/host-ports.ts';
import type { Plugin } from '../plugin.ts';

/** Host ports a pod asks for must be free on the node; on Mesos that means: in what is offered. */
export const nodePorts: Plugin = {
  name: 'NodePorts',
  filter: ({ pod }) => {
    const wanted = hostPortsOf(pod);
    if (wanted.length === 0) return undefined;
    return (node) =>
      wanted.every((port) => node.hasPort(port))
        ? undefined
        : "node(s) didn't have free ports for the requested pod ports";
  },
};
