import { parseAddress, parseCidr } from './cidr.ts';
import { bad, duplicate, forbiddenField, immutable, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { ServicePort, ServiceSpec } from './kinds/service.ts';
import { checkDnsLabel, checkDnsSubdomain, checkQualifiedName } from './names.ts';
import { portRange } from './pod-spec-validate.ts';
import { between, each, mustBeOneOf, named, oneOf } from './rules.ts';
import { isExternallyAccessible, needsHealthCheckPort, usesNodePorts } from './service-addresses.ts';
import { notSpecial } from './special-addresses.ts';
import { validateLabels } from './validate-meta.ts';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const policies = ['Cluster', 'Local'];
/** Seconds. */
const day = 86_400;

/** https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/#ServiceSpec */
export function validateServiceSpec(spec: ServiceSpec | undefined): FieldError[] {
  if (!spec) return [required('spec.ports')];
  const ports = spec.ports ?? [];
  const isName = spec.type === 'ExternalName';
  return [
    ...oneOf(spec.type, types, 'spec.type'),
    ...(ports.length === 0 && spec.clusterIP !== 'None' && !isName ? [required('spec.ports')] : []),
    ...validatePorts(ports, spec),
    ...(isName ? validateName(spec) : validateAddresses(spec)),
    ...validateAffinity(spec),
    ...validateTraffic(spec),
    ...validateLoadBalancer(spec),
    ...each(spec.externalIPs, 'spec.externalIPs', validateExternalIp),
    ...validateLabels(spec.selector, 'spec.selector'),
  ];
}

/** What the cluster has given to a Service is not taken away by a change of its other parts. */
export function validateServiceUpdate(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName' && old.clusterIP && spec.clusterIP !== old.clusterIP)
    errors.push(immutable('spec.clusterIPs[0]', spec.clusterIP));
  if (needsHealthCheckPort(spec) && needsHealthCheckPort(old) && old.healthCheckNodePort)
    if (spec.healthCheckNodePort !== old.healthCheckNodePort)
      errors.push(immutable('spec.healthCheckNodePort', spec.healthCheckNodePort));
  if (spec.type === 'LoadBalancer' && old.type === 'LoadBalancer' && spec.loadBalancerClass !== old.loadBalancerClass)
    errors.push(bad('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set'));
  return errors;
}

function validatePorts(ports: readonly ServicePort[], spec: ServiceSpec): FieldError[] {
  const seen = { names: new Set<string>(), ports: new Set<string>(), nodePorts: new Set<string>() };
  const again = (set: Set<string>, key: string): boolean => set.size === set.add(key).size;
  return each(ports, 'spec.ports', (port, at) => {
    const { name, protocol = '', targetPort, nodePort, appProtocol } = port;
    const errors: FieldError[] = [];
    if (ports.length > 1 && !name) errors.push(required(`${at}.name`));
    if (name) errors.push(...named(name, checkDnsLabel, `${at}.name`));
    if (name && again(seen.names, name)) errors.push(duplicate(`${at}.name`, name));
    errors.push(
      ...portRange(port.port ?? 0, `${at}.port`),
      ...oneOf(protocol, ['SCTP', 'TCP', 'UDP'], `${at}.protocol`),
    );
    if (typeof targetPort === 'number') errors.push(...portRange(targetPort, `${at}.targetPort`));
    if (appProtocol) errors.push(...named(appProtocol, checkQualifiedName, `${at}.appProtocol`));
    if (nodePort && !usesNodePorts(spec))
      errors.push(forbiddenField(`${at}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
    if (nodePort && again(seen.nodePorts, `${protocol}/${nodePort}`))
      errors.push(duplicate(`${at}.nodePort`, nodePort));
    if (again(seen.ports, `${protocol}/${port.port}`)) errors.push(duplicate(at, port));
    return errors;
  });
}

function validateName({ externalName, clusterIP, clusterIPs = [] }: ServiceSpec): FieldError[] {
  const errors = externalName
    ? named(externalName.replace(/\.$/, ''), checkDnsSubdomain, 'spec.externalName')
    : [required('spec.externalName')];
  if (clusterIP || clusterIPs.length > 0)
    errors.push(forbiddenField('spec.clusterIPs', 'may not be set for ExternalName services'));
  return errors;
}

function validateAddresses({ type, clusterIP, clusterIPs = [], ipFamilies = [], ...spec }: ServiceSpec): FieldError[] {
  const at = 'spec.clusterIPs';
  if (clusterIP === 'None' && type !== 'ClusterIP')
    return [bad(`${at}[0]`, clusterIP, `may not be set to 'None' for ${type} services`)];
  const errors: FieldError[] = [];
  if (clusterIP && clusterIPs.length > 0 && clusterIPs[0] !== clusterIP)
    errors.push(bad('spec.clusterIP', clusterIP, 'must be equal to the value of `clusterIPs[0]`'));
  if (clusterIPs.length > 2) errors.push(bad(at, clusterIPs, 'may only hold up to 2 values'));
  const families = clusterIPs.map((ip) => parseAddress(ip)?.family);
  for (const [i, ip] of clusterIPs.entries()) {
    if (ip === 'None') {
      if (clusterIPs.length > 1) errors.push(bad(`${at}[${i}]`, ip, "'None' must be the first and only value"));
    } else if (families[i] === undefined) errors.push(bad(`${at}[${i}]`, ip, ipForm));
    else if (ipFamilies[i] && ipFamilies[i] !== `IPv${families[i]}`)
      errors.push(bad(`${at}[${i}]`, ip, `expected an ${ipFamilies[i]} value as indicated by \`ipFamilies[${i}]\``));
  }
  if (families.length === 2 && families[0] !== undefined && families[0] === families[1])
    errors.push(bad(at, clusterIPs, 'may specify no more than one IP for each IP family'));
  if (new Set(ipFamilies).size < ipFamilies.length) errors.push(duplicate('spec.ipFamilies[1]', ipFamilies[1]));
  return [
    ...errors,
    ...each(ipFamilies, 'spec.ipFamilies', (family, field) => oneOf(family, ['IPv4', 'IPv6'], field)),
    ...oneOf(spec.ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack'], 'spec.ipFamilyPolicy'),
  ];
}

const ipForm = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

function validateAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): FieldError[] {
  const at = 'spec.sessionAffinityConfig';
  const errors = oneOf(sessionAffinity, ['ClientIP', 'None'], 'spec.sessionAffinity');
  if (sessionAffinity === 'None' && sessionAffinityConfig)
    errors.push(forbiddenField(at, "must not be set when session affinity is 'None'"));
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (sessionAffinity === 'ClientIP' && seconds !== undefined && (seconds < 1 || seconds > day))
    errors.push(
      bad(`${at}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than or equal to ${day}`),
    );
  return errors;
}

function validateTraffic(spec: ServiceSpec): FieldError[] {
  const { externalTrafficPolicy, internalTrafficPolicy, healthCheckNodePort, trafficDistribution } = spec;
  const errors: FieldError[] = [];
  if (isExternallyAccessible(spec))
    errors.push(...mustBeOneOf(externalTrafficPolicy, policies, 'spec.externalTrafficPolicy'));
  else if (externalTrafficPolicy)
    errors.push(
      bad('spec.externalTrafficPolicy', externalTrafficPolicy, 'may only be set for externally-accessible services'),
    );
  if (healthCheckNodePort && !needsHealthCheckPort(spec))
    errors.push(
      bad(
        'spec.healthCheckNodePort',
        healthCheckNodePort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    );
  return [
    ...errors,
    ...between(healthCheckNodePort || undefined, 1, 65_535, 'spec.healthCheckNodePort'),
    ...oneOf(internalTrafficPolicy, policies, 'spec.internalTrafficPolicy'),
    ...oneOf(trafficDistribution, ['PreferClose', 'PreferSameNode', 'PreferSameZone'], 'spec.trafficDistribution'),
  ];
}

const onlyBalanced = "may only be used when `type` is 'LoadBalancer'";

function validateLoadBalancer(spec: ServiceSpec): FieldError[] {
  const { type, loadBalancerSourceRanges, allocateLoadBalancerNodePorts, loadBalancerClass } = spec;
  const isBalanced = type === 'LoadBalancer';
  const errors: FieldError[] = [];
  if (!isBalanced && loadBalancerSourceRanges?.length)
    errors.push(forbiddenField('spec.loadBalancerSourceRanges', onlyBalanced));
  if (!isBalanced && allocateLoadBalancerNodePorts !== undefined)
    errors.push(forbiddenField('spec.allocateLoadBalancerNodePorts', onlyBalanced));
  if (isBalanced && allocateLoadBalancerNodePorts === undefined)
    errors.push(required('spec.allocateLoadBalancerNodePorts'));
  if (loadBalancerClass !== undefined)
    errors.push(
      ...(isBalanced
        ? named(loadBalancerClass, checkQualifiedName, 'spec.loadBalancerClass')
        : [forbiddenField('spec.loadBalancerClass', onlyBalanced)]),
    );
  return [
    ...errors,
    ...each(loadBalancerSourceRanges, 'spec.loadBalancerSourceRanges', (range, field) =>
      parseCidr(range.trim())
        ? []
        : [bad(field, range, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')],
    ),
  ];
}

const validateExternalIp = (ip: string, field: string): FieldError[] =>
  parseAddress(ip) ? notSpecial(ip, field) : [bad(field, ip, ipForm)];
