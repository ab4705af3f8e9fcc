import { parseAddress, type Cidr } from '../../api/cidr.ts';
import { bad } from '../../api/field-error.ts';
import type { FieldError } from '../../api/kind.ts';
import type { ServiceSpec } from '../../api/kinds/service.ts';
import { clusterIpsOf } from '../../api/service-addresses.ts';

/** The ranges of Service addresses, the primary one first. */
export type ServiceRanges = readonly [Cidr, ...Cidr[]];

type Families = Required<Pick<ServiceSpec, 'ipFamilies' | 'ipFamilyPolicy'>> & Pick<ServiceSpec, 'clusterIPs'>;

/**
 * Of which families a Service is, and by what policy, from what it says and what the cluster has.
 * https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services
 */
export function chooseFamilies(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  ranges: ServiceRanges,
): Families | FieldError[] {
  const isDual = ranges.length === 2;
  const isSelectorless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0;
  const single = shrunk(spec, old);
  const given = single ?? spec;
  const named = given.ipFamilies ?? familiesOf(clusterIpsOf(given));
  const wasDual = named.length > 1 || clusterIpsOf(given).length > 1;
  const policy = given.ipFamilyPolicy ?? (isSelectorless || wasDual ? 'RequireDualStack' : 'SingleStack');
  const first = named[0] ?? `IPv${ranges[0].family}`;
  const isWide = policy === 'RequireDualStack' || (policy === 'PreferDualStack' && (isDual || isSelectorless));
  const families = isWide
    ? [first, named[1] ?? (first === 'IPv4' ? 'IPv6' : 'IPv4')]
    : named.length > 0
      ? named
      : [first];
  // Whoever keeps endpoints of his own may have them of any family.
  if (isSelectorless) return { ipFamilies: families, ipFamilyPolicy: policy };
  const errors: FieldError[] = [];
  if (policy === 'RequireDualStack' && !isDual)
    errors.push(bad('spec.ipFamilyPolicy', policy, 'this cluster is not configured for dual-stack services'));
  if (policy === 'SingleStack' && families.length > 1)
    errors.push(bad('spec.ipFamilyPolicy', policy, 'may only be set for one IP family'));
  if (old?.ipFamilies && old.type !== 'ExternalName' && old.ipFamilies[0] !== families[0])
    errors.push(bad('spec.ipFamilies[0]', families[0], 'may not change once set'));
  for (const [i, family] of families.entries())
    if (!ranges.some((range) => `IPv${range.family}` === family) && !errors.length)
      errors.push(bad(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
  if (errors.length > 0) return errors;
  return {
    ipFamilies: families,
    ipFamilyPolicy: policy,
    ...(single?.clusterIPs ? { clusterIPs: single.clusterIPs } : {}),
  };
}

/** A Service that becomes one of a single family by its policy alone loses its second address. */
function shrunk(spec: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec | undefined {
  if (spec.ipFamilyPolicy !== 'SingleStack' || !old || old.ipFamilyPolicy === 'SingleStack') return undefined;
  const same = (a: readonly string[] | undefined, b: readonly string[] | undefined) =>
    a === undefined || a.join() === b?.join();
  if (!same(spec.clusterIPs, old.clusterIPs) || !same(spec.ipFamilies, old.ipFamilies)) return undefined;
  const [ip] = spec.clusterIPs ?? old.clusterIPs ?? [];
  const [family] = spec.ipFamilies ?? old.ipFamilies ?? [];
  return { ...spec, ...(ip ? { clusterIPs: [ip] } : {}), ...(family ? { ipFamilies: [family] } : {}) };
}

const familiesOf = (ips: readonly string[]): ('IPv4' | 'IPv6')[] =>
  ips.flatMap((ip) => {
    const family = parseAddress(ip)?.family;
    return family ? [`IPv${family}` as const] : [];
  });
