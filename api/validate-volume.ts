import { equal } from '../lib/equal.ts';
import { bad, forbiddenField, immutable, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from './kinds/persistent-volume-claim.ts';
import type { PersistentVolume, PersistentVolumeSpec } from './kinds/persistent-volume.ts';
import { checkDnsSubdomain } from './names.ts';
import { compareQuantities } from './quantity.ts';
import { each, named, oneOf } from './rules.ts';
import { validateSelector } from './selector-validate.ts';

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
const volumeModes = ['Block', 'Filesystem'];

/** Members of a volume's spec that are no source. */
const common = new Set([
  'capacity',
  'accessModes',
  'claimRef',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'mountOptions',
  'volumeMode',
  'nodeAffinity',
  'volumeAttributesClassName',
]);

const sourcesOf = (spec: PersistentVolumeSpec): string[] => Object.keys(spec).filter((name) => !common.has(name));

function validateAccessModes(modes: readonly string[] | undefined, at: string): FieldError[] {
  if (!modes?.length) return [required(at, at === 'spec.accessModes' ? '' : 'at least 1 access mode is required')];
  const errors = modes.filter((mode) => !accessModes.includes(mode)).map((mode) => notSupported(at, mode, accessModes));
  if (modes.includes('ReadWriteOncePod') && modes.length > 1)
    errors.push(forbiddenField(at, 'may not use ReadWriteOncePod with other access modes'));
  return errors;
}

export function validateVolume({ spec }: PersistentVolume): FieldError[] {
  if (!spec) return [required('spec.accessModes'), required('spec.capacity')];
  const errors = validateAccessModes(spec.accessModes, 'spec.accessModes');
  const size = spec.capacity?.['storage'];
  if (!spec.capacity || Object.keys(spec.capacity).length === 0) errors.push(required('spec.capacity'));
  else if (size === undefined || Object.keys(spec.capacity).length > 1)
    errors.push(notSupported('spec.capacity', spec.capacity, ['storage']));
  else if (compareQuantities(size, '0') <= 0)
    errors.push(bad('spec.capacity[storage]', size, 'must be greater than zero'));
  errors.push(
    ...oneOf(spec.persistentVolumeReclaimPolicy, ['Delete', 'Recycle', 'Retain'], 'spec.persistentVolumeReclaimPolicy'),
    ...oneOf(spec.volumeMode, volumeModes, 'spec.volumeMode'),
    ...named(spec.storageClassName, checkDnsSubdomain, 'spec.storageClassName'),
    ...validateSource(spec),
  );
  return errors;
}

function validateSource(spec: PersistentVolumeSpec): FieldError[] {
  const [first, ...more] = sourcesOf(spec);
  if (!first) return [required('spec', 'must specify a volume type')];
  const errors = more.map((name) => forbiddenField(`spec.${name}`, 'may not specify more than 1 volume type'));
  const { hostPath, csi, local, nfs } = spec;
  if (hostPath && !hostPath.path) errors.push(required('spec.hostPath.path'));
  if (hostPath?.path?.split('/').includes('..'))
    errors.push(bad('spec.hostPath.path', hostPath.path, "must not contain '..'"));
  if (csi && !csi.driver) errors.push(required('spec.csi.driver'));
  if (csi && !csi.volumeHandle) errors.push(required('spec.csi.volumeHandle'));
  if (nfs && !nfs.server) errors.push(required('spec.nfs.server'));
  if (nfs && !nfs.path?.startsWith('/')) errors.push(bad('spec.nfs.path', nfs.path ?? '', 'must be an absolute path'));
  if (local && !local.path) errors.push(required('spec.local.path'));
  if (local && !spec.nodeAffinity?.required)
    errors.push(required('spec.nodeAffinity', 'Local volume requires node affinity'));
  return errors;
}

export function validateVolumeUpdate({ spec }: PersistentVolume, old: PersistentVolume): FieldError[] {
  const source = (of: PersistentVolumeSpec) => Object.fromEntries(sourcesOf(of).map((name) => [name, of[name]]));
  const errors: FieldError[] = [];
  if (!equal(source(spec), source(old.spec)))
    errors.push(
      forbiddenField('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'),
    );
  if (spec.volumeMode !== old.spec.volumeMode) errors.push(immutable('spec.volumeMode', spec.volumeMode));
  if (old.spec.nodeAffinity && !equal(spec.nodeAffinity, old.spec.nodeAffinity))
    errors.push(bad('spec.nodeAffinity', spec.nodeAffinity, 'field is immutable'));
  return errors;
}

export const validateClaim = ({ spec }: PersistentVolumeClaim): FieldError[] => validateClaimSpec(spec, 'spec');

/** Rules on what is asked for, wherever a claim's spec stands. */
export function validateClaimSpec(spec: PersistentVolumeClaimSpec | undefined, at: string): FieldError[] {
  if (!spec) return [required(`${at}.accessModes`)];
  const errors = validateAccessModes(spec.accessModes, `${at}.accessModes`);
  const size = spec.resources?.requests?.['storage'];
  if (spec.selector) errors.push(...validateSelector(spec.selector, `${at}.selector`));
  if (size === undefined) errors.push(required(`${at}.resources[storage]`));
  else if (compareQuantities(size, '0') <= 0)
    errors.push(bad(`${at}.resources[storage]`, size, 'must be greater than zero'));
  errors.push(
    ...oneOf(spec.volumeMode, volumeModes, `${at}.volumeMode`),
    ...named(spec.storageClassName, checkDnsSubdomain, `${at}.storageClassName`),
    ...each(spec.dataSource ? [spec.dataSource] : [], `${at}.dataSource`, ({ kind, name, apiGroup }) => [
      ...(name ? [] : [required(`${at}.dataSource.name`)]),
      ...(kind ? [] : [required(`${at}.dataSource.kind`)]),
      ...(!apiGroup && kind && kind !== 'PersistentVolumeClaim'
        ? [bad(`${at}.dataSource`, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")]
        : []),
    ]),
  );
  return errors;
}

const claimRule =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';

/** A bound claim may ask for more; what binds it is written once; everything else stays. */
export function validateClaimUpdate({ spec }: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const before = old.spec;
  const isBound = old.status?.phase === 'Bound';
  const kept: PersistentVolumeClaimSpec = { ...spec };
  if (!before.volumeName) restore(kept, before, 'volumeName');
  if (isBound) {
    restore(kept, before, 'volumeAttributesClassName');
    if (before.resources) kept.resources = { ...spec.resources, ...requestsOf(before) };
  }
  if (before.storageClassName === undefined && !before.volumeName) restore(kept, before, 'storageClassName');
  if (!equal(kept, before)) return [forbiddenField('spec', claimRule)];
  const size = spec.resources?.requests?.['storage'];
  const asked = before.resources?.requests?.['storage'];
  const least = old.status?.capacity?.['storage'] ?? asked;
  // A claim may have got more than it asked for, and goes on asking for less.
  return size !== undefined && size !== asked && least !== undefined && compareQuantities(size, least) < 0
    ? [forbiddenField('spec.resources.requests.storage', 'field can not be less than status.capacity')]
    : [];
}

const requestsOf = ({ resources }: PersistentVolumeClaimSpec) =>
  resources?.requests ? { requests: resources.requests } : {};

function restore<K extends keyof PersistentVolumeClaimSpec>(
  spec: PersistentVolumeClaimSpec,
  before: PersistentVolumeClaimSpec,
  name: K,
): void {
  if (before[name] === undefined) delete spec[name];
  else spec[name] = before[name];
}
