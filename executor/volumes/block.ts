import { realpath, stat } from 'node:fs/promises';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import type { BlockDevice } from '../runtime.ts';
import { VolumeError } from './volume.ts';

export const isBlock = ({ spec }: PersistentVolume): boolean => spec.volumeMode === 'Block';

/** The device of this machine that a path leads to. Throws VolumeError where there is none. */
export async function deviceAt(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new VolumeError(`path "${path}" does not exist`);
  if (!found.isBlockDevice())
    throw new VolumeError(`path "${path}" is no block device, but its volume has the mode Block`);
  return realpath(path);
}

/** A device is named in volumeDevices, a file system in volumeMounts: never the other way round. Throws VolumeError. */
export function checkUse({ spec }: Pod, volume: string, isDevice: boolean): void {
  for (const { name, volumeMounts = [], volumeDevices = [] } of [...spec.containers, ...(spec.initContainers ?? [])]) {
    if (isDevice && volumeMounts.some((mount) => mount.name === volume))
      throw new VolumeError(
        `volume "${volume}" has the mode Block, but container "${name}" has it in volumeMounts: name it in volumeDevices`,
      );
    if (!isDevice && volumeDevices.some((device) => device.name === volume))
      throw new VolumeError(
        `volume "${volume}" has the mode Filesystem, but container "${name}" has it in volumeDevices: name it in volumeMounts`,
      );
  }
}

/** What a container sees of the devices of its pod. Throws VolumeError. */
export function containerDevices(
  container: Container,
  volumes: ReadonlyMap<string, string>,
  readOnly: ReadonlySet<string>,
): BlockDevice[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const hostPath = volumes.get(name);
    if (hostPath === undefined)
      throw new VolumeError(`volume "${name}" of container "${container.name}" is not defined`);
    return { hostPath, containerPath: devicePath, readOnly: readOnly.has(name) };
  });
}
