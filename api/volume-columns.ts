import type { ObjectMeta } from './meta.ts';

const modes: Record<string, string> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

/** `RWO,RWX`, in a fixed order, each once. */
export const formatAccessModes = (given: readonly string[] | undefined): string =>
  Object.entries(modes)
    .filter(([mode]) => given?.includes(mode))
    .map(([, short]) => short)
    .join(',');

const betaClass = 'volume.beta.kubernetes.io/storage-class';

/** The storage class of a volume or claim; an annotation of old goes before the field. */
export const storageClassOf = (metadata: ObjectMeta, named: string | undefined): string =>
  metadata.annotations?.[betaClass] ?? named ?? '';
