import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, immutable, required, tooLong } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkConfigKey } from '../names.ts';
import { maxDataBytes } from './config-map.ts';

export interface Secret extends KubeObject {
  type?: string;
  /** Values are base64. */
  data?: Record<string, string>;
  /** Plain text, written into `data`; never read back. */
  stringData?: Record<string, string>;
  immutable?: boolean;
}

/** Keys that a typed secret must have. */
const requiredKeys: Record<string, string[]> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

/** Keys of which a typed secret must have one. */
const anyKeys: Record<string, string[]> = { 'kubernetes.io/basic-auth': ['username', 'password'] };

/** Keys whose values must be JSON. */
const jsonKeys: Record<string, string> = {
  'kubernetes.io/dockercfg': '.dockercfg',
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
};

/** A secret of this type says by an annotation whose token it holds; a controller fills in the rest. */
const tokenType = 'kubernetes.io/service-account-token';
const accountName = 'kubernetes.io/service-account.name';

export const Secret = kind<Secret>({
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
  generation: false,
  defaults: (secret) => {
    secret.type ||= 'Opaque';
    if (!secret.stringData) return;
    secret.data = { ...secret.data };
    for (const [key, value] of Object.entries(secret.stringData))
      Object.defineProperty(secret.data, key, {
        value: Buffer.from(value).toString('base64'),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    delete secret.stringData;
  },
  validate: (secret) => {
    const errors: FieldError[] = [];
    let size = 0;
    for (const [key, value] of Object.entries(secret.data ?? {})) {
      size += Math.floor((value.length * 3) / 4);
      errors.push(...checkConfigKey(key).map((detail) => bad(`data[${key}]`, key, detail)));
    }
    if (size > maxDataBytes) errors.push(tooLong('data', maxDataBytes));
    for (const key of requiredKeys[secret.type ?? ''] ?? [])
      if (!Object.hasOwn(secret.data ?? {}, key)) errors.push(required(`data[${key}]`));
    errors.push(...validateAny(secret), ...validateJson(secret));
    if (secret.type === tokenType && !secret.metadata.annotations?.[accountName])
      errors.push(required(`metadata.annotations[${accountName}]`));
    return errors;
  },
  validateUpdate: (secret, old) => {
    const errors: FieldError[] = secret.type === old.type ? [] : [immutable('type', secret.type)];
    if (!old.immutable) return errors;
    if (!secret.immutable) errors.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'));
    if (!equal(secret.data ?? {}, old.data ?? {}))
      errors.push(forbiddenField('data', 'field is immutable when `immutable` is set'));
    return errors;
  },
  columns: [
    nameColumn,
    { name: 'Type', value: (secret) => secret.type ?? '' },
    { name: 'Data', value: (secret) => Object.keys(secret.data ?? {}).length },
    ageColumn,
  ],
  selectableFields: { type: (secret) => secret.type ?? '' },
});

function validateAny({ type = '', data = {} }: Secret): FieldError[] {
  const keys = anyKeys[type] ?? [];
  return keys.some((key) => Object.hasOwn(data, key)) ? [] : keys.map((key) => required(`data[${key}]`));
}

/** Says nothing of what is in it. */
function validateJson({ type = '', data = {} }: Secret): FieldError[] {
  const key = jsonKeys[type];
  if (key === undefined || !Object.hasOwn(data, key)) return [];
  try {
    const value: unknown = JSON.parse(Buffer.from(data[key]!, 'base64').toString());
    if (typeof value === 'object' && !Array.isArray(value)) return [];
  } catch {
    // What is wrong where would tell of the secret.
  }
  return [bad(`data[${key}]`, '<secret contents redacted>', 'must be a JSON object')];
}
