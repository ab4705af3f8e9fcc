import { bad, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, Volume, VolumeMount } from './kinds/pod.ts';
import { relativePath } from './pod-volume-validate.ts';
import { each, oneOf } from './rules.ts';

/** Rules on where a container finds the pod's volumes: as directories and files, or as the devices that they are. */
export function validateMounts(container: Container, volumes: readonly Volume[], at: string): FieldError[] {
  const { volumeMounts = [], volumeDevices = [] } = container;
  const paths = new Set<string>();
  const mounts = each(volumeMounts, `${at}.volumeMounts`, (mount, field) => [
    ...known(mount.name, volumes, field),
    ...place(mount.mountPath, paths, `${field}.mountPath`),
    ...(volumeDevices.some(({ name }) => name === mount.name)
      ? [bad(`${field}.name`, mount.name, 'must not already exist in volumeDevices')]
      : []),
    ...(volumeDevices.some(({ devicePath }) => devicePath === mount.mountPath)
      ? [bad(`${field}.mountPath`, mount.mountPath, 'must not already exist as a path in volumeDevices')]
      : []),
    ...part(mount, field),
    ...propagation(mount, container, `${field}.mountPropagation`),
  ]);
  return [...mounts, ...validateDevices(container, volumes, `${at}.volumeDevices`)];
}

function known(name: string, volumes: readonly Volume[], field: string): FieldError[] {
  if (!name) return [required(`${field}.name`)];
  const isThere = volumes.some((volume) => volume.name === name);
  return isThere ? [] : [{ type: 'NotFound', field: `${field}.name`, value: name, detail: '' }];
}

/** A path that is there and not twice. */
function place(path: string, seen: Set<string>, field: string): FieldError[] {
  if (!path) return [required(field)];
  if (seen.has(path)) return [bad(field, path, 'must be unique')];
  seen.add(path);
  return [];
}

const part = ({ subPath, subPathExpr }: VolumeMount, field: string): FieldError[] => [
  ...(subPath ? relativePath(subPath, `${field}.subPath`) : []),
  ...(subPathExpr && subPath
    ? [bad(`${field}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive')]
    : []),
  ...(subPathExpr ? relativePath(subPathExpr, `${field}.subPathExpr`) : []),
];

function propagation({ mountPropagation }: VolumeMount, { securityContext }: Container, field: string): FieldError[] {
  if (mountPropagation === 'Bidirectional' && !securityContext?.privileged)
    return [forbiddenField(field, 'Bidirectional mount propagation is available only to privileged containers')];
  return oneOf(mountPropagation, ['Bidirectional', 'HostToContainer', 'None'], field);
}

function validateDevices({ volumeDevices }: Container, volumes: readonly Volume[], at: string): FieldError[] {
  const [names, paths] = [new Set<string>(), new Set<string>()];
  return each(volumeDevices, at, ({ name, devicePath }, field) => {
    const volume = volumes.find((one) => one.name === name);
    const errors = [...known(name, volumes, field), ...place(devicePath, paths, `${field}.devicePath`)];
    if (name && names.has(name)) errors.push(bad(`${field}.name`, name, 'must be unique'));
    names.add(name);
    if (volume && !volume['persistentVolumeClaim'] && !volume['ephemeral'])
      errors.push(
        bad(
          `${field}.name`,
          name,
          'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        ),
      );
    if (devicePath?.split('/').includes('..'))
      errors.push(bad(`${field}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    return errors;
  });
}
