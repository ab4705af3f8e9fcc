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

/** Labels by key, `a=b,c=d`, or `<none>`. */
export const formatLabels = (labels: Readonly<Record<string, string>> | undefined): string =>
  joined(
    Object.entries(labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .sort(),
  );

/** The first three words and how many more there are. */
export const shortened = (words: readonly string[], none: string, separator = ','): string => {
  if (words.length === 0) return none;
  const shown = words.slice(0, 3).join(separator);
  return words.length > 3 ? `${shown} + ${words.length - 3} more...` : shown;
};

/** A switch that may be unset, as Kubernetes prints it. */
export const yesNo = (value: boolean | undefined): string =>
  value === undefined ? '<unset>' : value ? 'True' : 'False';
/** When it was made, as it was written. */
export const createdColumn: Column<KubeObject> = {
  name: 'Created At',
  value: (object) => object.metadata.creationTimestamp ?? '',
};
