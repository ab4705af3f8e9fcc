import { isIPv4, isIPv6 } from 'node:net';
import { bad, duplicate, notSupported, required, tooMany } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { EndpointSlice } from './kinds/endpoint-slice.ts';
import type { EndpointAddress, Endpoints } from './kinds/endpoints.ts';
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from './names.ts';
import { between, each, mustBeNamed, mustBeOneOf, named } from './rules.ts';
import { notLinkLocal } from './special-addresses.ts';

const protocols = ['SCTP', 'TCP', 'UDP'];

/** Rules on Endpoints: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/ */
export const validateEndpoints = ({ subsets }: Endpoints): FieldError[] =>
  each(subsets, 'subsets', ({ addresses, notReadyAddresses, ports }, at) => [
    ...(addresses?.length || notReadyAddresses?.length
      ? []
      : [required(at, 'must specify `addresses` or `notReadyAddresses`')]),
    ...each(addresses, `${at}.addresses`, validateAddress),
    ...each(notReadyAddresses, `${at}.notReadyAddresses`, validateAddress),
    ...each(ports, `${at}.ports`, ({ name, port, protocol, appProtocol }, field) => [
      ...(ports!.length > 1 || name ? mustBeNamed(name, checkDnsLabel, `${field}.name`) : []),
      ...between(port ?? 0, 1, 65_535, `${field}.port`),
      ...mustBeOneOf(protocol, protocols, `${field}.protocol`),
      ...named(appProtocol, checkQualifiedName, `${field}.appProtocol`),
    ]),
  ]);

const validateAddress = ({ ip = '', hostname, nodeName }: EndpointAddress, at: string): FieldError[] => [
  ...(isIPv4(ip) || isIPv6(ip) ? notLinkLocal(ip, `${at}.ip`) : [bad(`${at}.ip`, ip, anyAddress)]),
  ...named(hostname, checkDnsLabel, `${at}.hostname`),
  ...named(nodeName, checkDnsSubdomain, `${at}.nodeName`),
];

const anyAddress = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

const most = { endpoints: 1000, addresses: 100, ports: 20_000, hints: 8 };
const types = ['FQDN', 'IPv4', 'IPv6'];

/** Rules on EndpointSlices: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/ */
export const validateSlice = ({ addressType, endpoints, ports }: EndpointSlice): FieldError[] => [
  ...mustBeOneOf(addressType, types, 'addressType'),
  ...(endpoints.length > most.endpoints
    ? [tooMany('endpoints', endpoints.length, most.endpoints)]
    : each(endpoints, 'endpoints', (endpoint, at) => validateEndpoint(endpoint, addressType, at))),
  ...validatePorts(ports),
];

type Endpoint = EndpointSlice['endpoints'][number];

function validateEndpoint({ addresses = [], nodeName, hostname, hints }: Endpoint, type: string, at: string) {
  const field = `${at}.addresses`;
  const count = addresses.length;
  return [
    ...(count === 0 ? [required(field, 'must contain at least 1 address')] : []),
    ...(count > most.addresses ? [tooMany(field, count, most.addresses)] : []),
    ...each(addresses, field, (address, one) => validateOfType(address, type, one)),
    ...named(nodeName, checkDnsSubdomain, `${at}.nodeName`),
    ...named(hostname, checkDnsLabel, `${at}.hostname`),
    ...validateHints(hints?.forZones, checkLabelValue, `${at}.hints.forZones`),
    ...validateHints(hints?.forNodes, checkDnsSubdomain, `${at}.hints.forNodes`),
  ];
}

function validateOfType(address: string, type: string, at: string): FieldError[] {
  if (type === 'FQDN') return validateDomain(address, at);
  if (type === 'IPv4')
    return isIPv4(address) ? notLinkLocal(address, at) : [bad(at, address, 'must be a valid IPv4 address')];
  if (type === 'IPv6')
    return isIPv6(address) ? notLinkLocal(address, at) : [bad(at, address, 'must be a valid IPv6 address')];
  return [];
}

function validateDomain(domain: string, at: string): FieldError[] {
  const name = domain.replace(/\.$/, '');
  const errors = mustBeNamed(name, checkDnsSubdomain, at);
  if (errors.length > 0 || name.includes('.')) return errors;
  return [bad(at, domain, 'should be a domain with at least two segments separated by dots')];
}

function validateHints(hints: { name: string }[] | undefined, check: (name: string) => string[], at: string) {
  if ((hints?.length ?? 0) > most.hints) return [tooMany(at, hints!.length, most.hints)];
  const seen = new Set<string>();
  return each(hints, at, ({ name }, field) => [
    ...again(name, seen, `${field}.name`),
    ...named(name, check, `${field}.name`),
  ]);
}

function validatePorts(ports: EndpointSlice['ports']): FieldError[] {
  if ((ports?.length ?? 0) > most.ports) return [tooMany('ports', ports!.length, most.ports)];
  const seen = new Set<string>();
  return each(ports, 'ports', ({ name = '', protocol = '', appProtocol }, field) => [
    ...named(name, checkDnsLabel, `${field}.name`),
    ...again(name, seen, `${field}.name`),
    ...(protocols.includes(protocol) ? [] : [notSupported(`${field}.protocol`, protocol, protocols)]),
    ...named(appProtocol, checkQualifiedName, `${field}.appProtocol`),
  ]);
}

function again(name: string, seen: Set<string>, field: string): FieldError[] {
  if (seen.has(name)) return [duplicate(field, name)];
  seen.add(name);
  return [];
}
