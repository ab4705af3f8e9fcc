import type { Container, Pod } from '../api/kinds/pod.ts';
import { formatBytes, quantity } from '../api/quantity.ts';
import { isStatic } from './static-pod.ts';
import { containersOf } from './containers.ts';
import type { DiskUse } from './pod-disk.ts';

export type Scarce = 'memory' | 'ephemeral-storage' | 'pids';

/** A pod and what it uses of what is short; bytes, or processes. */
export interface Candidate {
  pod: Pod;
  used: number;
}

const systemPriority = 2_000_000_000;

/** Pods of the system, and of the machine itself, are never ended for others, and run where it is short of something. */
export const isCritical = (pod: Pod): boolean => isStatic(pod) || (pod.spec.priority ?? 0) >= systemPriority;

/** What a pod asked for; of processes nobody asks for any. */
export const requestOf = ({ spec }: Pod, what: Scarce): number =>
  spec.containers.reduce((sum, { resources }) => sum + quantity(resources?.requests?.[what] ?? '0'), 0);

/**
 * Which pod ends when something is short: one that uses more than it asked for before one that does not, then the lower
 * priority, then the one that is further above its request. https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
 */
export function victim(candidates: readonly Candidate[], what: Scarce): Candidate | undefined {
  const ranked = candidates
    .filter(({ pod, used }) => !isCritical(pod) && used > 0)
    .map((candidate) => ({ candidate, above: candidate.used - requestOf(candidate.pod, what) }))
    .sort(
      (a, b) =>
        Number(b.above > 0) - Number(a.above > 0) ||
        (a.candidate.pod.spec.priority ?? 0) - (b.candidate.pod.spec.priority ?? 0) ||
        b.above - a.above,
    );
  return ranked[0]?.candidate;
}

/** What the user reads of it. */
export function shortageWords({ pod, used }: Candidate, what: Scarce): string {
  const low = `The node was low on resource: ${what}. `;
  if (what === 'pids') return `${low}The pod had ${used} processes. `;
  const requested = requestOf(pod, what);
  const more = used > requested ? `, has larger consumption of ${what}` : '';
  return `${low}The pod was using ${formatBytes(used)}, request is ${formatBytes(requested)}${more}. `;
}

/** A volume, a container or a pod that has outgrown its limit, as words for the user; undefined while none has. */
export function overLimit(pod: Pod, { volumes, containers, total }: DiskUse): string | undefined {
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    const limit = emptyDir?.sizeLimit;
    if (limit && (volumes.get(name) ?? 0) > quantity(limit))
      return `Usage of EmptyDir volume "${name}" exceeds the limit "${limit}". `;
  }
  const limits = new Map(containersOf(pod).flatMap(({ name, resources }) => limitOf(name, resources)));
  const ofPod = pod.spec.containers.reduce((sum, { name }) => sum + (limits.get(name) ?? 0), 0);
  if (ofPod > 0 && total > ofPod)
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${formatBytes(ofPod)}. `;
  for (const [name, limit] of limits)
    if ((containers.get(name) ?? 0) > limit)
      return `Container ${name} exceeded its local ephemeral storage limit "${formatBytes(limit)}". `;
  return undefined;
}

function limitOf(name: string, resources: Container['resources']): [name: string, limit: number][] {
  const limit = resources?.limits?.['ephemeral-storage'];
  return limit === undefined ? [] : [[name, quantity(limit)]];
}

/** Whether it is worth to measure what a pod keeps on disk. */
export const hasDiskLimit = (pod: Pod): boolean =>
  (pod.spec.volumes ?? []).some(({ emptyDir }) => emptyDir?.sizeLimit) ||
  containersOf(pod).some(({ resources }) => resources?.limits?.['ephemeral-storage']);
