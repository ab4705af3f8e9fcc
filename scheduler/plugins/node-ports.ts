import { hostPortsOf } from '../../api/host-ports.ts';
import { inOffers, noOffer } from '../cluster.ts';
import type { Plugin } from '../plugin.ts';

const reason = "node(s) didn't have free ports for the requested pod ports";

/** Host ports a pod asks for must be free on the node; on Mesos that means: in what is offered. */
export const nodePorts: Plugin = {
  name: 'NodePorts',
  filterGoesBy: ({ pod }) => hostPortsOf(pod),
  filter: ({ pod }) => {
    const wanted = hostPortsOf(pod);
    if (wanted.length === 0) return undefined;
    return (node) => {
      const missing = wanted.filter((port) => !node.hasPort(port));
      if (missing.length === 0) return undefined;
      if (!missing.every((port) => node.awaitsPort(port))) return reason;
      return node.unavailable === noOffer ? noOffer : `${reason}${inOffers}`;
    };
  },
};
