import type { KubeObject, LabelSelector } from './meta.ts';

/** What calls out to one webhook, as both webhook configurations list it. */
export interface Webhook {
  name: string;
  clientConfig: WebhookClientConfig;
  rules?: OperationRule[];
  failurePolicy?: 'Fail' | 'Ignore';
  matchPolicy?: 'Exact' | 'Equivalent';
  namespaceSelector?: LabelSelector;
  objectSelector?: LabelSelector;
  sideEffects?: 'None' | 'NoneOnDryRun' | 'Some' | 'Unknown';
  timeoutSeconds?: number;
  admissionReviewVersions?: string[];
  matchConditions?: MatchCondition[];
  /** Mutating webhooks only. */
  reinvocationPolicy?: 'Never' | 'IfNeeded';
}

export interface WebhookClientConfig {
  url?: string;
  service?: { namespace: string; name: string; path?: string; port?: number };
  /** PEM, base64. */
  caBundle?: string;
}

export interface OperationRule {
  operations?: string[];
  apiGroups?: string[];
  apiVersions?: string[];
  resources?: string[];
  scope?: 'Cluster' | 'Namespaced' | '*';
  resourceNames?: string[];
}

export interface MatchCondition {
  name: string;
  /** CEL. */
  expression: string;
}

export interface WebhookConfiguration extends KubeObject {
  webhooks?: Webhook[];
}

/** What policies match on. */
export interface MatchResources {
  namespaceSelector?: LabelSelector;
  objectSelector?: LabelSelector;
  resourceRules?: OperationRule[];
  excludeResourceRules?: OperationRule[];
  matchPolicy?: 'Exact' | 'Equivalent';
}

export function defaultWebhook(webhook: Webhook): void {
  webhook.failurePolicy ??= 'Fail';
  webhook.timeoutSeconds ??= 10;
  defaultMatch(webhook);
  defaultScopes(webhook.rules);
  if (webhook.clientConfig?.service) webhook.clientConfig.service.port ??= 443;
}

export function defaultMatchResources(match: MatchResources): void {
  defaultMatch(match);
  defaultScopes(match.resourceRules);
  defaultScopes(match.excludeResourceRules);
}

function defaultMatch(match: MatchResources | Webhook): void {
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
}

function defaultScopes(rules: OperationRule[] | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= '*';
}
