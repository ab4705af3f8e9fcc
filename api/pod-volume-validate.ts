import { bad, duplicate, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { PersistentVolumeClaimSpec } from './kinds/persistent-volume-claim.ts';
import type { KeyToPath, Volume } from './kinds/pod.ts';
import { checkDnsLabel, checkDnsSubdomain } from './names.ts';
import { validateResourceField, validateVolumeField } from './pod-field-validate.ts';
import { atLeast, between, each, mustBeNamed, notNegativeAmount, oneOf } from './rules.ts';
import { validateClaimSpec } from './validate-volume.ts';

/** Rules on a pod's volumes: each has a name and exactly one source. */
export function validateVolumes(volumes: readonly Volume[], at: string): FieldError[] {
  const names = new Set<string>();
  return each(volumes, at, (volume, field) => {
    const again = volume.name && names.has(volume.name) ? [duplicate(`${field}.name`, volume.name)] : [];
    names.add(volume.name);
    const [first, ...more] = Object.keys(volume).filter((key) => key !== 'name');
    return [
      ...mustBeNamed(volume.name, checkDnsLabel, `${field}.name`),
      ...again,
      ...(first ? [] : [required(field, 'must specify a volume type')]),
      ...more.map((extra) => forbiddenField(`${field}.${extra}`, 'may not specify more than 1 volume type')),
      ...(first ? (rules[first]?.(volume[first] as Source, `${field}.${first}`) ?? []) : []),
    ];
  });
}

interface Items {
  items?: (Partial<KeyToPath> & {
    fieldRef?: { fieldPath?: string };
    resourceFieldRef?: { resource?: string; containerName?: string };
  })[];
  defaultMode?: number;
}

type Source = Items & Record<string, unknown>;
type Rule = (source: Source, field: string) => FieldError[];

const need =
  (...names: string[]): Rule =>
  (source, field) =>
    names.filter((name) => !source[name]).map((name) => required(`${field}.${name}`));

const mode = (value: number | undefined, field: string): FieldError[] =>
  between(value, 0, 0o777, field).map((error) => ({
    ...error,
    detail: 'must be a number between 0 and 0777 (octal), both inclusive',
  }));

const modes: Rule = ({ defaultMode, items }, field) => [
  ...mode(defaultMode, `${field}.defaultMode`),
  ...each(items, `${field}.items`, (item, at) => [
    ...mode(item.mode, `${at}.mode`),
    ...localPath(item.path, `${at}.path`),
  ]),
];

const keyed: Rule = (source, field) => [
  ...modes(source, field),
  ...each(source.items, `${field}.items`, ({ key }, at) => (key ? [] : [required(`${at}.key`)])),
];

const downward: Rule = (source, field) => [
  ...modes(source, field),
  ...each(source.items, `${field}.items`, ({ fieldRef, resourceFieldRef }, at) => {
    if (fieldRef && resourceFieldRef)
      return [bad(at, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously')];
    if (fieldRef) return validateVolumeField(fieldRef, `${at}.fieldRef`);
    if (!resourceFieldRef) return [required(at, 'one of fieldRef and resourceFieldRef is required')];
    return resourceFieldRef.containerName
      ? validateResourceField(resourceFieldRef, `${at}.resourceFieldRef`)
      : [required(`${at}.resourceFieldRef.containerName`)];
  }),
];

/** A path inside the volume. */
const localPath = (path: string | undefined, field: string): FieldError[] =>
  path ? relativePath(path, field) : [required(field)];

/** A path that leads nowhere but down. */
export function relativePath(path: string, field: string): FieldError[] {
  if (path.startsWith('/')) return [bad(field, path, 'must be a relative path')];
  return noClimbing(path, field);
}

const noClimbing = (path: string, field: string): FieldError[] =>
  path.split('/').includes('..') ? [bad(field, path, "must not contain '..'")] : [];

const hostPathTypes = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

interface ProjectedSource {
  secret?: Source;
  configMap?: Source;
  downwardAPI?: Source;
  serviceAccountToken?: { path?: string; expirationSeconds?: number };
  [other: string]: unknown;
}

function projected(source: Source, field: string): FieldError[] {
  const sources = source['sources'] as ProjectedSource[] | undefined;
  return [
    ...mode(source.defaultMode, `${field}.defaultMode`),
    ...each(sources, `${field}.sources`, (one, at) => {
      const [first, ...more] = Object.keys(one);
      const token = one.serviceAccountToken;
      return [
        ...(first ? [] : [required(at, 'must specify a source type')]),
        ...more.map((extra) => forbiddenField(`${at}.${extra}`, 'may not specify more than 1 volume type')),
        ...(one.secret ? [...need('name')(one.secret, `${at}.secret`), ...keyed(one.secret, `${at}.secret`)] : []),
        ...(one.configMap
          ? [...need('name')(one.configMap, `${at}.configMap`), ...keyed(one.configMap, `${at}.configMap`)]
          : []),
        ...(one.downwardAPI ? downward(one.downwardAPI, `${at}.downwardAPI`) : []),
        ...(token ? localPath(token.path, `${at}.serviceAccountToken.path`) : []),
        ...(token
          ? atLeast(token.expirationSeconds, 600, `${at}.serviceAccountToken.expirationSeconds`).map((error) => ({
              ...error,
              detail: 'may not specify a duration less than 10 minutes',
            }))
          : []),
      ];
    }),
  ];
}

const rules: Readonly<Record<string, Rule>> = {
  emptyDir: ({ sizeLimit }, field) => notNegativeAmount(sizeLimit as string | undefined, `${field}.sizeLimit`),
  hostPath: (source, field) => [
    ...need('path')(source, field),
    ...noClimbing(String(source['path'] ?? ''), `${field}.path`),
    ...oneOf(source['type'] as string | undefined, hostPathTypes, `${field}.type`),
  ],
  secret: (source, field) => [...need('secretName')(source, field), ...keyed(source, field)],
  configMap: (source, field) => [...need('name')(source, field), ...keyed(source, field)],
  downwardAPI: downward,
  projected,
  persistentVolumeClaim: need('claimName'),
  nfs: (source, field) => [
    ...need('server', 'path')(source, field),
    ...(source['path'] && !String(source['path']).startsWith('/')
      ? [bad(`${field}.path`, source['path'], 'must be an absolute path')]
      : []),
  ],
  csi: (source, field) => mustBeNamed(source['driver'] as string | undefined, checkDnsSubdomain, `${field}.driver`),
  image: (source, field) =>
    oneOf(source['pullPolicy'] as string | undefined, ['Always', 'IfNotPresent', 'Never'], `${field}.pullPolicy`),
  iscsi: need('targetPortal', 'iqn'),
  rbd: need('monitors', 'image'),
  cephfs: need('monitors'),
  glusterfs: need('endpoints', 'path'),
  flexVolume: need('driver'),
  azureDisk: need('diskName', 'diskURI'),
  azureFile: need('secretName', 'shareName'),
  gcePersistentDisk: need('pdName'),
  awsElasticBlockStore: need('volumeID'),
  cinder: need('volumeID'),
  vsphereVolume: need('volumePath'),
  portworxVolume: need('volumeID'),
  ephemeral: (source, field) => {
    const template = source['volumeClaimTemplate'] as { spec?: PersistentVolumeClaimSpec } | undefined;
    return template
      ? validateClaimSpec(template.spec, `${field}.volumeClaimTemplate.spec`)
      : [required(`${field}.volumeClaimTemplate`)];
  },
};
