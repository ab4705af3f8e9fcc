import type { KubeObject } from '../../api/meta.ts';
import { required, invalid } from '../../api/field-error.ts';
import type { PolicyRule } from '../../api/rbac.ts';
import { badRequest } from '../../api/status.ts';
import { bodyTypeOf, decodeBody } from '../body.ts';
import type { Answer, Call } from '../call.ts';
import type { Authenticator } from './authenticate.ts';
import { attributes, type Attributes, type Authorizer } from './authorize.ts';
import { userInfo, type User } from './user.ts';

/** Who can answer. */
export interface Knowing {
  authenticator: Authenticator;
  authorizer: Authorizer;
}

interface Question extends KubeObject {
  spec?: Spec;
}

interface Requirements {
  rawSelector?: string;
  requirements?: { key: string; operator: string; values?: string[] }[];
}

interface Spec {
  resourceAttributes?: Partial<
    Record<'namespace' | 'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'name', string>
  > & { fieldSelector?: Requirements; labelSelector?: Requirements };
  nonResourceAttributes?: { path?: string; verb?: string };
  user?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
  namespace?: string;
  token?: string;
  audiences?: string[];
}

type Answering = (question: Question, call: Call, knowing: Knowing) => Promise<object>;

/** The question kinds by name, each with what becomes of its status. */
const answers: Readonly<Record<string, Answering>> = {
  SelfSubjectReview: (_question, { user }) => Promise.resolve({ userInfo: userInfo(user) }),
  TokenReview: async ({ spec = {} }, _call, { authenticator }) => {
    if (!spec.token) throw badRequest('token is required for TokenReview in authentication');
    const known = await authenticator.review(spec.token, spec.audiences ?? []);
    if (!known) return { user: {}, error: '[invalid bearer token]' };
    return { authenticated: true, user: userInfo(known.user), audiences: known.audiences };
  },
  SelfSubjectAccessReview: (question, { user }, { authorizer }) => verdict(question, user, authorizer),
  SubjectAccessReview: (question, _call, { authorizer }) => verdict(question, subjectOf(question), authorizer),
  LocalSubjectAccessReview: (question, { namespace }, { authorizer }) => {
    const asked = question.spec?.resourceAttributes?.namespace ?? '';
    if (question.spec?.nonResourceAttributes)
      throw invalid(group(question), '', [
        {
          type: 'Invalid',
          field: 'spec.nonResourceAttributes',
          value: question.spec.nonResourceAttributes,
          detail: 'disallowed on this kind of request',
        },
      ]);
    if (asked !== namespace)
      throw invalid(group(question), '', [
        {
          type: 'Invalid',
          field: 'spec.resourceAttributes.namespace',
          value: asked,
          detail: 'must match metadata.namespace',
        },
      ]);
    return verdict(question, subjectOf(question), authorizer);
  },
  SelfSubjectRulesReview: ({ spec = {} }, { user }, { authorizer }) => {
    if (!spec.namespace) throw badRequest('no namespace on request');
    return Promise.resolve(rulesStatus(authorizer, user, spec.namespace));
  },
};

/** Answers a POST of a question kind. */
export async function answerQuestion(call: Call, knowing: Knowing): Promise<Answer> {
  const { object } = decodeBody<Question>(call.contentType, call.body, bodyTypeOf(call.kind));
  const status = await answers[call.kind.kind]!(object, call, knowing);
  const { kind, apiVersion, spec } = object;
  const metadata = { ...object.metadata, creationTimestamp: null };
  return { code: 201, value: { kind, apiVersion, metadata, ...(spec ? { spec } : {}), status } };
}

const group = ({ kind = '' }: Question) => ({ group: 'authorization.k8s.io', kind });

function subjectOf(question: Question): User {
  const { user = '', uid, groups = [], extra } = question.spec ?? {};
  if (!user && groups.length === 0)
    throw invalid(group(question), '', [required('spec.user', 'at least one of user or group must be specified')]);
  return { name: user, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
}

async function verdict(question: Question, user: User, authorizer: Authorizer): Promise<object> {
  const { allowed, denied, reason, error } = await authorizer.judge(user, attributesOf(question));
  return {
    allowed,
    ...(denied ? { denied } : {}),
    ...(reason ? { reason } : {}),
    ...(error ? { evaluationError: error } : {}),
  };
}

function attributesOf(question: Question): Attributes {
  const { resourceAttributes: r, nonResourceAttributes: path } = question.spec ?? {};
  if ((r === undefined) === (path === undefined))
    throw invalid(group(question), '', [
      {
        type: 'Invalid',
        field: r ? 'spec.nonResourceAttributes' : 'spec.resourceAttributes',
        value: path ?? null,
        detail: r
          ? 'cannot be specified in combination with resourceAttributes'
          : 'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      },
    ]);
  if (!r) return attributes({ verb: path?.verb ?? '', path: path?.path ?? '' });
  const { fieldSelector, labelSelector, ...plain } = r;
  return attributes({
    ...plain,
    fieldSelector: selectorText(fieldSelector),
    labelSelector: selectorText(labelSelector),
  });
}

/** Requirements as a query writes them; those that it cannot write narrow nothing down and are left off. */
function selectorText({ rawSelector, requirements = [] }: Requirements = {}): string {
  if (rawSelector) return rawSelector;
  return requirements
    .flatMap(({ key, operator, values = [] }) => {
      if (operator === 'Exists') return [key];
      if (operator === 'DoesNotExist') return [`!${key}`];
      if (values.length === 1) return [`${key}${operator === 'In' ? '=' : '!='}${values[0]}`];
      return [`${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`];
    })
    .join(',');
}

function rulesStatus(authorizer: Authorizer, user: User, namespace: string): object {
  const { rules, unknown } = authorizer.rules?.(user, namespace) ?? { rules: [], unknown: 'rules are not known' };
  const paths = (rule: PolicyRule) => rule.nonResourceURLs ?? [];
  return {
    resourceRules: rules
      .filter((rule) => rule.resources?.length)
      .map(({ verbs, apiGroups = [], resources = [], resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames?.length ? { resourceNames } : {}),
      })),
    nonResourceRules: rules
      .filter((rule) => paths(rule).length > 0)
      .map((rule) => ({ verbs: rule.verbs, nonResourceURLs: paths(rule) })),
    incomplete: unknown !== undefined,
    ...(unknown ? { evaluationError: unknown } : {}),
  };
}
