import { Pod } from '../api/kinds/pod.ts';
import type { Pod as PodObject } from '../api/kinds/pod.ts';
import { type Stored, keyOf, timestamp } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Logger } from '../lib/log.ts';
import type { NodeView } from './cluster.ts';
import type { Nominations } from './nominations.ts';
import { type Preemption, priorityOf } from './preemption.ts';

/** Milliseconds. */
const patience = 5000;

export interface EvictorParts {
  client: Client;
  events: EventRecorder;
  log: Logger;
  now: () => number;
  nominations: Nominations;
}

/** Ends the victims of a preemption and writes down for whom their node is meant. */
export class Evictor {
  readonly #client: Client;
  readonly #events: EventRecorder;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #nominations: Nominations;
  /** Pod uid → who has to go for it, and when one of them was last seen. */
  readonly #made = new Map<string, { since: number; victims: readonly PodObject[] }>();

  constructor({ client, events, log, now, nominations }: EvictorParts) {
    this.#nominations = nominations;
    this.#client = client;
    this.#events = events;
    this.#log = log;
    this.#now = now;
  }

  /** Room is being made for it already: who has to go is still there. */
  awaits(pod: PodObject, nodes: readonly NodeView[]): boolean {
    const told = this.#made.get(pod.metadata.uid!);
    const name = this.#nominations.nodeOf(pod);
    const node = name ? nodes.find((one) => one.name === name) : undefined;
    if (!node) return false;
    if (told) {
      if (told.victims.some(({ metadata }) => node.pods.has(metadata.uid!))) told.since = this.#now();
      // When they have ended, what they held must first come back as an offer.
      if (this.#now() - told.since < patience) return true;
    }
    return [...node.pods.values()].some(
      (other) => other.metadata.deletionTimestamp !== undefined && priorityOf(other) < priorityOf(pod),
    );
  }

  evict(pod: PodObject & Stored, { node, victims }: Preemption, schedulerName: string): void {
    const { uid } = pod.metadata;
    this.#made.set(uid, { since: this.#now(), victims });
    this.#log.info({ pod: keyOf(pod), node, victims: victims.map((victim) => keyOf(victim)) }, 'making room');
    for (const victim of victims) this.#try(this.#end(victim, uid, node, schedulerName), pod, node);
    // Who is less important must look for a place anew.
    for (const other of this.#nominations.on(node))
      if (priorityOf(other) < priorityOf(pod)) this.withdraw(other as PodObject & Stored);
    this.#nominate(pod, node);
  }

  /** No room is made for it any more. */
  withdraw(pod: PodObject & Stored): void {
    this.#made.delete(pod.metadata.uid);
    if (this.#nominations.nodeOf(pod) !== undefined) this.#nominate(pod, undefined);
  }

  forget(pod: PodObject & Stored): void {
    this.#made.delete(pod.metadata.uid);
  }

  #nominate(pod: PodObject & Stored, node: string | undefined): void {
    this.#nominations.set(pod, node);
    const status = { nominatedNodeName: node ?? null };
    const options = { type: 'strategic', subresource: 'status' } as const;
    this.#try(this.#client.patch(Pod, pod.metadata, { status }, options), pod, node);
  }

  #try(done: Promise<unknown>, pod: PodObject & Stored, node: string | undefined): void {
    done.catch((err: unknown) => {
      // It went by itself, or is another by now.
      if (!isNotFound(err) && !isConflict(err)) this.#log.warn({ err, pod: keyOf(pod), node }, 'could not make room');
    });
  }

  async #end(victim: PodObject, preemptor: string, node: string, schedulerName: string): Promise<void> {
    const condition = {
      type: 'DisruptionTarget',
      status: 'True' as const,
      reason: 'PreemptionByScheduler',
      message: `${schedulerName}: preempting to accommodate a higher priority pod`,
      lastTransitionTime: timestamp(this.#now()),
    };
    const meta = victim.metadata as (PodObject & Stored)['metadata'];
    await this.#client.patch(
      Pod,
      meta,
      { metadata: { uid: meta.uid }, status: { conditions: [condition] } },
      { type: 'strategic', subresource: 'status' },
    );
    await this.#client.delete(Pod, meta, { preconditions: { uid: meta.uid } });
    const named = { apiVersion: 'v1', kind: 'Pod', ...victim };
    this.#events.record(named, 'Normal', 'Preempted', `Preempted by pod ${preemptor} on node ${node}`);
  }
}
