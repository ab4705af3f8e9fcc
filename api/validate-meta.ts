import { bad, forbiddenField, immutable, required, tooLong } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { ObjectMeta } from './meta.ts';
import { checkDnsSubdomain, checkLabelValue, checkQualifiedName } from './names.ts';

const annotationBytes = 256 * 1024;

/** Rules on metadata that hold for every kind; `checkName` is the kind's own rule for names. */
export function validateMeta(
  meta: ObjectMeta,
  namespaced: boolean,
  checkName: (name: string) => string[] = checkDnsSubdomain,
): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.generateName) {
    // The server cuts the prefix before it adds a suffix, so only its characters matter.
    const probe = meta.generateName.endsWith('-') ? `${meta.generateName}a` : meta.generateName;
    for (const detail of checkName(probe)) errors.push(bad('metadata.generateName', meta.generateName, detail));
  }
  if (!meta.name) errors.push(required('metadata.name', 'name or generateName is required'));
  else for (const detail of checkName(meta.name)) errors.push(bad('metadata.name', meta.name, detail));
  if (namespaced && !meta.namespace) errors.push(required('metadata.namespace'));
  if (!namespaced && meta.namespace) errors.push(forbiddenField('metadata.namespace', 'not allowed on this type'));
  errors.push(
    ...validateLabels(meta.labels, 'metadata.labels'),
    ...validateAnnotations(meta.annotations, 'metadata.annotations'),
  );
  errors.push(...validateFinalizers(meta.finalizers), ...validateOwners(meta));
  return errors;
}

export function validateLabels(labels: Record<string, string> | undefined, field: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...checkQualifiedName(key).map((detail) => bad(field, key, detail)),
    ...checkLabelValue(value).map((detail) => bad(field, value, detail)),
  ]);
}

/** The metadata of a pod template: it names no object, so labels and annotations are all of it. */
export const validateTemplateMeta = ({ metadata }: { metadata?: ObjectMeta }, at: string): FieldError[] => [
  ...validateLabels(metadata?.labels, `${at}.labels`),
  ...validateAnnotations(metadata?.annotations, `${at}.annotations`),
];

function validateAnnotations(annotations: Record<string, string> | undefined, field: string): FieldError[] {
  let size = 0;
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(annotations ?? {})) {
    size += key.length + value.length;
    for (const detail of checkQualifiedName(key.toLowerCase())) errors.push(bad(field, key, detail));
  }
  if (size > annotationBytes) errors.push(tooLong(field, annotationBytes));
  return errors;
}

/** Finalizers of the core kinds carry a domain, or are one of Kubernetes' own; other groups only need qualified names. */
export const validateCoreFinalizers = (finalizers: readonly string[] | undefined): FieldError[] =>
  (finalizers ?? []).flatMap((finalizer, i) =>
    finalizer.includes('/') || ['orphan', 'foregroundDeletion', 'kubernetes'].includes(finalizer)
      ? []
      : [
          bad(
            `metadata.finalizers[${i}]`,
            finalizer,
            'name is neither a standard finalizer name nor is it fully qualified',
          ),
        ],
  );

function validateFinalizers(finalizers: readonly string[] | undefined): FieldError[] {
  return (finalizers ?? []).flatMap((finalizer) =>
    checkQualifiedName(finalizer).map((detail) => bad('metadata.finalizers', finalizer, detail)),
  );
}

function validateOwners({ ownerReferences = [] }: ObjectMeta): FieldError[] {
  const field = 'metadata.ownerReferences';
  const errors: FieldError[] = ownerReferences.flatMap((owner, i) => [
    ...(owner.apiVersion ? [] : [bad(`${field}[${i}].apiVersion`, '', 'version must not be empty')]),
    ...(owner.kind ? [] : [bad(`${field}[${i}].kind`, '', 'must not be empty')]),
    ...(owner.name ? [] : [bad(`${field}[${i}].name`, '', 'must not be empty')]),
    ...(owner.uid ? [] : [bad(`${field}[${i}].uid`, '', 'must not be empty')]),
  ]);
  const controllers = ownerReferences.filter((owner) => owner.controller);
  if (controllers.length > 1)
    errors.push(
      bad(
        field,
        ownerReferences,
        `Only one reference can have Controller set to true. Found "true" in references for ${controllers[0]!.kind}/${controllers[0]!.name} and ${controllers[1]!.kind}/${controllers[1]!.name}`,
      ),
    );
  return errors;
}

/** What an update may not change of metadata; the server has already restored what it silently keeps. */
export function validateMetaUpdate(meta: ObjectMeta, old: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.uid !== old.uid) errors.push(immutable('metadata.uid', meta.uid));
  if (meta.name !== old.name) errors.push(immutable('metadata.name', meta.name));
  if (meta.namespace !== old.namespace) errors.push(immutable('metadata.namespace', meta.namespace));
  const added = (meta.finalizers ?? []).filter((finalizer) => !old.finalizers?.includes(finalizer));
  if (old.deletionTimestamp && added.length > 0)
    errors.push(
      forbiddenField(
        'metadata.finalizers',
        `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((f) => JSON.stringify(f)).join(', ')}}`,
      ),
    );
  return errors;
}
