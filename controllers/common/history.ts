import type { Kind } from '../../api/kind.ts';
import { ControllerRevision } from '../../api/kinds/controller-revision.ts';
import { type KubeObject, type LabelSelector, type Stored } from '../../api/meta.ts';
import type { PodTemplate } from '../../api/pod-spec-defaults.ts';
import { isAlreadyExists, isNotFound } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';
import { equal } from '../../lib/equal.ts';
import { controllerReference } from './ownership.ts';
import { templateHash } from './revisions.ts';

export type StoredRevision = ControllerRevision & Stored;

/** What keeps its templates as ControllerRevisions: StatefulSets and DaemonSets. */
interface Revised extends KubeObject {
  spec: { selector: LabelSelector; template: PodTemplate; revisionHistoryLimit?: number };
  status?: { collisionCount?: number };
}

export interface History {
  /** The revision of the template as it is now. */
  update: StoredRevision;
  /** All, `update` among them, oldest first. */
  all: StoredRevision[];
  collisionCount: number;
}

export const revisionLabel = 'controller-revision-hash';

/**
 * A template as kubectl applies it when it rolls back: a strategic merge patch that replaces the whole of it. Members are
 * in order of their names, and the template has the time without a value that Go gives it, so that clients who compare
 * the text of revisions find the one that they look for.
 */
function dataOf({ spec }: Revised): unknown {
  const { metadata, ...template } = plain(spec.template);
  return inNameOrder({
    spec: { template: { ...template, metadata: { ...metadata, creationTimestamp: null }, $patch: 'replace' } },
  });
}

const plain = ({ metadata = {}, ...template }: PodTemplate): PodTemplate => {
  const { creationTimestamp: _, ...rest } = metadata;
  return { ...template, metadata: rest };
};

function inNameOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inNameOrder);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, inNameOrder(member)]));
}

export const templateOf = ({ data }: ControllerRevision): PodTemplate => {
  const { $patch: _, ...template } = (data as { spec: { template: PodTemplate & { $patch?: string } } }).spec.template;
  return plain(template);
};

/** Makes sure that the owner's template has a revision, the newest of all. */
export async function keepHistory<O extends Revised>(
  client: Client,
  kind: Kind<O>,
  owner: O & Stored,
  known: readonly StoredRevision[],
  signal: AbortSignal,
): Promise<History> {
  const all = inOrder(known);
  const collisionCount = owner.status?.collisionCount ?? 0;
  const template = plain(owner.spec.template);
  const next = (all.at(-1)?.revision ?? 0) + 1;
  const same = all.findLast((revision) => equal(templateOf(revision), template));
  if (same && same === all.at(-1)) return { update: same, all, collisionCount };
  if (same) {
    const { resourceVersion } = same.metadata;
    const patch = { metadata: { resourceVersion }, revision: next };
    const update = await client.patch(ControllerRevision, same.metadata, patch, {}, signal);
    return { update, all: [...all.filter((revision) => revision !== same), update], collisionCount };
  }
  const made = await create(client, kind, owner, { revision: next, collisions: collisionCount }, signal);
  return { update: made.update, all: [...all, made.update], collisionCount: made.collisions };
}

/** Another template may have the same hash: then this one takes the next. */
async function create<O extends Revised>(
  client: Client,
  kind: Kind<O>,
  owner: O & Stored,
  { revision, collisions }: { revision: number; collisions: number },
  signal: AbortSignal,
): Promise<{ update: StoredRevision; collisions: number }> {
  const data = dataOf(owner);
  for (;;) {
    const hash = templateHash(owner.spec.template, collisions);
    const metadata = {
      name: `${owner.metadata.name}-${hash}`,
      namespace: owner.metadata.namespace!,
      labels: { ...owner.spec.template.metadata?.labels, [revisionLabel]: hash, 'controller.kubernetes.io/hash': hash },
      ownerReferences: [controllerReference(kind, owner)],
    };
    try {
      return { update: await client.create(ControllerRevision, { metadata, data, revision }, {}, signal), collisions };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const existing = await client.get(ControllerRevision, metadata, signal);
      if (equal(templateOf(existing), plain(owner.spec.template))) return { update: existing, collisions };
      collisions += 1;
    }
  }
}

/** Deletes the oldest of those that no pod has any more, until only `limit` of them are left. */
export async function forgetHistory(
  client: Client,
  all: readonly StoredRevision[],
  inUse: (revision: StoredRevision) => boolean,
  limit: number,
  signal: AbortSignal,
): Promise<void> {
  const idle = all.filter((revision) => !inUse(revision));
  for (const { metadata } of idle.slice(0, Math.max(0, idle.length - limit)))
    await client.delete(ControllerRevision, metadata, {}, signal).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
}

const inOrder = (revisions: readonly StoredRevision[]): StoredRevision[] =>
  [...revisions].sort(
    (a, b) =>
      a.revision - b.revision ||
      Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '') ||
      (a.metadata.name < b.metadata.name ? -1 : 1),
  );
