import { CSINode, type CSINodeDriver } from '../../api/kinds/csi-node.ts';
import { Node } from '../../api/kinds/node.ts';
import { isNotFound } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';
import { Backoff } from '../../lib/backoff.ts';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';

/** What a node's drivers say of it: themselves, and where they see it, which become labels of the Node. */
export interface CsiState {
  drivers: CSINodeDriver[];
  topology: Record<string, string>;
}

/** Writes what the drivers of a node are, the newest state only, again and again until it is written. */
export function csiNodeWriter(
  client: Client,
  name: string,
  log: Logger,
  signal: AbortSignal,
): (state: CsiState) => void {
  let wanted: CsiState | undefined;
  let isWriting = false;
  const write = async () => {
    const backoff = new Backoff({ first: 200, max: 10_000 });
    for (isWriting = true; wanted && !signal.aborted;) {
      const state = wanted;
      try {
        await put(client, name, state, signal);
        if (wanted === state) wanted = undefined;
      } catch (err) {
        log.debug({ err, node: name }, 'the CSI drivers of the node could not be written; trying again');
        await delay(backoff.next(), signal).catch(() => undefined);
      }
    }
    isWriting = false;
  };
  return (state) => {
    wanted = state;
    if (!isWriting) void write();
  };
}

async function put(client: Client, name: string, { drivers, topology }: CsiState, signal: AbortSignal): Promise<void> {
  const node = await client.get(Node, { name }, signal);
  if (Object.entries(topology).some(([key, value]) => node.metadata.labels?.[key] !== value))
    await client.patch(Node, { name }, { metadata: { labels: topology } }, {}, signal);
  try {
    await client.patch(CSINode, { name }, { spec: { drivers } }, {}, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const owner = { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid };
    await client.create(CSINode, { metadata: { name, ownerReferences: [owner] }, spec: { drivers } }, {}, signal);
  }
}
