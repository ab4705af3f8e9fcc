/**
 * Reservations and persistent volumes: what an operation makes of resources. Pure, and the same for the offers of an
 * ACCEPT, for the master's books and for the agent.
 */
import type { OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { printResources } from './resource-text.ts';
import { add, contains, subtract } from './resources.ts';

/** One step of an operation: these resources become those. */
interface Conversion {
  consumed: Resource[];
  converted: Resource[];
}

/** Those that change resources on the agent; the others start something. */
export const changesResources = ({ type }: OfferOperation): boolean =>
  ['RESERVE', 'UNRESERVE', 'CREATE', 'DESTROY', 'GROW_VOLUME', 'SHRINK_VOLUME'].includes(type ?? '');

/** The resources afterwards; or why they cannot be what the operation wants, in Mesos' words. */
export function applyOperation(
  resources: readonly Resource[],
  operation: OfferOperation,
): { resources: Resource[] } | { error: string } {
  let left = add([], resources);
  for (const { consumed, converted } of conversionsOf(operation)) {
    if (!contains(left, consumed)) {
      const isResize = operation.type === 'GROW_VOLUME' || operation.type === 'SHRINK_VOLUME';
      const missing = `${printResources(left)} does not contain ${printResources(consumed)}`;
      return { error: isResize ? `Invalid ${operation.type} operation: ${missing}` : missing };
    }
    left = add(subtract(left, consumed), converted);
  }
  return { resources: left };
}

/** All that an operation needs to be there. */
export const consumedBy = (operation: OfferOperation): Resource[] =>
  add(
    [],
    conversionsOf(operation).flatMap(({ consumed }) => consumed),
  );

function conversionsOf({
  reserve,
  unreserve,
  create,
  destroy,
  grow_volume,
  shrink_volume,
}: OfferOperation): Conversion[] {
  if (reserve)
    return reserve.source?.length
      ? [{ consumed: reserve.source, converted: reserve.resources ?? [] }]
      : (reserve.resources ?? []).map((one) => ({ consumed: [popReservation(one)], converted: [one] }));
  if (unreserve)
    return (unreserve.resources ?? []).map((one) => ({ consumed: [one], converted: [popReservation(one)] }));
  if (create) return (create.volumes ?? []).map((one) => ({ consumed: [stripVolume(one)], converted: [one] }));
  if (destroy) return (destroy.volumes ?? []).map((one) => ({ consumed: [one], converted: [stripVolume(one)] }));
  if (grow_volume) {
    const { volume, addition } = grow_volume;
    return [{ consumed: [volume, addition], converted: [sized(volume, sizeOf(volume) + sizeOf(addition))] }];
  }
  if (shrink_volume) {
    const { volume, subtract: less } = shrink_volume;
    const rest = sized(volume, sizeOf(volume) - less.value);
    return [{ consumed: [volume], converted: [rest, sized(stripVolume(volume), less.value)] }];
  }
  return [];
}

const sizeOf = (resource: Resource): number => resource.scalar?.value ?? 0;
const sized = (resource: Resource, value: number): Resource => ({ ...resource, scalar: { value } });

function popReservation({ reservations = [], ...resource }: Resource): Resource {
  const rest = reservations.slice(0, -1);
  return rest.length > 0 ? { ...resource, reservations: rest } : resource;
}

/** The disk that a volume lies on. */
export function stripVolume({ disk, ...resource }: Resource): Resource {
  return disk?.source ? { ...resource, disk: { source: disk.source } } : resource;
}

/** The operation with other resources in it. */
export function mapResources(operation: OfferOperation, change: (resource: Resource) => Resource): OfferOperation {
  const { reserve, unreserve, create, destroy, grow_volume, shrink_volume, ...rest } = operation;
  const all = (list: readonly Resource[] | undefined) => (list ?? []).map(change);
  return {
    ...rest,
    ...(reserve
      ? {
          reserve: {
            resources: all(reserve.resources),
            ...(reserve.source?.length ? { source: all(reserve.source) } : {}),
          },
        }
      : {}),
    ...(unreserve ? { unreserve: { resources: all(unreserve.resources) } } : {}),
    ...(create ? { create: { volumes: all(create.volumes) } } : {}),
    ...(destroy ? { destroy: { volumes: all(destroy.volumes) } } : {}),
    ...(grow_volume
      ? { grow_volume: { volume: change(grow_volume.volume), addition: change(grow_volume.addition) } }
      : {}),
    ...(shrink_volume ? { shrink_volume: { ...shrink_volume, volume: change(shrink_volume.volume) } } : {}),
  };
}
