import { Pod, isTerminal } from '../../api/kinds/pod.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import type { World } from '../../client/reconcile.ts';

/**
 * Ends a pod from outside: says in its status why, then deletes it. With `fails` nobody else will say how it ended, so it
 * is said to have failed, and is gone at once.
 */
export async function disrupt(
  { client, now }: World,
  pod: Pod & Stored,
  condition: { type: 'DisruptionTarget'; reason: string; message: string },
  { fails = false }: { fails?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { uid } = pod.metadata;
  const status = {
    ...(fails && !isTerminal(pod) ? { phase: 'Failed' } : {}),
    conditions: [{ ...condition, status: 'True', lastTransitionTime: timestamp(now()) }],
  };
  const options = { type: 'strategic', subresource: 'status' } as const;
  try {
    if (!isTerminal(pod)) await client.patch(Pod, pod.metadata, { metadata: { uid }, status }, options, signal);
    await client.delete(
      Pod,
      pod.metadata,
      { preconditions: { uid }, ...(fails ? { gracePeriodSeconds: 0 } : {}) },
      signal,
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
