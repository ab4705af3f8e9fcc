import { parseCidr } from '../api/cidr.ts';
import { Node } from '../api/kinds/node.ts';
import type { Stored } from '../api/meta.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { CidrSet } from './common/cidr-set.ts';

export interface NodeIpamOptions {
  clusterCidr: readonly string[];
  serviceClusterIpRange: readonly string[];
  /** 0: the one of the family, or Kubernetes' own. */
  nodeCidrMaskSize: number;
  nodeCidrMaskSizeIpv4: number;
  nodeCidrMaskSizeIpv6: number;
}

/** The ranges that nodes' ranges are cut from, one a family. Throws an Error that says which option is wrong. */
export function rangesOf(o: NodeIpamOptions): CidrSet[] {
  const { clusterCidr: cidrs } = o;
  if (cidrs.length === 0) throw new Error('--allocate-node-cidrs needs --cluster-cidr: the range of all pods');
  if (cidrs.length > 2) throw new Error('--cluster-cidr takes one range, or one of each family');
  const dual = cidrs.length === 2;
  if (dual && o.nodeCidrMaskSize > 0)
    throw new Error('--node-cidr-mask-size fits one family: use --node-cidr-mask-size-ipv4 and -ipv6');
  const sets = cidrs.map((cidr) => {
    const own = parseCidr(cidr)?.family === 6 ? o.nodeCidrMaskSizeIpv6 || 64 : o.nodeCidrMaskSizeIpv4 || 24;
    return new CidrSet(cidr, o.nodeCidrMaskSize || own);
  });
  if (dual && sets[0]!.family === sets[1]!.family)
    throw new Error('--cluster-cidr takes two ranges only of different families');
  for (const services of o.serviceClusterIpRange) for (const set of sets) set.hold(services);
  return sets;
}

/** Each node has its own part of the pods' addresses, from when it comes until it is gone. */
export const nodeIpam =
  (options: NodeIpamOptions) =>
  ({ client, informer, events }: World): Reconciler => {
    const sets = rangesOf(options);
    const nodes = informer(Node);
    /** By node; filled as the nodes are seen, before the first one is worked on. */
    const held = new Map<string, readonly string[]>();

    const hold = (name: string, cidrs: readonly string[]): void => {
      const before = held.get(name);
      for (const cidr of cidrs) for (const set of sets) set.hold(cidr);
      for (const cidr of before ?? []) for (const set of sets) set.release(cidr);
      if (cidrs.length > 0) held.set(name, cidrs);
      else held.delete(name);
    };
    const without = () => [...nodes.list()].filter((node) => cidrsOf(node).length === 0).map((n) => n.metadata.name);

    return {
      name: 'node-ipam',
      watches: [
        watching(nodes, ({ type, object }) => {
          const { name } = object.metadata;
          if (type === 'deleted') {
            hold(name, []);
            return without();
          }
          const cidrs = cidrsOf(object);
          if (cidrs.length > 0) hold(name, cidrs);
          return cidrs.length > 0 ? [] : [name];
        }),
      ],
      async reconcile(name, signal) {
        const node = nodes.get(name);
        if (!node || cidrsOf(node).length > 0 || node.metadata.deletionTimestamp) return;
        const cidrs = held.get(name) ?? take(sets);
        if (!cidrs) {
          const about = { kind: 'Node', name, uid: name };
          events.record(about, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
          return;
        }
        // Held until the node shows it or is gone: a write whose answer was lost may have gone through.
        held.set(name, cidrs);
        const patch = { metadata: { uid: node.metadata.uid }, spec: { podCIDR: cidrs[0], podCIDRs: cidrs } };
        await client.patch(Node, node.metadata, patch, {}, signal);
      },
    };
  };

const cidrsOf = ({ spec }: Node & Stored): readonly string[] => spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);

/** One of each set, or of none. */
function take(sets: readonly CidrSet[]): readonly string[] | undefined {
  const taken: string[] = [];
  for (const set of sets) {
    const cidr = set.take();
    if (cidr !== undefined) taken.push(cidr);
    else {
      taken.forEach((one, i) => sets[i]!.release(one));
      return undefined;
    }
  }
  return taken;
}
