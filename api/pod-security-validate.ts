import { isIP } from 'node:net';
import { bad, duplicate, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, PodSpec } from './kinds/pod.ts';
import { relativePath } from './pod-volume-validate.ts';
import { between, each, oneOf } from './rules.ts';

const maxId = 2147483647;
const id = (value: number | undefined, field: string): FieldError[] => between(value, 0, maxId, field);

/** Rules on whom a pod runs as, and on its names and addresses. */
export function validatePodContext(spec: PodSpec, at: string): FieldError[] {
  const context = spec.securityContext ?? {};
  const field = `${at}.securityContext`;
  return [
    ...id(context.runAsUser, `${field}.runAsUser`),
    ...id(context.runAsGroup, `${field}.runAsGroup`),
    ...id(context.fsGroup, `${field}.fsGroup`),
    ...each(context.supplementalGroups, `${field}.supplementalGroups`, id),
    ...oneOf(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${field}.fsGroupChangePolicy`),
    ...validateProfiles(context, field),
    ...validateSysctls(context.sysctls, `${field}.sysctls`),
    ...(spec.shareProcessNamespace && spec.hostPID
      ? [bad(`${at}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled')]
      : []),
    ...validateDns(spec, `${at}.dnsConfig`),
    ...each(spec.hostAliases, `${at}.hostAliases`, ({ ip }, alias) =>
      isIP(ip ?? '') ? [] : [bad(`${alias}.ip`, ip ?? '', 'must be valid IP address')],
    ),
  ];
}

interface Profile {
  type?: string;
  localhostProfile?: string;
}

const validateProfiles = (
  { seccompProfile, appArmorProfile }: { seccompProfile?: Profile; appArmorProfile?: Profile },
  at: string,
): FieldError[] => [
  ...validateProfile(seccompProfile, 'seccomp', `${at}.seccompProfile`),
  ...validateProfile(appArmorProfile, 'AppArmor', `${at}.appArmorProfile`),
];

function validateProfile(profile: Profile | undefined, what: string, at: string): FieldError[] {
  if (!profile) return [];
  const { type, localhostProfile: own } = profile;
  const field = `${at}.localhostProfile`;
  const errors = type
    ? oneOf(type, ['Localhost', 'RuntimeDefault', 'Unconfined'], `${at}.type`)
    : [
        required(
          `${at}.type`,
          `type is required when ${what === 'seccomp' ? 'seccompProfile' : 'appArmorProfile'} is set`,
        ),
      ];
  if (type !== 'Localhost' && own !== undefined)
    errors.push(bad(field, own, `can only be set when ${what} type is Localhost`));
  if (type === 'Localhost' && own === undefined)
    errors.push(required(field, `must be set when ${what} type is Localhost`));
  // Of AppArmor it is a name, of seccomp a file.
  if (type === 'Localhost' && own !== undefined && what === 'seccomp') errors.push(...relativePath(own, field));
  return errors;
}

const sysctlLength = 253;
const sysctlName = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';
const sysctlPattern = new RegExp(sysctlName);

function validateSysctls(sysctls: { name?: string }[] | undefined, at: string): FieldError[] {
  const seen = new Set<string>();
  return each(sysctls, at, ({ name = '' }, field) => {
    if (name === '') return [required(`${field}.name`, '')];
    if (name.length > sysctlLength || !sysctlPattern.test(name))
      return [bad(`${field}.name`, name, `must have at most ${sysctlLength} characters and match regex ${sysctlName}`)];
    if (seen.has(name)) return [duplicate(`${field}.name`, name)];
    seen.add(name);
    return [];
  });
}

const maxNameservers = 3;
const maxSearches = 32;

function validateDns({ dnsPolicy, dnsConfig }: PodSpec, at: string): FieldError[] {
  if (dnsPolicy === 'None' && !dnsConfig) return [required(at, 'must provide `dnsConfig` when `dnsPolicy` is None')];
  const { nameservers = [], searches = [], options } = dnsConfig ?? {};
  if (dnsPolicy === 'None' && nameservers.length === 0)
    return [required(`${at}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None')];
  return [
    ...(nameservers.length > maxNameservers
      ? [bad(`${at}.nameservers`, nameservers, `must not have more than ${maxNameservers} nameservers`)]
      : []),
    ...each(nameservers, `${at}.nameservers`, (server, field) =>
      isIP(server) ? [] : [bad(field, server, 'must be valid IP address')],
    ),
    ...(searches.length > maxSearches
      ? [bad(`${at}.searches`, searches, `must not have more than ${maxSearches} search paths`)]
      : []),
    ...each(options, `${at}.options`, ({ name }, field) => (name ? [] : [required(field, 'must not be empty')])),
  ];
}

/** Rules on whom one container runs as. */
export function validateContainerContext({ securityContext: context }: Container, at: string): FieldError[] {
  if (!context) return [];
  const field = `${at}.securityContext`;
  const errors = [
    ...id(context.runAsUser, `${field}.runAsUser`),
    ...id(context.runAsGroup, `${field}.runAsGroup`),
    ...oneOf(context.procMount, ['Default', 'Unmasked'], `${field}.procMount`),
    ...validateProfiles(context, field),
  ];
  if (context.allowPrivilegeEscalation !== false) return errors;
  if (context.privileged)
    errors.push(bad(field, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'));
  if (context.capabilities?.add?.includes('CAP_SYS_ADMIN'))
    errors.push(
      bad(field, context, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'),
    );
  return errors;
}

/** What ephemeral containers may not have. */
const notForEphemeral = [
  'ports',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'resizePolicy',
  'restartPolicy',
] as const;

export function validateEphemeral(container: Container, spec: PodSpec, at: string): FieldError[] {
  const errors: FieldError[] = notForEphemeral
    .filter((name) => container[name] !== undefined)
    .map((name) => forbiddenField(`${at}.${name}`, 'cannot be set for an Ephemeral Container'));
  if (Object.keys(container.resources ?? {}).length > 0)
    errors.push(forbiddenField(`${at}.resources`, 'cannot be set for an Ephemeral Container'));
  const { targetContainerName: target } = container as Container & { targetContainerName?: string };
  const known = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name);
  if (target && !known.includes(target))
    errors.push({ type: 'NotFound', field: `${at}.targetContainerName`, value: target, detail: '' });
  for (const [i, mount] of (container.volumeMounts ?? []).entries())
    for (const name of ['subPath', 'subPathExpr'] as const)
      if (mount[name])
        errors.push(forbiddenField(`${at}.volumeMounts[${i}].${name}`, 'cannot be set for an Ephemeral Container'));
  return errors;
}
