import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { aesgcm, identity, secretbox, type Transformer } from './transformers.ts';

/** The first transformer writes; values of all are read. */
export interface ResourceKeys {
  /** `secrets`, `deployments.apps`, `*.apps`, `*.` for the core group, `*.*`. */
  resources: readonly string[];
  transformers: readonly Transformer[];
}

interface KeyList {
  keys?: { name?: string; secret?: string }[];
}

interface Configuration {
  apiVersion?: string;
  kind?: string;
  resources?: { resources?: string[]; providers?: { aesgcm?: KeyList; secretbox?: KeyList; identity?: object }[] }[];
}

/**
 * Reads an EncryptionConfiguration; throws an Error that names the file and what is wrong with it.
 * https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
 */
export function readEncryption(path: string): ResourceKeys[] {
  const value = (parse(readFileSync(path, 'utf8')) ?? {}) as Configuration;
  if (value.kind !== 'EncryptionConfiguration' || value.apiVersion !== 'apiserver.config.k8s.io/v1')
    throw new Error(`${path} should hold an EncryptionConfiguration of apiserver.config.k8s.io/v1`);
  if (!value.resources?.length) throw new Error(`${path} names no resources`);
  return value.resources.map(({ resources = [], providers = [] }, i) => {
    if (resources.length === 0) throw new Error(`${path}: resources[${i}].resources is empty`);
    if (providers.length === 0) throw new Error(`${path}: resources[${i}].providers is empty`);
    const transformers = providers.flatMap((provider, j) =>
      transformersOf(provider, `${path}: resources[${i}].providers[${j}]`),
    );
    return { resources, transformers };
  });
}

function transformersOf(provider: object, where: string): Transformer[] {
  const [kind, more] = Object.keys(provider);
  if (kind === undefined || more !== undefined)
    throw new Error(`${where} should have exactly one of aesgcm, secretbox, identity`);
  const { keys = [] } = ((provider as Record<string, KeyList | null>)[kind] ?? {}) as KeyList;
  switch (kind) {
    case 'identity':
      return [identity];
    case 'aesgcm':
      return keysOf(keys, [16, 24, 32], where).map(([name, key]) => aesgcm(name, key));
    case 'secretbox':
      return keysOf(keys, [32], where).map(([name, key]) => secretbox(name, key));
    default:
      throw new Error(`${where}: there is no provider "${kind}" here; there are aesgcm, secretbox, identity`);
  }
}

function keysOf(keys: NonNullable<KeyList['keys']>, sizes: readonly number[], where: string): [string, Buffer][] {
  if (keys.length === 0) throw new Error(`${where} has no keys`);
  return keys.map(({ name = '', secret = '' }, i) => {
    const key = Buffer.from(secret, 'base64');
    if (!/^[^:]+$/.test(name)) throw new Error(`${where}: keys[${i}].name is missing or has a colon`);
    if (!sizes.includes(key.length))
      throw new Error(`${where}: keys[${i}].secret should be ${sizes.join(' or ')} bytes in base64, not ${key.length}`);
    return [name, key];
  });
}
