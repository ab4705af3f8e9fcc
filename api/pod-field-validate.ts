import { bad, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import { checkQualifiedName } from './names.ts';

/** What a pod says of itself by name: fields and resources in its environment and its volumes. */

const envFields = [
  ...['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName'],
  ...['status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs'],
];
const volumeFields = [
  ...['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid'],
];
/** Fields that have a name here, but not everywhere a value. */
const fields = new Set([
  ...envFields,
  ...volumeFields,
  ...['spec.host', 'spec.restartPolicy', 'spec.schedulerName', 'status.phase'],
]);

/** Rules on a field of the pod; `metadata.labels['key']` and annotations may be asked for one by one. */
function validateFieldRef({ fieldPath }: { fieldPath?: string }, some: readonly string[], at: string): FieldError[] {
  const field = `${at}.fieldPath`;
  if (!fieldPath) return [required(field)];
  const [, whole, key] = /^([^[]*)\['(.*)'\]$/.exec(fieldPath) ?? [];
  if (key !== undefined) {
    if (whole !== 'metadata.annotations' && whole !== 'metadata.labels')
      return [bad(field, fieldPath, `error converting fieldPath: field label does not support subscript`)];
    const name = whole === 'metadata.annotations' ? key.toLowerCase() : key;
    return checkQualifiedName(name).map((detail) => bad(at, key, detail));
  }
  if (!fields.has(fieldPath))
    return [bad(field, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`)];
  return some.includes(fieldPath === 'spec.host' ? 'spec.nodeName' : fieldPath)
    ? []
    : [notSupported(field, fieldPath, some)];
}

export const validateEnvField = (ref: { fieldPath?: string }, at: string): FieldError[] =>
  validateFieldRef(ref, envFields, at);
export const validateVolumeField = (ref: { fieldPath?: string }, at: string): FieldError[] =>
  validateFieldRef(ref, volumeFields, at);

const resources = ['limits', 'requests'].flatMap((group) =>
  ['cpu', 'memory', 'ephemeral-storage'].map((name) => `${group}.${name}`),
);

/** Rules on an amount of a container, by its name such as `limits.cpu`. */
export function validateResourceField({ resource }: { resource?: string }, at: string): FieldError[] {
  const field = `${at}.resource`;
  if (!resource) return [required(field)];
  const isKnown = resources.includes(resource) || /^(limits|requests)\.hugepages-/.test(resource);
  return isKnown ? [] : [notSupported(field, resource, resources)];
}
