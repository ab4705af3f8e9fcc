import { prefix } from '../api/kinds/names.ts';
import type { OfferOperation } from '../mesos/offers.ts';
import type { Label, Resource } from '../mesos/types.ts';
import { parseTaskId, taskIdOf } from './tasks.ts';

/**
 * Disk that Mesos keeps for a claim: reserved with labels that name the claim, with a persistent volume on it.
 *
 *   made:      RESERVE disk ─▶ CREATE volume ─▶ LAUNCH        in one ACCEPT
 *   let go:    DESTROY volume ─▶ UNRESERVE disk               of what no PersistentVolume names
 */
export interface VolumeWant {
  /** Persistence id: `<cluster>.<claim uid>.<pod uid>.<attempt>`, so that what a failed launch leaves is told apart. */
  id: string;
  claimUid: string;
  /** Thousandths of a megabyte. */
  size: number;
  /** Whether there is such a volume; else it is made. */
  isMade: boolean;
  labels: Label[];
  principal: string | undefined;
}

/** Whose it is: the uid of the namespace kube-system, so that a new cluster touches nothing of an old one of its name. */
export const clusterLabel = `${prefix}cluster`;
export const claimLabel = `${prefix}claim`;

export const persistenceId = (cluster: string, claimUid: string, taskId: string): string => {
  const { uid = '', attempt = 0 } = parseTaskId(taskId) ?? {};
  return `${cluster}.${claimUid}.${uid}.${attempt}`;
};

/** The id of the task that made the volume; undefined for a volume that is not of this cluster. */
export function makerOf(cluster: string, persistenceId: string): string | undefined {
  const [, owner, pod, attempt] = /^([^.]+)\.[^.]+\.([^.]+)\.(\d+)$/.exec(persistenceId) ?? [];
  return owner === cluster && pod !== undefined ? taskIdOf(pod, Number(attempt)) : undefined;
}

const isDynamic = ({ reservations }: Resource): boolean => reservations?.at(-1)?.type === 'DYNAMIC';

/** The volume that is to be made of some disk, and how. Disk that is reserved for the role already needs no reservation. */
export function volumeOn(
  disk: Resource,
  { id, labels, principal }: VolumeWant,
): { volume: Resource; operations: OfferOperation[] } {
  const by = principal === undefined ? {} : { principal };
  const role = disk.allocation_info?.role ?? '*';
  const isReserved = (disk.reservations?.length ?? 0) > 0;
  const reservation = { type: 'DYNAMIC' as const, role, labels: { labels }, ...by };
  const reserved = isReserved ? disk : { ...disk, reservations: [reservation] };
  // One name without slashes: the only path that every isolator of Mesos brings into a sandbox.
  const volume = { container_path: id, mode: 'RW' as const };
  const made = { ...reserved, disk: { persistence: { id, ...by }, volume } };
  const create: OfferOperation = { type: 'CREATE', create: { volumes: [made] } };
  return {
    volume: made,
    operations: isReserved ? [create] : [{ type: 'RESERVE', reserve: { resources: [reserved] } }, create],
  };
}

const labelOf = ({ reservations }: Resource, key: string): string | undefined =>
  reservations?.at(-1)?.labels?.labels?.find((label) => label.key === key)?.value;

/** Set aside for a claim: no pod may use it for anything else. */
export const isForClaim = (resource: Resource): boolean => labelOf(resource, clusterLabel) !== undefined;

const plainDisk = ({ disk: _volume, ...rest }: Resource): Resource => rest;

/** What lets go of everything among the resources that this cluster made and nobody owns; empty when there is nothing. */
export function releaseOf(
  resources: readonly Resource[],
  cluster: string,
  isOwned: (persistenceId: string) => boolean,
): OfferOperation[] {
  const isOurs = (resource: Resource) => labelOf(resource, clusterLabel) === cluster;
  const volumes = resources.filter(({ disk }) => {
    const id = disk?.persistence?.id;
    return id !== undefined && makerOf(cluster, id) !== undefined && !isOwned(id);
  });
  const bare = resources.filter((resource) => isOurs(resource) && isDynamic(resource) && !resource.disk?.persistence);
  const unreserved = [...volumes.filter(isOurs).map(plainDisk), ...bare];
  return [
    ...(volumes.length > 0 ? [{ type: 'DESTROY' as const, destroy: { volumes } }] : []),
    ...unreserved.map((resource) => ({ type: 'UNRESERVE' as const, unreserve: { resources: [resource] } })),
  ];
}

/** Under this name a policy sees a volume that is offered: there is one of it, or none. */
export const volumeResource = (persistenceId: string): string => `volume ${persistenceId}`;
