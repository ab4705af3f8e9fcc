import { kind, type Kind } from '../kind.ts';

const authentication = 'authentication.k8s.io';
const authorization = 'authorization.k8s.io';

const question = (group: string, name: string, namespaced = false): Kind =>
  kind({ group, version: 'v1', kind: name, plural: `${name.toLowerCase()}s`, namespaced, question: true });

/** Who is this, and what may they? */
export const questions: readonly Kind[] = [
  question(authentication, 'SelfSubjectReview'),
  question(authentication, 'TokenReview'),
  question(authorization, 'LocalSubjectAccessReview', true),
  question(authorization, 'SelfSubjectAccessReview'),
  question(authorization, 'SelfSubjectRulesReview'),
  question(authorization, 'SubjectAccessReview'),
];
