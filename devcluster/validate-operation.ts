/** Which operations on resources the master refuses, in its words and in the order of its checks. */
import type { OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { printResource } from './resource-text.ts';
import { contains, reservedRole, unallocate } from './resources.ts';
import { idError, isWithin, roleError } from './roles.ts';
import { resourceError } from './validate-task.ts';

/** What an operation is judged against. */
export interface Ground {
  /** All that the agent has, without allocation_info. */
  total: readonly Resource[];
  /** What runs there holds. */
  used: readonly Resource[];
  /** Of the framework that asks; undefined for an operator. */
  roles: readonly string[] | undefined;
}

export function operationError(operation: OfferOperation, ground: Ground): string | undefined {
  const { reserve, unreserve, create, destroy, grow_volume, shrink_volume } = operation;
  if (reserve) return reserveError(reserve.resources ?? [], ground);
  if (unreserve) return unreserveError(unreserve.resources ?? []);
  if (create) return createError(create.volumes ?? [], ground);
  if (destroy) return destroyError(unallocate(destroy.volumes ?? []), ground);
  if (grow_volume) {
    const { volume, addition } = grow_volume;
    if ((addition.scalar?.value ?? 0) <= 0) return "The size of 'GrowVolume.addition' field must be greater than zero";
    return inField("'GrowVolume.volume'", volumeError([volume]));
  }
  if (shrink_volume) {
    const { volume, subtract } = shrink_volume;
    if (subtract.value <= 0) return "Value of 'ShrinkVolume.subtract' must be greater than zero";
    if ((volume.scalar?.value ?? 0) <= subtract.value)
      return "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'";
    return inField("'ShrinkVolume.volume'", volumeError([volume]));
  }
  return undefined;
}

const inField = (field: string, error: string | undefined): string | undefined =>
  error === undefined ? undefined : `Invalid persistent volume in the ${field} field: ${error}`;

const isDynamic = ({ reservations }: Resource): boolean => reservations?.at(-1)?.type === 'DYNAMIC';

function reserveError(resources: readonly Resource[], { roles }: Ground): string | undefined {
  const invalid = resourcesError(resources);
  if (invalid !== undefined) return invalid;
  for (const resource of resources) {
    const error = isDynamic(resource)
      ? whoseError(resource, roles)
      : `Resource ${printResource(resource)} is not dynamically reserved`;
    if (error !== undefined) return error;
  }
  return undefined;
}

/** A framework reserves what it was offered for the role that it was offered to; an operator what nobody was offered. */
function whoseError(resource: Resource, roles: readonly string[] | undefined): string | undefined {
  const role = reservedRole(resource);
  const allocated = resource.allocation_info?.role;
  if (!roles)
    return allocated === undefined
      ? undefined
      : 'A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources';
  if (allocated === role) return undefined;
  return `A reserve operation was attempted for a resource with role '${role}', but the resource was allocated to role '${allocated ?? ''}'`;
}

function unreserveError(resources: readonly Resource[]): string | undefined {
  const invalid = resourcesError(resources);
  if (invalid !== undefined) return invalid;
  for (const resource of resources) {
    if (!isDynamic(resource)) return `Resource ${printResource(resource)} is not dynamically reserved`;
    if (resource.disk?.persistence)
      return `A dynamically reserved persistent volume ${printResource(resource)} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource`;
  }
  return undefined;
}

function createError(volumes: readonly Resource[], { total }: Ground): string | undefined {
  const invalid = resourcesError(volumes) ?? persistentError(volumes);
  if (invalid !== undefined) return invalid;
  const known = new Set(total.filter(({ disk }) => disk?.persistence).map(volumeKey));
  for (const volume of volumes) {
    if (known.has(volumeKey(volume))) return `Persistence ID '${volume.disk!.persistence!.id}' is not unique`;
    known.add(volumeKey(volume));
  }
  return undefined;
}

const volumeKey = (volume: Resource): string => `${reservedRole(volume)} ${volume.disk!.persistence!.id}`;

function destroyError(volumes: readonly Resource[], { total, used }: Ground): string | undefined {
  const invalid = resourcesError(volumes) ?? persistentError(volumes);
  if (invalid !== undefined) return invalid;
  if (!contains(total, volumes)) return 'Persistent volumes not found';
  return volumes.some((volume) => contains(unallocate(used), [volume])) ? 'Persistent volumes in use' : undefined;
}

const persistentError = (volumes: readonly Resource[]): string | undefined => {
  const error = volumeError(volumes);
  return error === undefined ? undefined : `Not a persistent volume: ${error}`;
};

function volumeError(volumes: readonly Resource[]): string | undefined {
  for (const volume of volumes) {
    if (!volume.disk) return `Resource ${printResource(volume)} does not have DiskInfo`;
    if (!volume.disk.persistence) return "'persistence' is not set in DiskInfo";
    if (!volume.disk.volume) return "Expecting 'volume' to be set for persistent volume";
    if (volume.disk.volume.mode === 'RO') return 'Read-only persistent volume not supported';
  }
  return undefined;
}

function resourcesError(resources: readonly Resource[]): string | undefined {
  for (const resource of resources) {
    const invalid = resourceError(resource) ?? reservationsError(resource);
    if (invalid !== undefined)
      return `Invalid resources: Invalid resources: Resource '${printResource(resource)}' is invalid: ${invalid}`;
    const disk = diskError(resource);
    if (disk !== undefined) return `Invalid resources: Invalid DiskInfo: ${disk}`;
  }
  return undefined;
}

function reservationsError({ reservations = [] }: Resource): string | undefined {
  let above: string | undefined;
  for (const { role, type } of reservations) {
    if (type === undefined) return "Invalid reservation: 'Resource.ReservationInfo.type' field must be set.";
    if (role === undefined) return "Invalid reservation: 'Resource.ReservationInfo.role' field must be set.";
    const invalid = roleError(role);
    if (invalid !== undefined) return invalid;
    if (role === '*') return 'Invalid reservation: role "*" cannot be reserved';
    if (above !== undefined && type === 'STATIC')
      return 'Invalid refined reservation: A refined reservation cannot be STATIC';
    if (above !== undefined && (role === above || !isWithin(role, above)))
      return `Invalid refined reservation: role '${role}' is not a refinement of '${above}'`;
    above = role;
  }
  return undefined;
}

function diskError({ disk, reservations = [] }: Resource): string | undefined {
  if (!disk) return undefined;
  if (!disk.persistence) return disk.volume ? 'Non-persistent volume not supported' : undefined;
  if (reservations.length === 0) return 'Persistent volumes cannot be created from unreserved resources';
  if (!disk.volume) return "Expecting 'volume' to be set for persistent volume";
  if (disk.volume.host_path !== undefined) return "Expecting 'host_path' to be unset for persistent volume";
  const invalid = idError(disk.persistence.id);
  return invalid === undefined ? undefined : `Invalid persistence ID for persistent volume: ${invalid}`;
}
