import { Lease } from '../api/kinds/lease.ts';
import { Node } from '../api/kinds/node.ts';
import { type OwnerReference, microTimestamp } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';

/** Says that the node lives. Its lease belongs to the Node and goes with it; a node that is not there has none. */
export async function renewLease(client: Client, name: string, signal: AbortSignal): Promise<void> {
  const ref = { namespace: 'kube-node-lease', name };
  const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTimestamp(Date.now()) };
  const lease = await client.patch(Lease, ref, { spec }, {}, signal).catch(unlessNotFound);
  if (lease?.metadata.ownerReferences?.length) return;
  const ownerReferences = await owners(client, name, signal);
  if (ownerReferences.length === 0) return;
  if (lease) await client.patch(Lease, ref, { metadata: { ownerReferences } }, {}, signal);
  else await client.create(Lease, { metadata: { ...ref, ownerReferences }, spec }, {}, signal);
}

async function owners(client: Client, name: string, signal: AbortSignal): Promise<OwnerReference[]> {
  const node = await client.get(Node, { name }, signal).catch(unlessNotFound);
  return node ? [{ apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid }] : [];
}
