import { bad, duplicate, required, tooMany } from './field-error.ts';
import type { FieldError } from './kind.ts';
import { checkDns1035, checkDnsSubdomain, checkQualifiedName } from './names.ts';
import { between, each, mustBeNamed, named, oneOf } from './rules.ts';
import type { MatchCondition, OperationRule, Webhook, WebhookClientConfig, WebhookConfiguration } from './webhook.ts';
import { admissionNames, checkCel, type AdmissionNames } from './structural/check-cel.ts';
import { validateSelector } from './selector-validate.ts';

const maxConditions = 64;

export function validateWebhooks({ webhooks = [] }: WebhookConfiguration): FieldError[] {
  const names = webhooks.map(({ name }) => name);
  return each(webhooks, 'webhooks', (webhook, field) => [
    ...(names.indexOf(webhook.name) < webhooks.indexOf(webhook) ? [duplicate(`${field}.name`, webhook.name)] : []),
    ...validateWebhook(webhook, field),
  ]);
}

function validateWebhook(webhook: Webhook, at: string): FieldError[] {
  const versions = webhook.admissionReviewVersions ?? [];
  const errors = mustBeNamed(webhook.name, checkFullName, `${at}.name`);
  if (versions.length === 0) errors.push(required(`${at}.admissionReviewVersions`, 'must specify one of v1, v1beta1'));
  else if (!versions.some((version) => ['v1', 'v1beta1'].includes(version)))
    errors.push(bad(`${at}.admissionReviewVersions`, versions, 'must include at least one of v1, v1beta1'));
  return [
    ...errors,
    ...each(webhook.rules, `${at}.rules`, validateRule),
    ...oneOf(webhook.failurePolicy, ['Fail', 'Ignore'], `${at}.failurePolicy`),
    ...oneOf(webhook.matchPolicy, ['Equivalent', 'Exact'], `${at}.matchPolicy`),
    ...(webhook.sideEffects
      ? oneOf(webhook.sideEffects, ['None', 'NoneOnDryRun'], `${at}.sideEffects`)
      : [required(`${at}.sideEffects`, 'must specify one of None, NoneOnDryRun')]),
    ...oneOf(webhook.reinvocationPolicy, ['IfNeeded', 'Never'], `${at}.reinvocationPolicy`),
    ...validateTimeout(webhook.timeoutSeconds, `${at}.timeoutSeconds`),
    ...validateSelector(webhook.namespaceSelector ?? {}, `${at}.namespaceSelector`),
    ...validateSelector(webhook.objectSelector ?? {}, `${at}.objectSelector`),
    ...validateConditions(webhook.matchConditions, `${at}.matchConditions`),
    ...validateClientConfig(webhook.clientConfig ?? {}, `${at}.clientConfig`),
  ];
}

const validateTimeout = (seconds: number | undefined, at: string): FieldError[] =>
  seconds === undefined || (seconds >= 1 && seconds <= 30)
    ? []
    : [bad(at, seconds, 'the timeout value must be between 1 and 30 seconds')];

/** Three parts or more: nobody's webhooks run into somebody else's. */
const checkFullName = (name: string): string[] => [
  ...checkDnsSubdomain(name),
  ...(name.split('.').length < 3 ? ['should be a domain with at least three segments separated by dots'] : []),
];

export function validateConditions(
  conditions: readonly MatchCondition[] | undefined,
  at: string,
  see: AdmissionNames = {},
): FieldError[] {
  const names = new Set<string>();
  const count = conditions?.length ?? 0;
  const errors = count > maxConditions ? [tooMany(at, count, maxConditions)] : [];
  return [
    ...errors,
    ...each(conditions, at, ({ name, expression }, field) => {
      const again = names.has(name) ? [duplicate(`${field}.name`, name)] : [];
      names.add(name);
      return [
        ...mustBeNamed(name, checkQualifiedName, `${field}.name`),
        ...again,
        ...(expression?.trim()
          ? checkCel(expression, `${field}.expression`, admissionNames(see), ['bool'])
          : [required(`${field}.expression`)]),
      ];
    }),
  ];
}

/** Which operations on which resources; `at` is the path of the rule. */
export function validateRule(rule: OperationRule, at: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['operations', 'apiGroups', 'apiVersions', 'resources'] as const) {
    const values = rule[name] ?? [];
    if (values.length === 0) errors.push(required(`${at}.${name}`));
    if (values.length > 1 && values.includes('*') && name !== 'resources')
      errors.push(bad(`${at}.${name}`, values, `if '*' is present, must not specify other ${plain[name]}`));
  }
  return [
    ...errors,
    ...validateResources(rule.resources ?? [], `${at}.resources`),
    ...each(rule.operations, `${at}.operations`, (operation, field) =>
      oneOf(operation, ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'], field),
    ),
    ...oneOf(rule.scope, ['*', 'Cluster', 'Namespaced'], `${at}.scope`),
  ];
}

// `*` is every resource, `pods/*` every subresource of one, `*/scale` one subresource of all, `*/*` everything.
function validateResources(resources: readonly string[], at: string): FieldError[] {
  const errors: FieldError[] = [];
  const [whole, common] = [new Set<string>(), new Set<string>()];
  for (const [i, text] of resources.entries()) {
    const [resource = '', subresource] = text.split('/', 2);
    if (text === '') errors.push(required(`${at}[${i}]`));
    if (subresource === undefined) continue;
    if (whole.has(resource))
      errors.push(bad(`${at}[${i}]`, text, `if '${resource}/*' is present, must not specify ${text}`));
    if (common.has(subresource))
      errors.push(bad(`${at}[${i}]`, text, `if '*/${subresource}' is present, must not specify ${text}`));
    if (subresource === '*') whole.add(resource);
    if (resource === '*') common.add(subresource);
  }
  if (resources.length > 1 && resources.includes('*/*'))
    errors.push(bad(at, resources, "if '*/*' is present, must not specify other resources"));
  if (resources.includes('*') && resources.some((text) => text !== '*' && !text.includes('/')))
    errors.push(bad(at, resources, "if '*' is present, must not specify other resources without subresources"));
  return errors;
}

const plain = { operations: 'operations', apiGroups: 'API groups', apiVersions: 'API versions', resources: '' };

export function validateClientConfig({ url, service }: WebhookClientConfig, at: string): FieldError[] {
  if ((url === undefined) === (service === undefined))
    return [required(at, 'exactly one of url or service is required')];
  if (url !== undefined) return validateUrl(url, `${at}.url`);
  const { name, namespace, path, port } = service!;
  return [
    ...(name
      ? named(name, checkDns1035, `${at}.service.name`)
      : [required(`${at}.service.name`, 'service name is required')]),
    ...(namespace ? [] : [required(`${at}.service.namespace`, 'service namespace is required')]),
    ...(path !== undefined && !path.startsWith('/') ? [bad(`${at}.service.path`, path, "must start with a '/'")] : []),
    ...between(port, 1, 65535, `${at}.service.port`),
  ];
}

const urlForm = '; desired format: https://host[/path]';

function validateUrl(text: string, at: string): FieldError[] {
  const url = URL.parse(text);
  if (!url) return [required(at, `url must be a valid URL: ${text}${urlForm}`)];
  const errors: FieldError[] = [];
  if (url.protocol !== 'https:')
    errors.push(bad(at, url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${urlForm}`));
  if (!url.host) errors.push(bad(at, url.host, `host must be specified${urlForm}`));
  if (url.username) errors.push(bad(at, url.username, 'user information is not permitted in the URL'));
  if (url.hash) errors.push(bad(at, url.hash.slice(1), 'fragments are not permitted in the URL'));
  if (url.search) errors.push(bad(at, url.search.slice(1), 'query parameters are not permitted in the URL'));
  return errors;
}
