import { storedAs, type Kind } from '../../api/kind.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import type { KubeObject, LabelSelector } from '../../api/meta.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import type { MatchResources, OperationRule } from '../../api/webhook.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import type { Authorizer } from '../auth/authorize.ts';
import type { Feed } from '../feed.ts';
import type { KindTable } from '../kinds.ts';
import { operationOf } from './review.ts';

/** What webhooks and policies have in common: rules on operations and resources, selectors on namespace and object. */
export interface Match extends Omit<MatchResources, 'resourceRules'> {
  rules?: OperationRule[] | undefined;
}

/** What a match looks things up in. */
export interface World {
  feed: Feed;
  kinds: KindTable;
  /** Whom expressions ask. */
  authorizer: Authorizer;
}

/**
 * The version of the request's kind that a match is about, so that the object can be shown in it; undefined when the match is
 * not about the request. https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules
 */
export function matchedKind(match: Match, request: AdmissionRequest, world: World): Kind | undefined {
  const { kind } = request;
  if (match.excludeResourceRules?.some((rule) => matchesRule(rule, request, kind))) return undefined;
  const exact = ruleFor(match, request, kind) ? kind : undefined;
  const found = exact ?? (match.matchPolicy === 'Exact' ? undefined : otherVersion(match, request, world));
  if (!found || !matchesNamespace(match.namespaceSelector, request, world.feed)) return undefined;
  return matchesObject(match.objectSelector, request) ? found : undefined;
}

const ruleFor = (match: Match, request: AdmissionRequest, kind: Kind): boolean =>
  match.rules === undefined || match.rules.some((rule) => matchesRule(rule, request, kind));

function otherVersion(match: Match, request: AdmissionRequest, { kinds }: World): Kind | undefined {
  const stored = storedAs(request.kind);
  return kinds.kinds.find(
    (kind) => kind !== request.kind && storedAs(kind) === stored && ruleFor(match, request, kind),
  );
}

function matchesRule(rule: OperationRule, request: AdmissionRequest, kind: Kind): boolean {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope = '*', resourceNames = [] } = rule;
  const has = (list: readonly string[], value: string) => list.includes('*') || list.includes(value);
  if (!has(operations, operationOf(request))) return false;
  if (!has(apiGroups, kind.group) || !has(apiVersions, kind.version)) return false;
  // A namespace is an object of the cluster, whatever its requests look like.
  if (scope !== '*' && (scope === 'Namespaced') !== kind.namespaced) return false;
  if (resourceNames.length > 0 && !resourceNames.includes(request.object.metadata.name ?? '')) return false;
  const subresource = request.options.subresource ?? '';
  return resources.some((resource) => {
    const [name, sub = ''] = resource.split('/');
    return (name === '*' || name === kind.plural) && (sub === '*' || sub === subresource);
  });
}

function matchesNamespace(
  selector: LabelSelector | undefined,
  { kind, object }: AdmissionRequest,
  feed: Feed,
): boolean {
  const isNamespace = kind.group === '' && kind.plural === Namespace.plural;
  if (!kind.namespaced && !isNamespace) return true;
  const labels = isNamespace
    ? object.metadata.labels
    : feed.cache(Namespace).get(object.metadata.namespace ?? '')?.object.metadata.labels;
  return matchesLabelSelector(selector ?? {}, labels);
}

function matchesObject(selector: LabelSelector | undefined, request: AdmissionRequest): boolean {
  const { body } = request.options;
  const { object, old } = body ? { object: body, old: undefined } : request;
  const fits = (one: Readonly<KubeObject> | undefined) =>
    one !== undefined && matchesLabelSelector(selector ?? {}, one.metadata.labels);
  return fits(object) || fits(old);
}
