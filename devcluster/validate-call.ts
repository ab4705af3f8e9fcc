/** Which scheduler calls and FrameworkInfos are refused, in the words of the real master. */
import type { Call, OfferConstraints } from '../mesos/scheduler.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import { constraintsError } from './constraints.ts';
import { idError, roleError, uuidError } from './roles.ts';

/** What is wrong with a call, or undefined. */
export function callError(call: Partial<Call> & { type?: string }): string | undefined {
  const { type } = call;
  if (type === undefined) return "Expecting 'type' to be present";
  const said = (text: string) => `Expecting '${text}' to be present`;
  if (type === 'SUBSCRIBE') {
    const { subscribe, framework_id } = call as Extract<Call, { type: 'SUBSCRIBE' }>;
    if (!subscribe) return said('subscribe');
    if (framework_id?.value !== subscribe.framework_info.id?.value)
      return "'framework_id' differs from 'subscribe.framework_info.id'";
    return undefined;
  }
  if (!call.framework_id) return said('framework_id');
  const member = type.toLowerCase();
  const mayBeBare = ['UNKNOWN', 'TEARDOWN', 'REVIVE', 'SUPPRESS'].includes(type);
  if (!mayBeBare && !(member in call)) return said(member);
  return detailError(call as Call);
}

function detailError(call: Call): string | undefined {
  switch (call.type) {
    case 'ACKNOWLEDGE':
      return uuidError(call.acknowledge.uuid);
    case 'ACKNOWLEDGE_OPERATION_STATUS':
      return uuidError(call.acknowledge_operation_status.uuid);
    case 'UPDATE_FRAMEWORK':
      return call.update_framework.framework_info.id?.value === call.framework_id?.value
        ? undefined
        : "'framework_id' differs from 'update_framework.framework_info.id'";
    default:
      return undefined;
  }
}

export const capabilitiesOf = (info: FrameworkInfo): ReadonlySet<string> =>
  new Set((info.capabilities ?? []).flatMap(({ type }) => (type === undefined ? [] : [type])));

export const rolesOf = (info: FrameworkInfo): string[] =>
  capabilitiesOf(info).has('MULTI_ROLE') ? (info.roles ?? []) : [info.role ?? '*'];

/** Longest duration Mesos can hold: 2^63 nanoseconds, in seconds. */
const maxSeconds = 9_223_372_036;

/** What is wrong with a framework that subscribes, or undefined. */
export function frameworkError(
  info: FrameworkInfo,
  suppressed: readonly string[],
  constraints: OfferConstraints | undefined,
): string | undefined {
  return infoError(info) ?? wishesError(info, suppressed, constraints);
}

export const infoError = (info: FrameworkInfo): string | undefined =>
  rolesError(info) ??
  (info.id ? idError(info.id.value) : undefined) ??
  timeoutError(info.failover_timeout ?? 0) ??
  quantitiesError(info);

/** What is wrong with what goes beside the FrameworkInfo. */
export const wishesError = (
  info: FrameworkInfo,
  suppressed: readonly string[],
  constraints: OfferConstraints | undefined,
): string | undefined => subsetError(rolesOf(info), suppressed, constraints) ?? constraintsError(constraints);

function rolesError(info: FrameworkInfo): string | undefined {
  const isMultiRole = capabilitiesOf(info).has('MULTI_ROLE');
  const roles = info.roles ?? [];
  if (isMultiRole && info.role !== undefined)
    return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable";
  if (!isMultiRole && roles.length > 0)
    return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable";
  const twice = roles.filter((role, i) => roles.indexOf(role) !== i);
  if (twice.length > 0) return `'FrameworkInfo.roles' contains duplicate items: { ${twice.join(', ')} }`;
  for (const role of rolesOf(info)) {
    const error = roleError(role);
    if (error !== undefined && isMultiRole) return `'FrameworkInfo.roles' contains invalid role: ${error}`;
    if (error !== undefined) return `'FrameworkInfo.role' is not a valid role: ${error}`;
  }
  return undefined;
}

const timeoutError = (seconds: number): string | undefined =>
  Math.abs(seconds) > maxSeconds || Number.isNaN(seconds)
    ? `The framework failover_timeout (${printDouble(seconds)}) is invalid`
    : undefined;

/** As C++ streams print: six significant digits. */
const printDouble = (n: number): string =>
  String(Number(n.toPrecision(6))).replace(/^(\d)(0{20,})$/, (_m, d, z) => `${d}e+${z.length}`);

function quantitiesError(info: FrameworkInfo): string | undefined {
  for (const filters of Object.values(info.offer_filters ?? {}))
    for (const { quantities } of filters.min_allocatable_resources?.quantities ?? [])
      for (const [name, { value }] of Object.entries(quantities ?? {}))
        if (value < 0) return `Invalid resource quantity for '${name}': Negative values not supported`;
  return undefined;
}

function subsetError(
  roles: readonly string[],
  suppressed: readonly string[],
  constraints: OfferConstraints | undefined,
): string | undefined {
  const foreign = suppressed.filter((role) => !roles.includes(role));
  if (foreign.length > 0) return `Suppressed roles { ${foreign.join(', ')} } are not contained in the set of roles`;
  const other = Object.keys(constraints?.role_constraints ?? {}).find((role) => !roles.includes(role));
  if (other === undefined) return undefined;
  // The missing blank is Mesos'.
  return `Offer constraints specify \`role_constraints\` for a role '${other}'not contained in the set of roles`;
}
