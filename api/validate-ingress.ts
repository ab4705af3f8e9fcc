import { isIP } from 'node:net';
import { bad, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Ingress, IngressBackend, IngressRule } from './kinds/ingress.ts';
import { checkDns1035, checkDnsSubdomain, checkPortName } from './names.ts';
import { each, mustBeNamed, named, oneOf } from './rules.ts';

export function validateIngress({ spec = {} }: Ingress): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.rules?.length && !spec.defaultBackend)
    errors.push(bad('spec', spec.rules, 'either `defaultBackend` or `rules` must be specified'));
  return [
    ...errors,
    ...(spec.defaultBackend ? validateBackend(spec.defaultBackend, 'spec.defaultBackend') : []),
    ...each(spec.rules, 'spec.rules', validateRule),
    ...each(spec.tls, 'spec.tls', (tls, field) => [
      ...each(tls.hosts, `${field}.hosts`, checkHost),
      ...named(tls.secretName, checkDnsSubdomain, `${field}.secretName`),
    ]),
    ...named(spec.ingressClassName, checkDnsSubdomain, 'spec.ingressClassName'),
  ];
}

const oldClass = 'kubernetes.io/ingress.class';

/** A new Ingress names its class in one way; one that is there may be on its way from the old one to the new. */
export function validateIngressClass({ metadata, spec }: Ingress): FieldError[] {
  const annotation = metadata.annotations?.[oldClass];
  return annotation !== undefined && spec?.ingressClassName !== undefined
    ? [bad(`annotations.${oldClass}`, annotation, 'can not be set when the class field is also set')]
    : [];
}

function checkHost(host: string, field: string): FieldError[] {
  if (isIP(host)) return [bad(field, host, 'must be a DNS name, not an IP address')];
  return named(host.startsWith('*.') ? host.slice(2) : host, checkDnsSubdomain, field);
}

function validateRule({ host, http }: IngressRule, at: string): FieldError[] {
  const errors = host ? checkHost(host, `${at}.host`) : [];
  if (!http) return errors;
  if (!http.paths?.length) errors.push(required(`${at}.http.paths`));
  return [...errors, ...each(http.paths, `${at}.http.paths`, validatePath)];
}

type Path = NonNullable<IngressRule['http']>['paths'][number];

const forbiddenInPath = ['//', '/./', '/../', '%2f', '%2F'];
const forbiddenAtEnd = ['/..', '/.'];

function validatePath({ path = '', pathType, backend }: Path, at: string): FieldError[] {
  if (!pathType) return [required(`${at}.pathType`, 'pathType must be specified')];
  const errors = oneOf(pathType, ['Exact', 'ImplementationSpecific', 'Prefix'], `${at}.pathType`);
  const field = `${at}.path`;
  if (!path.startsWith('/') && (pathType !== 'ImplementationSpecific' || path !== ''))
    errors.push(bad(field, path, 'must be an absolute path'));
  if (pathType !== 'ImplementationSpecific') {
    for (const part of forbiddenInPath)
      if (path.includes(part)) errors.push(bad(field, path, `must not contain '${part}'`));
    for (const end of forbiddenAtEnd) if (path.endsWith(end)) errors.push(bad(field, path, `cannot end with '${end}'`));
  }
  return [...errors, ...validateBackend(backend ?? {}, `${at}.backend`)];
}

function validateBackend({ service, resource }: IngressBackend, at: string): FieldError[] {
  if (service && resource) return [bad(at, '', 'cannot set both resource and service backends')];
  if (resource)
    return [
      ...(resource.kind ? [] : [required(`${at}.resource.kind`, 'kind is required')]),
      ...(resource.name ? [] : [required(`${at}.resource.name`, 'name is required')]),
    ];
  if (!service) return [bad(at, '', 'resource or service backend is required')];
  const { name, number } = service.port ?? {};
  const errors = mustBeNamed(service.name, checkDns1035, `${at}.service.name`);
  if (name && number) errors.push(bad(at, '', 'cannot set both port name & port number'));
  else if (name) errors.push(...named(name, checkPortName, `${at}.service.port.name`));
  else if (!number) errors.push(required(at, 'port name or number is required'));
  else if (number < 1 || number > 65535)
    errors.push(bad(`${at}.service.port.number`, number, 'must be between 1 and 65535, inclusive'));
  return errors;
}
