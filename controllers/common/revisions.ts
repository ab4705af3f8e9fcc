import { equal } from '../../lib/equal.ts';
import { createHash } from 'node:crypto';
import type { Deployment } from '../../api/kinds/deployment.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import type { Stored } from '../../api/meta.ts';
import type { PodTemplate } from '../../api/pod-spec-defaults.ts';

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
export const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
export const maxReplicasAnnotation = 'deployment.kubernetes.io/max-replicas';

type StoredSet = ReplicaSet & Stored;

/** Letters and digits that make no words by chance. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** Ten characters that are the same for the same template, whatever the order of its fields. */
export function templateHash(template: PodTemplate, collisions: number): string {
  const digest = createHash('sha256')
    .update(`${canonical(template)}/${collisions}`)
    .digest();
  return [...digest.subarray(0, 10)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${fields
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`)
    .join(',')}}`;
}

/** The set that has the deployment's template; the oldest where there are several. */
export function newSetOf(deployment: Deployment, sets: readonly StoredSet[]): StoredSet | undefined {
  return [...sets]
    .sort(byAge)
    .find((set) => equal(withoutHash(set.spec.template), withoutHash(deployment.spec.template)));
}

function withoutHash(template: PodTemplate): unknown {
  const { 'pod-template-hash': _, ...labels } = template.metadata?.labels ?? {};
  const { creationTimestamp: __, ...metadata } = template.metadata ?? {};
  return { ...template, metadata: { ...metadata, labels } };
}

const byAge = (a: StoredSet, b: StoredSet): number =>
  Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '') ||
  (a.metadata.name < b.metadata.name ? -1 : 1);

/** Counted in 64 bits: more than a number holds. What is no count is none. */
export function revisionOf({ metadata }: ReplicaSet): bigint {
  const text = metadata.annotations?.[revisionAnnotation] ?? '';
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}

export const nextRevision = (old: readonly StoredSet[]): bigint =>
  old.map(revisionOf).reduce((most, revision) => (revision > most ? revision : most), 0n) + 1n;

/** Old sets that nobody needs for a rollback any more. */
export function outdated(old: readonly StoredSet[], limit: number): StoredSet[] {
  const idle = old.filter(
    ({ spec, status, metadata }) =>
      spec.replicas === 0 &&
      (status?.replicas ?? 0) === 0 &&
      !metadata.deletionTimestamp &&
      status?.observedGeneration === metadata.generation,
  );
  return idle.sort((a, b) => (revisionOf(a) < revisionOf(b) ? -1 : 1)).slice(0, Math.max(0, idle.length - limit));
}
