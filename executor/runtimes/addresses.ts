import { isIP } from 'node:net';
import type { Addresses } from '../runtime.ts';

/** One address of each family, that of the node's first, as a kubelet orders them: clients take the first for the pod's own. */
export function inOrder(found: readonly string[], nodeIp: string): Addresses {
  const family = isIP(nodeIp);
  const own = found.find((ip) => isIP(ip) !== 0 && isIP(ip) === family);
  const other = found.find((ip) => isIP(ip) !== 0 && isIP(ip) !== family);
  if (own === undefined) return { ip: other ?? '' };
  return { ip: own, ...(other === undefined ? {} : { otherIp: other }) };
}
