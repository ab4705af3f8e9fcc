import { LRUCache } from 'lru-cache';
import { type Pod, isTerminal } from '../api/kinds/pod.ts';
import type { Stored } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { Logger } from '../lib/log.ts';

type StoredPod = Pod & Stored;

/** The pod belongs to the PodGroup of this name: https://scheduler-plugins.sigs.k8s.io/docs/plugins/coscheduling/ */
const groupLabel = 'scheduling.x-k8s.io/pod-group';
/** Groups without an object, by their pods' labels alone. */
const nameLabel = 'pod-group.scheduling.sigs.k8s.io/name';
const minLabel = 'pod-group.scheduling.sigs.k8s.io/min-available';

/** Milliseconds after which a PodGroup is read again, when somebody asks about it. */
const fresh = 5_000;

/** The group of a pod as `namespace/name`; undefined where it goes alone. */
export function groupOf({ metadata: { namespace, labels = {} } }: Pod): string | undefined {
  const name = labels[groupLabel] ?? labels[nameLabel];
  return name ? `${namespace}/${name}` : undefined;
}

interface Read {
  /** In words, why it could not be read. */
  minMember: number | string;
  at: number;
}

export interface GroupsParts {
  client: Client;
  log: Logger;
  now: () => number;
  /** A PodGroup is there, or says something else: its pods may be tried. */
  changed: () => void;
}

/** Which pods are placed together or not at all, and how many they must be. */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #members = new Map<string, Map<string, StoredPod>>();
  readonly #read = new LRUCache<string, Read>({ max: 10_000 });
  readonly #reading = new Set<string>();

  constructor(parts: GroupsParts) {
    this.#parts = parts;
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
    const read = this.#read.get(group);
    if (!read || this.#parts.now() - read.at > fresh) void this.#readAgain(group);
    if (!read) return `the PodGroup ${group} was not read yet`;
    return read.minMember;
  }

  async #readAgain(group: string): Promise<void> {
    if (this.#reading.has(group)) return;
    this.#reading.add(group);
    const { client, log, now, changed } = this.#parts;
    const [namespace, name] = group.split('/');
    const path = `/apis/scheduling.x-k8s.io/v1alpha1/namespaces/${namespace}/podgroups/${name}`;
    try {
      const { spec } = await client.raw<{ spec?: { minMember?: number } }>('GET', path);
      this.#keep(group, { minMember: spec?.minMember ?? 1, at: now() }, changed);
    } catch (err) {
      if (!isNotFound(err)) log.warn({ err, group }, 'could not read a PodGroup; its pods wait');
      const why = isNotFound(err) ? `there is no PodGroup ${group}` : `the PodGroup ${group} could not be read`;
      this.#keep(group, { minMember: why, at: now() }, changed);
    } finally {
      this.#reading.delete(group);
    }
  }

  #keep(group: string, read: Read, changed: () => void): void {
    const before = this.#read.get(group);
    this.#read.set(group, read);
    if (!before || before.minMember !== read.minMember) changed();
  }
}

/** What a group lacks, in words: `pod group default/train: 2 of at least 3 pods are there`. */
export const shortOf = (group: string, have: number, atLeast: number, what: string): string =>
  `pod group ${group}: ${have} of at least ${atLeast} pods ${what}`;
