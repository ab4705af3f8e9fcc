import { mkdir, rm } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import type { Container, Pod, Volume, VolumeMount } from '../api/kinds/pod.ts';
import { StatusError } from '../api/status.ts';
import { ConfigError, expand } from './env.ts';
import type { BlockDevice, ContainerSpec, PullPolicy } from './runtime.ts';
import { containerDevices } from './volumes/block.ts';
import { ephemeral, persistentVolumeClaim } from './volumes/claim.ts';
import { configMap } from './volumes/config-map.ts';
import { inlineCsi } from './volumes/csi.ts';
import { downwardApi } from './volumes/downward-api.ts';
import { emptyDir } from './volumes/empty-dir.ts';
import { hostPath } from './volumes/host-path.ts';
import { image } from './volumes/image.ts';
import { unmount } from './volumes/mounts.ts';
import { nfs } from './volumes/nfs.ts';
import { projected } from './volumes/projected.ts';
import { secret } from './volumes/secret.ts';
import { subPathMount } from './volumes/sub-path.ts';
import { VolumeError, type VolumeFacts, type VolumeType } from './volumes/volume.ts';

/** Every volume type there is. */
const types: readonly VolumeType[] = [
  ...[emptyDir, hostPath, configMap, secret, downwardApi, projected],
  ...[persistentVolumeClaim, ephemeral, inlineCsi, nfs, image],
];

/** Makes a pod's volumes ready: volume name → where it is on this machine. Throws VolumeError; may be called again. */
export async function prepareVolumes(pod: Pod, directory: string, facts: VolumeFacts): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  // Nobody else on this machine may look into the volumes; containers reach them by mounts.
  await mkdir(directory, { recursive: true, mode: 0o750 });
  for (const volume of pod.spec.volumes ?? []) {
    const type = typeOf(volume);
    try {
      paths.set(volume.name, await type.prepare(volume, { pod, path: placeOf(directory, type, volume.name), facts }));
    } catch (error) {
      // What the apiserver refuses is for the user to see too.
      if (
        error instanceof VolumeError ||
        error instanceof StatusError ||
        error instanceof ConfigError ||
        isOfDisk(error)
      )
        throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${(error as Error).message}`, {
          cause: error,
        });
      throw error;
    }
  }
  return paths;
}

/** The disk is full, broken or may not be written. */
const isOfDisk = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Removes all that the pod's volumes left; what belongs to the machine stays. */
export async function removeVolumes(pod: Pod, directory: string): Promise<void> {
  for (const volume of pod.spec.volumes ?? []) {
    const type = types.find(({ source }) => volume[source] !== undefined);
    if (type?.remove) await type.remove(placeOf(directory, type, volume.name));
  }
  // Nothing but ours may be removed: what is mounted goes first.
  await unmount(directory);
  await rm(directory, { recursive: true, force: true });
}

/** An image that a container mounts: which one, how it is had, and where. */
export interface ImageMount extends Omit<ContainerSpec['images'][number], 'id'> {
  reference: string;
  policy: PullPolicy;
}

/** A container's mounts of images; all others are those of `containerMounts`. */
export function imageMounts(pod: Pod, container: Container, env: ReadonlyMap<string, string>): ImageMount[] {
  const images = imageVolumes(pod);
  return (container.volumeMounts ?? []).flatMap((mount) => {
    const image = images.get(mount.name);
    if (!image) return [];
    const { reference = '', pullPolicy: policy = 'IfNotPresent' } = image;
    return [{ reference, policy, containerPath: mountPathOf(mount), subPath: subPathOf(mount, env) ?? '' }];
  });
}

/**
 * A container's mounts on paths of this machine; `directory` is that of the pod's volumes, undefined where nothing is gained
 * by binding because containers may go anywhere. Throws VolumeError for a subPath that leaves its volume, and for a mount that
 * cannot be had.
 */
export async function containerMounts(
  pod: Pod,
  container: Container,
  volumes: ReadonlyMap<string, string>,
  env: ReadonlyMap<string, string>,
  directory: string | undefined,
): Promise<ContainerSpec['mounts']> {
  const readOnly = readOnlyVolumes(pod);
  const made = madeVolumes(pod);
  const images = imageVolumes(pod);
  container.volumeMounts?.forEach(checkRecursion);
  const mounts = (container.volumeMounts ?? []).filter(({ name }) => !images.has(name));
  return Promise.all(
    mounts.map(async (mount, i) => {
      const root = volumes.get(mount.name);
      if (root === undefined)
        throw new VolumeError(`volume "${mount.name}" of container "${container.name}" is not defined`);
      const subPath = subPathOf(mount, env);
      const place = directory && join(directory, 'subpaths', mount.name, container.name, String(i));
      return {
        hostPath: subPath ? await subPathMount(root, subPath, place) : root,
        containerPath: mountPathOf(mount),
        readOnly: mount.readOnly || readOnly.has(mount.name),
        ...(made.has(mount.name) ? { isOwn: true } : {}),
        ...(mount.mountPropagation && mount.mountPropagation !== 'None' ? { propagation: mount.mountPropagation } : {}),
      };
    }),
  );
}

/** Runtimes make one mount read-only; those below it stay as they are. */
function checkRecursion({
  name,
  readOnly,
  recursiveReadOnly = 'Disabled',
  mountPropagation = 'None',
}: VolumeMount): void {
  if (recursiveReadOnly === 'Disabled') return;
  const refuse = (why: string) => new VolumeError(`volume "${name}" requested recursive read-only mode, but ${why}`);
  if (!readOnly) throw refuse('it is not read-only');
  if (mountPropagation !== 'None') throw refuse(`it is not compatible with propagation "${mountPropagation}"`);
  if (recursiveReadOnly === 'Enabled')
    throw refuse(
      'this node cannot provide it yet; with IfPossible the volume is read-only, but not what is mounted below it',
    );
}

const imageVolumes = ({ spec }: Pod): Map<string, NonNullable<Volume['image']>> =>
  new Map((spec.volumes ?? []).flatMap(({ name, image }) => (image ? [[name, image]] : [])));

const mountPathOf = ({ mountPath }: VolumeMount): string => normalize(mountPath).replace(/(.)\/$/, '$1');

const subPathOf = ({ subPath, subPathExpr }: VolumeMount, env: ReadonlyMap<string, string>): string | undefined =>
  subPathExpr ? expand(subPathExpr, (name) => env.get(name)) : subPath;

/** The block devices that a container sees, as `containerMounts` does its file systems. */
export const devicesOf = (pod: Pod, container: Container, volumes: ReadonlyMap<string, string>): BlockDevice[] =>
  containerDevices(container, volumes, readOnlyVolumes(pod));

/** What is there for this pod alone; the others may have labels of somebody else. */
const madeVolumes = ({ spec }: Pod): Set<string> =>
  new Set((spec.volumes ?? []).filter((volume) => own.has(typeOf(volume).source)).map(({ name }) => name));
const own = new Set(['emptyDir', 'configMap', 'secret', 'downwardAPI', 'projected']);

const readOnlyVolumes = ({ spec }: Pod): Set<string> =>
  new Set((spec.volumes ?? []).filter((volume) => typeOf(volume).isReadOnly?.(volume)).map(({ name }) => name));

function typeOf(volume: Volume): VolumeType {
  const type = types.find(({ source }) => volume[source] !== undefined);
  if (type) return type;
  const sources = Object.keys(volume).filter((key) => key !== 'name');
  if (sources.length === 0) return emptyDir; // a volume without a source is an emptyDir
  throw new VolumeError(`volume "${volume.name}" is a ${sources.join()}, which this node cannot provide yet`);
}

const placeOf = (directory: string, type: VolumeType, name: string): string =>
  join(directory, 'volumes', type.source, name);
