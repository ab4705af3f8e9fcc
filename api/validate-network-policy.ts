import { isStrictSubset, parseCidr } from './cidr.ts';
import { bad, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from './kinds/network-policy.ts';
import { checkPortName } from './names.ts';
import { between, each, named, oneOf } from './rules.ts';
import { validateSelector } from './selector-validate.ts';

export function validateNetworkPolicy({ spec = {} }: NetworkPolicy): FieldError[] {
  const types = spec.policyTypes ?? [];
  return [
    ...validateSelector(spec.podSelector ?? {}, 'spec.podSelector'),
    ...each(spec.ingress, 'spec.ingress', ({ ports, from }, field) => [
      ...each(ports, `${field}.ports`, validatePort),
      ...each(from, `${field}.from`, validatePeer),
    ]),
    ...each(spec.egress, 'spec.egress', ({ ports, to }, field) => [
      ...each(ports, `${field}.ports`, validatePort),
      ...each(to, `${field}.to`, validatePeer),
    ]),
    ...(types.length > 2 ? [bad('spec.policyTypes', types, 'may not specify more than two policyTypes')] : []),
    ...each(types, 'spec.policyTypes', (type, field) => oneOf(type, ['Egress', 'Ingress'], field)),
  ];
}

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, at: string): FieldError[] {
  const errors = oneOf(protocol, ['SCTP', 'TCP', 'UDP'], `${at}.protocol`);
  if (typeof port === 'number') {
    errors.push(...between(port, 1, 65535, `${at}.port`));
    if (endPort !== undefined && endPort < port)
      errors.push(bad(`${at}.endPort`, endPort, 'must be greater than or equal to `port`'));
    return [...errors, ...between(endPort, 1, 65535, `${at}.endPort`)];
  }
  if (typeof port === 'string') errors.push(...named(port, checkPortName, `${at}.port`));
  if (endPort !== undefined)
    errors.push(
      bad(
        `${at}.endPort`,
        endPort,
        `may not be specified when \`port\` is ${port === undefined ? 'not specified' : 'non-numeric'}`,
      ),
    );
  return errors;
}

function validatePeer(peer: NetworkPolicyPeer, at: string): FieldError[] {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (!podSelector && !namespaceSelector && !ipBlock) return [required(at, 'must specify a peer')];
  const errors: FieldError[] = [];
  if (podSelector) errors.push(...validateSelector(podSelector, `${at}.podSelector`));
  if (namespaceSelector) errors.push(...validateSelector(namespaceSelector, `${at}.namespaceSelector`));
  if (!ipBlock) return errors;
  if (podSelector || namespaceSelector)
    errors.push(forbiddenField(at, 'may not specify both ipBlock and another peer'));
  return [...errors, ...validateBlock(ipBlock, `${at}.ipBlock`)];
}

function validateBlock({ cidr, except }: NonNullable<NetworkPolicyPeer['ipBlock']>, at: string): FieldError[] {
  if (!cidr) return [required(`${at}.cidr`)];
  const range = parseCidr(cidr);
  if (!range) return [bad(`${at}.cidr`, cidr, 'not a valid CIDR')];
  return each(except, `${at}.except`, (text, field) => {
    const inner = parseCidr(text);
    if (!inner) return [bad(field, text, 'not a valid CIDR')];
    return isStrictSubset(inner, range) ? [] : [bad(field, text, 'must be a strict subset of `cidr`')];
  });
}
