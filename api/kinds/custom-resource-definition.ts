import { nameColumn } from '../columns.ts';
import { equal } from '../../lib/equal.ts';
import { bad, duplicate, immutable, notSupported, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { checkDns1035, checkDnsSubdomain } from '../names.ts';
import { checkSchema } from '../structural/check-schema.ts';
import { validateClientConfig } from '../validate-webhook.ts';
import type { WebhookClientConfig } from '../webhook.ts';
import type { StructuralSchema } from '../structural/schema.ts';

export interface CustomResourceDefinition extends KubeObject {
  spec: {
    group: string;
    names: CustomNames;
    scope: 'Namespaced' | 'Cluster';
    versions: CustomVersion[];
    conversion?: CustomConversion;
    preserveUnknownFields?: boolean;
  };
  status?: {
    conditions?: Condition[];
    acceptedNames?: CustomNames;
    storedVersions?: string[];
    observedGeneration?: number;
  };
}

export interface CustomNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

export interface CustomVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  deprecationWarning?: string;
  schema?: { openAPIV3Schema?: StructuralSchema };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: CustomColumn[];
  selectableFields?: { jsonPath: string }[];
}

export interface CustomColumn {
  name: string;
  type: string;
  jsonPath: string;
  format?: string;
  description?: string;
  priority?: number;
}

export interface CustomConversion {
  strategy: 'None' | 'Webhook';
  webhook?: {
    conversionReviewVersions: string[];
    clientConfig?: WebhookClientConfig;
  };
}

/** Set when somebody asks for the deletion; taken off when the last object of the kind is gone. */
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

export const CustomResourceDefinition = kind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  short: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  subresources: ['status'],
  deletionFinalizer: cleanupFinalizer,
  defaults: ({ spec }) => {
    if (!spec) return;
    if (spec.names?.kind) {
      spec.names.singular ||= spec.names.kind.toLowerCase();
      spec.names.listKind ||= `${spec.names.kind}List`;
    }
    spec.conversion ??= { strategy: 'None' };
    const service = spec.conversion.webhook?.clientConfig?.service;
    if (service) service.port ??= 443;
  },
  prepareCreate: (crd) => {
    const storage = crd.spec.versions?.find((version) => version.storage);
    crd.status = {
      conditions: [],
      acceptedNames: { plural: '', kind: '' },
      storedVersions: storage ? [storage.name] : [],
    };
  },
  prepareUpdate: (crd) => {
    const storage = crd.spec.versions?.find((version) => version.storage)?.name;
    const stored = crd.status?.storedVersions ?? [];
    if (storage && crd.status && !stored.includes(storage)) crd.status.storedVersions = [...stored, storage];
  },
  validate: (crd) => [
    ...nameErrors(crd),
    ...approvalErrors(crd),
    ...versionErrors(crd),
    ...conversionErrors(crd),
    ...storedErrors(crd),
  ],
  validateUpdate: (crd, old) => {
    const isEstablished = old.status?.conditions?.some(
      ({ type, status }) => type === 'Established' && status === 'True',
    );
    const fixed: [field: string, now: unknown, before: unknown][] = [
      ['spec.group', crd.spec.group, old.spec.group],
      ['spec.names.plural', crd.spec.names.plural, old.spec.names.plural],
    ];
    if (isEstablished)
      fixed.push(
        ['spec.scope', crd.spec.scope, old.spec.scope],
        ['spec.names.kind', crd.spec.names.kind, old.spec.names.kind],
      );
    return fixed.filter(([, now, before]) => !equal(now, before)).map(([field, now]) => immutable(field, now));
  },
  columns: [nameColumn, { name: 'Created At', type: 'date', value: ({ metadata }) => metadata.creationTimestamp }],
});

function nameErrors({ metadata, spec }: CustomResourceDefinition): FieldError[] {
  const { names, group = '', scope } = spec;
  const errors: FieldError[] = [];
  if (!group) errors.push(required('spec.group'));
  else {
    for (const problem of checkDnsSubdomain(group)) errors.push(bad('spec.group', group, problem));
    if (!group.includes('.')) errors.push(bad('spec.group', group, 'should be a domain with at least one dot'));
  }
  if (!scope) errors.push(required('spec.scope'));
  else if (scope !== 'Cluster' && scope !== 'Namespaced')
    errors.push(notSupported('spec.scope', scope, ['Cluster', 'Namespaced']));
  for (const field of ['plural', 'singular', 'kind', 'listKind'] as const) {
    const name = names?.[field];
    if (!name) errors.push(required(`spec.names.${field}`));
    else for (const problem of checkDns1035(name.toLowerCase())) errors.push(bad(`spec.names.${field}`, name, problem));
  }
  for (const [i, name] of (names?.shortNames ?? []).entries())
    for (const problem of checkDns1035(name)) errors.push(bad(`spec.names.shortNames[${i}]`, name, problem));
  for (const [i, name] of (names?.categories ?? []).entries())
    for (const problem of checkDns1035(name)) errors.push(bad(`spec.names.categories[${i}]`, name, problem));
  if (names?.kind && names.kind === names.listKind)
    errors.push(bad('spec.names.listKind', names.listKind, 'kind and listKind may not be the same'));
  if (names?.plural && group && metadata.name !== `${names.plural}.${group}`)
    errors.push(bad('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  return errors;
}

const approval = 'api-approved.kubernetes.io';

/** Groups of Kubernetes' own are for APIs that its community has looked at, or for who says that it has not. */
function approvalErrors({ metadata, spec: { group = '' } }: CustomResourceDefinition): FieldError[] {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(group)) return [];
  const field = `metadata.annotations[${approval}]`;
  const said = metadata.annotations?.[approval] ?? '';
  const needs = `protected groups must have approval annotation "${approval}"`;
  const see = 'see https://github.com/kubernetes/enhancements/pull/1111';
  if (!said) return [required(field, `${needs}, ${see}`)];
  if (said.startsWith('unapproved') || URL.canParse(said)) return [];
  return [bad(field, said, `${needs} with either a URL or a reason starting with "unapproved", ${see}`)];
}

function versionErrors({ spec }: CustomResourceDefinition): FieldError[] {
  const versions = spec.versions ?? [];
  if (versions.length === 0)
    return [required('spec.versions', 'must have exactly one version marked as storage version')];
  const errors = versions.flatMap((version, i) => [
    ...(versions.findIndex(({ name }) => name === version.name) < i
      ? [duplicate(`spec.versions[${i}].name`, version.name)]
      : []),
    ...oneVersion(version, `spec.versions[${i}]`),
  ]);
  if (spec.preserveUnknownFields)
    errors.push(
      bad(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    );
  if (versions.filter(({ storage }) => storage).length !== 1)
    errors.push(
      bad(
        'spec.versions',
        versions.map(({ name }) => name),
        'must have exactly one version marked as storage version',
      ),
    );
  return errors;
}

function oneVersion(version: CustomVersion, field: string): FieldError[] {
  const errors = checkDns1035(version.name ?? '').map((problem) => bad(`${field}.name`, version.name, problem));
  const schema = version.schema?.openAPIV3Schema;
  if (!schema) errors.push(required(`${field}.schema.openAPIV3Schema`, 'schemas are required'));
  else errors.push(...checkSchema(schema, `${field}.schema.openAPIV3Schema`));
  if (version.deprecationWarning && !version.deprecated)
    errors.push(
      bad(`${field}.deprecationWarning`, version.deprecationWarning, 'can only be set for deprecated versions'),
    );
  for (const [i, column] of (version.additionalPrinterColumns ?? []).entries())
    errors.push(...columnErrors(column, `${field}.additionalPrinterColumns[${i}]`));
  for (const [i, { jsonPath }] of (version.selectableFields ?? []).entries())
    if (!/^(\.[A-Za-z_][\w-]*)+$/.test(jsonPath ?? '') || /^\.metadata\./.test(jsonPath))
      errors.push(
        bad(
          `${field}.selectableFields[${i}].jsonPath`,
          jsonPath,
          'is an invalid path: only simple paths outside metadata are supported',
        ),
      );
  const scale = version.subresources?.scale;
  for (const [name, root] of [
    ['specReplicasPath', '.spec.'],
    ['statusReplicasPath', '.status.'],
  ] as const)
    if (scale && !scale[name]?.startsWith(root))
      errors.push(
        scale[name]
          ? bad(`${field}.subresources.scale.${name}`, scale[name], `should be a json path under ${root.slice(0, -1)}`)
          : required(`${field}.subresources.scale.${name}`),
      );
  return errors;
}

const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];

function columnErrors({ name, type, jsonPath }: CustomColumn, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!name) errors.push(required(`${field}.name`));
  if (!type) errors.push(required(`${field}.type`));
  else if (!columnTypes.includes(type))
    errors.push(bad(`${field}.type`, type, `must be one of ${columnTypes.join(',')}`));
  if (!jsonPath) errors.push(required(`${field}.jsonPath`));
  return errors;
}

/** Forms of ConversionReview that are spoken. */
export const reviewVersions: readonly string[] = ['v1', 'v1beta1'];

function conversionErrors({ spec }: CustomResourceDefinition): FieldError[] {
  const { strategy, webhook } = spec.conversion ?? { strategy: 'None' };
  if (strategy !== 'None' && strategy !== 'Webhook')
    return [notSupported('spec.conversion.strategy', strategy, ['None', 'Webhook'])];
  if (strategy === 'None')
    return webhook
      ? [
          {
            type: 'Forbidden',
            field: 'spec.conversion.webhook',
            detail: 'should not be set when strategy is not set to Webhook',
          },
        ]
      : [];
  const errors: FieldError[] = [];
  const at = 'spec.conversion.webhook.clientConfig';
  if (webhook?.clientConfig) errors.push(...validateClientConfig(webhook.clientConfig, at));
  else errors.push(required(at, 'required when strategy is set to Webhook'));
  if (!webhook?.conversionReviewVersions?.length)
    errors.push(required('spec.conversion.webhook.conversionReviewVersions'));
  else if (!webhook.conversionReviewVersions.some((one) => reviewVersions.includes(one)))
    errors.push(
      bad(
        'spec.conversion.webhook.conversionReviewVersions',
        webhook.conversionReviewVersions,
        `must include at least one of ${reviewVersions.join(', ')}`,
      ),
    );
  return errors;
}

/** A version that objects may still be stored in must not vanish. */
function storedErrors({ spec, status }: CustomResourceDefinition): FieldError[] {
  const names = new Set((spec.versions ?? []).map(({ name }) => name));
  return (status?.storedVersions ?? []).flatMap((name, i) =>
    names.has(name) ? [] : [bad(`status.storedVersions[${i}]`, name, 'must appear in spec.versions')],
  );
}
