import { age } from './age.ts';
import type { Column } from './kind.ts';
import type { KubeObject } from './meta.ts';

export const nameColumn: Column<KubeObject> = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  value: (object) => object.metadata.name ?? '',
};

export const ageColumn: Column<KubeObject> = {
  name: 'Age',
  value: (object, now) => age(object.metadata.creationTimestamp, now),
};

/** A list of words, or `<none>`. */
export const joined = (words: readonly string[]): string => (words.length > 0 ? words.join(',') : '<none>');

/** When it was made, as it was written. */
export const createdColumn: Column<KubeObject> = {
  name: 'Created At',
  value: (object) => object.metadata.creationTimestamp ?? '',
};
