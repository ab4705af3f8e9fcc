import { kind } from '../api/kind.ts';
import { type Pod, isTerminal } from '../api/kinds/pod.ts';
import { type KubeObject, type Stored, keyOf } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';

type StoredPod = Pod & Stored;

/** The pod belongs to the PodGroup of this name: https://scheduler-plugins.sigs.k8s.io/docs/plugins/coscheduling/ */
const groupLabel = 'scheduling.x-k8s.io/pod-group';
/** Groups without an object, by their pods' labels alone. */
const nameLabel = 'pod-group.scheduling.sigs.k8s.io/name';
const minLabel = 'pod-group.scheduling.sigs.k8s.io/min-available';

interface PodGroup extends KubeObject {
  spec?: { minMember?: number };
}

/** Enough of it to list and watch; the definition is the coscheduling plugin's. */
const PodGroup = kind<PodGroup>({
  group: 'scheduling.x-k8s.io',
  version: 'v1alpha1',
  kind: 'PodGroup',
  plural: 'podgroups',
  namespaced: true,
});

/** Milliseconds after which it is looked again whether PodGroups are served, when somebody asks about one. */
const fresh = 5_000;

/** The group of a pod as `namespace/name`; undefined where it goes alone. */
export function groupOf({ metadata: { namespace, labels = {} } }: Pod): string | undefined {
  const name = labels[groupLabel] ?? labels[nameLabel];
  return name ? `${namespace}/${name}` : undefined;
}

export interface GroupsParts {
  client: Client;
  log: Logger;
  now: () => number;
  /** A PodGroup is there, or says something else: these pods may be tried. */
  changed: (helps: (pod: Pod) => boolean) => void;
}

/** Which pods are placed together or not at all, and how many they must be. */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #members = new Map<string, Map<string, StoredPod>>();
  /** From when their definition is served on. */
  #podGroups: Informer<PodGroup> | undefined;
  #asked = -Infinity;
  #signal: AbortSignal | undefined;

  constructor(parts: GroupsParts) {
    this.#parts = parts;
  }

  /** PodGroups are followed until the signal aborts, as soon as somebody names one. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
  }

  /** A pod as it is now; one that has ended, or is about to, counts no more. */
  see(pod: StoredPod): void {
    if (pod.metadata.deletionTimestamp || isTerminal(pod)) return this.forget(pod);
    const group = groupOf(pod);
    if (group === undefined) return;
    const members = this.#members.get(group) ?? new Map<string, StoredPod>();
    this.#members.set(group, members.set(pod.metadata.uid, pod));
  }

  forget(pod: StoredPod): void {
    const group = groupOf(pod) ?? '';
    const members = this.#members.get(group);
    members?.delete(pod.metadata.uid);
    if (members?.size === 0) this.#members.delete(group);
  }

  /** Those of its pods that run, wait, or are on their way. */
  members(group: string): StoredPod[] {
    return [...(this.#members.get(group)?.values() ?? [])];
  }

  /** How many must have a place at once; or, in words, why the group cannot be tried yet. */
  atLeast(group: string): number | string {
    const wanted = this.#wanted(group);
    if (typeof wanted === 'string') return wanted;
    const { length } = this.members(group);
    return length < wanted ? shortOf(group, length, wanted, 'are there') : wanted;
  }

  #wanted(group: string): number | string {
    const labels = this.members(group).flatMap(({ metadata }) => (metadata.labels ? [metadata.labels] : []));
    if (!labels.some((all) => groupLabel in all))
      return Math.max(1, ...labels.map((all) => Math.trunc(Number(all[minLabel])) || 1));
    if (!this.#podGroups) void this.#follow();
    if (!this.#podGroups?.synced) return `there is no PodGroup ${group} yet`;
    const found = this.#podGroups.get(group);
    return found ? (found.spec?.minMember ?? 1) : `there is no PodGroup ${group}`;
  }

  /** Looks whether there are such objects; from then on every change of one is told to its pods. */
  async #follow(): Promise<void> {
    const { client, log, now, changed } = this.#parts;
    if (now() - this.#asked < fresh || !this.#signal) return;
    this.#asked = now();
    try {
      await client.list(PodGroup, { limit: 1 }, this.#signal);
      const podGroups = new Informer(client, PodGroup, {}, log);
      podGroups.on(({ object }) => changed((pod) => groupOf(pod) === keyOf(object)));
      this.#podGroups = podGroups;
      await podGroups.start(this.#signal);
      // Those of whom there is none are told so.
      changed((pod) => groupLabel in (pod.metadata.labels ?? {}));
    } catch (err) {
      if (!isNotFound(err) && !this.#signal.aborted) log.warn({ err }, 'could not read PodGroups; their pods wait');
    }
  }
}

/** What a group lacks, in words: `pod group default/train: 2 of at least 3 pods are there`. */
export const shortOf = (group: string, have: number, atLeast: number, what: string): string =>
  `pod group ${group}: ${have} of at least ${atLeast} pods ${what}`;
