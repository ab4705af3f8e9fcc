import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, tooLong } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkConfigKey } from '../names.ts';

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
  /** Values are base64. */
  binaryData?: Record<string, string>;
  immutable?: boolean;
}

/** Bytes that all values of a ConfigMap or Secret may have together. */
export const maxDataBytes = 1024 * 1024;

export const ConfigMap = kind<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  short: ['cm'],
  namespaced: true,
  generation: false,
  validate: (map) => {
    const errors: FieldError[] = [];
    let size = 0;
    for (const [key, value] of Object.entries(map.data ?? {})) {
      size += value.length;
      errors.push(...checkConfigKey(key).map((detail) => bad(`data[${key}]`, key, detail)));
    }
    for (const [key, value] of Object.entries(map.binaryData ?? {})) {
      size += Math.floor((value.length * 3) / 4);
      errors.push(...checkConfigKey(key).map((detail) => bad(`binaryData[${key}]`, key, detail)));
      if (Object.hasOwn(map.data ?? {}, key))
        errors.push(bad(`data[${key}]`, key, `duplicate of key present in binaryData`));
    }
    if (size > maxDataBytes) errors.push(tooLong('', maxDataBytes));
    return errors;
  },
  validateUpdate: (map, old) => {
    if (!old.immutable) return [];
    const errors: FieldError[] = [];
    if (!map.immutable) errors.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'));
    for (const field of ['data', 'binaryData'] as const)
      if (!equal(map[field] ?? {}, old[field] ?? {}))
        errors.push(forbiddenField(field, 'field is immutable when `immutable` is set'));
    return errors;
  },
  columns: [
    nameColumn,
    {
      name: 'Data',
      type: 'string',
      value: (map) => Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length,
    },
    ageColumn,
  ],
});
