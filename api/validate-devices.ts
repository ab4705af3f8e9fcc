import { bad, duplicate, required, tooMany } from './field-error.ts';
import type { FieldError } from './kind.ts';
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from './names.ts';
import { validateExpression } from './policy.ts';
import { deviceNames } from './structural/check-cel.ts';
import { each, mustBeNamed, mustBeOneOf, named, oneOf } from './rules.ts';

/**
 * What is asked of devices, and the rules on it: classes, claims and templates share them.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
 */

export interface DeviceSelector {
  cel?: { expression: string };
}

export interface DeviceToleration {
  key?: string;
  operator?: 'Exists' | 'Equal';
  value?: string;
  effect?: 'NoSchedule' | 'NoExecute' | 'None';
  tolerationSeconds?: number;
}

export interface DeviceConfiguration {
  opaque?: { driver: string; parameters: object };
}

/** Devices of one class. */
export interface WantedDevices {
  deviceClassName: string;
  selectors?: DeviceSelector[];
  allocationMode?: 'ExactCount' | 'All';
  count?: number;
  tolerations?: DeviceToleration[];
  capacity?: { requests?: Record<string, string> };
}

export interface DeviceRequest {
  name: string;
  exactly?: WantedDevices & { adminAccess?: boolean };
  /** The first of these that can be had. */
  firstAvailable?: (WantedDevices & { name: string })[];
}

export interface DeviceClaim {
  requests?: DeviceRequest[];
  constraints?: { requests?: string[]; matchAttribute?: string; distinctAttribute?: string }[];
  config?: (DeviceConfiguration & { requests?: string[] })[];
}

const most = { requests: 32, alternatives: 8, selectors: 32, constraints: 32, configs: 32, tolerations: 16 };
const effects = ['NoExecute', 'NoSchedule', 'None'];

const atMost = (items: readonly unknown[] | undefined, count: number, field: string): FieldError[] =>
  (items?.length ?? 0) > count ? [tooMany(field, items?.length ?? 0, count)] : [];

/** One of a Kubernetes union must be there, and no other beside it. */
export function exactlyOne(members: Record<string, unknown>, field: string): FieldError[] {
  const names = Object.keys(members).map((name) => `\`${name}\``);
  const given = Object.values(members).filter((value) => value !== undefined);
  const detail = `exactly one of ${names.slice(0, -1).join(', ')} or ${names.at(-1)} is required`;
  if (given.length === 1) return [];
  return given.length === 0
    ? [required(field, detail)]
    : [bad(field, members, `${detail}, but multiple fields are set`)];
}

export const validateDriver = (driver: string | undefined, field: string): FieldError[] => [
  ...mustBeNamed(driver, checkDnsSubdomain, field),
  ...((driver?.length ?? 0) > 63 ? [bad(field, driver, 'must be no more than 63 characters')] : []),
];

export const validateDeviceSelectors = (selectors: DeviceSelector[] | undefined, at: string): FieldError[] => [
  ...atMost(selectors, most.selectors, at),
  ...each(selectors, at, ({ cel }, field) =>
    cel
      ? validateExpression(cel.expression, `${field}.cel.expression`, deviceNames, ['bool'])
      : [required(`${field}.cel`)],
  ),
];

export const validateDeviceConfiguration = ({ opaque }: DeviceConfiguration, at: string): FieldError[] =>
  opaque
    ? [
        ...validateDriver(opaque.driver, `${at}.opaque.driver`),
        ...(opaque.parameters ? [] : [required(`${at}.opaque.parameters`)]),
      ]
    : [required(`${at}.opaque`)];

export function defaultDeviceClaim(claim: DeviceClaim | undefined): void {
  for (const { exactly, firstAvailable = [] } of claim?.requests ?? [])
    for (const wanted of exactly ? [exactly, ...firstAvailable] : firstAvailable) {
      wanted.allocationMode ??= 'ExactCount';
      if (wanted.allocationMode === 'ExactCount') wanted.count ??= 1;
      for (const toleration of wanted.tolerations ?? []) toleration.operator ??= 'Equal';
    }
}

export function validateDeviceClaim(claim: DeviceClaim = {}, at: string): FieldError[] {
  const names = requestNames(claim);
  return [
    ...atMost(claim.requests, most.requests, `${at}.requests`),
    ...duplicates(claim.requests, `${at}.requests`),
    ...each(claim.requests, `${at}.requests`, validateRequest),
    ...atMost(claim.constraints, most.constraints, `${at}.constraints`),
    ...each(claim.constraints, `${at}.constraints`, ({ requests, matchAttribute, distinctAttribute }, field) => [
      ...each(requests, `${field}.requests`, (name, of) => knownRequest(name, names, of)),
      ...exactlyOne({ matchAttribute, distinctAttribute }, field),
      ...attributeOf(matchAttribute, `${field}.matchAttribute`),
      ...attributeOf(distinctAttribute, `${field}.distinctAttribute`),
    ]),
    ...atMost(claim.config, most.configs, `${at}.config`),
    ...each(claim.config, `${at}.config`, (config, field) => [
      ...each(config.requests, `${field}.requests`, (name, of) => knownRequest(name, names, of)),
      ...validateDeviceConfiguration(config, field),
    ]),
  ];
}

/** A request goes by its name, its alternatives by `request/alternative`, too. */
const requestNames = ({ requests = [] }: DeviceClaim): Set<string> =>
  new Set(
    requests.flatMap(({ name, firstAvailable = [] }) => [name, ...firstAvailable.map((one) => `${name}/${one.name}`)]),
  );

const knownRequest = (name: string, names: ReadonlySet<string>, field: string): FieldError[] =>
  names.has(name)
    ? []
    : [bad(field, name, 'must be the name of a request in the claim or `<main request>/<subrequest>`')];

const duplicates = (items: readonly { name: string }[] | undefined, at: string): FieldError[] =>
  (items ?? []).flatMap(({ name }, i) =>
    items?.findIndex((one) => one.name === name) === i ? [] : [duplicate(`${at}[${i}].name`, name)],
  );

const validateRequest = ({ name, exactly, firstAvailable }: DeviceRequest, at: string): FieldError[] => [
  ...mustBeNamed(name, checkDnsLabel, `${at}.name`),
  ...exactlyOne({ exactly, firstAvailable }, at),
  ...(exactly ? validateWanted(exactly, `${at}.exactly`) : []),
  ...atMost(firstAvailable, most.alternatives, `${at}.firstAvailable`),
  ...duplicates(firstAvailable, `${at}.firstAvailable`),
  ...each(firstAvailable, `${at}.firstAvailable`, (one, field) => [
    ...mustBeNamed(one.name, checkDnsLabel, `${field}.name`),
    ...validateWanted(one, field),
  ]),
];

const validateWanted = (wanted: WantedDevices, at: string): FieldError[] => [
  ...mustBeNamed(wanted.deviceClassName, checkDnsSubdomain, `${at}.deviceClassName`),
  ...validateDeviceSelectors(wanted.selectors, `${at}.selectors`),
  ...mustBeOneOf(wanted.allocationMode, ['All', 'ExactCount'], `${at}.allocationMode`),
  ...validateCount(wanted, `${at}.count`),
  ...atMost(wanted.tolerations, most.tolerations, `${at}.tolerations`),
  ...each(wanted.tolerations, `${at}.tolerations`, validateToleration),
];

function validateCount({ allocationMode, count }: WantedDevices, field: string): FieldError[] {
  if (allocationMode === 'All')
    return count ? [bad(field, count, "must not be specified when allocationMode is 'All'")] : [];
  return count === undefined || count > 0 ? [] : [bad(field, count, 'must be greater than zero')];
}

const validateToleration = ({ key, operator, value, effect }: DeviceToleration, at: string): FieldError[] => [
  ...named(key, checkQualifiedName, `${at}.key`),
  ...mustBeOneOf(operator, ['Equal', 'Exists'], `${at}.operator`),
  ...(operator === 'Exists' && value
    ? [bad(`${at}.value`, value, 'must be empty for operator `Exists`')]
    : named(value, checkLabelValue, `${at}.value`)),
  ...(!key && operator === 'Equal' ? [required(`${at}.key`)] : []),
  ...oneOf(effect, effects, `${at}.effect`),
];

export interface DeviceTaint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'NoExecute' | 'None';
  timeAdded?: string;
}

export const validateDeviceTaint = ({ key, value, effect }: DeviceTaint, at: string): FieldError[] => [
  ...mustBeNamed(key, checkQualifiedName, `${at}.key`),
  ...named(value, checkLabelValue, `${at}.value`),
  ...mustBeOneOf(effect, effects, `${at}.effect`),
];

/** `domain/name`, the domain of whoever defined the attribute. */
const attributeOf = (attribute: string | undefined, field: string): FieldError[] =>
  attribute === undefined
    ? []
    : attribute.includes('/')
      ? checkQualifiedName(attribute).map((detail) => bad(field, attribute, detail))
      : [bad(field, attribute, 'must include a domain')];
