import { bad, immutable, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import { equal } from '../lib/equal.ts';
import { checkDnsSubdomain, checkPathSegment } from './names.ts';

/** What somebody may do. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface RoleRef {
  apiGroup?: string;
  kind: string;
  name: string;
}

export interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  /** Of a ServiceAccount. */
  namespace?: string;
}

export const rbacGroup = 'rbac.authorization.k8s.io';

/** Rules on rules; those of a namespace cannot speak of URLs. */
export function validateRules(rules: readonly PolicyRule[] | null | undefined, namespaced: boolean): FieldError[] {
  return (rules ?? []).flatMap((rule, i) => validateRule(rule, `rules[${i}]`, namespaced));
}

function validateRule(rule: PolicyRule, field: string, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (!rule.verbs?.length) errors.push(required(`${field}.verbs`, 'verbs must contain at least one value'));
  if (rule.nonResourceURLs?.length) {
    if (namespaced)
      errors.push(
        bad(`${field}.nonResourceURLs`, rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'),
      );
    if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length)
      errors.push(
        bad(
          `${field}.nonResourceURLs`,
          rule.nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      );
    return errors;
  }
  if (!rule.apiGroups?.length)
    errors.push(required(`${field}.apiGroups`, 'resource rules must supply at least one api group'));
  if (!rule.resources?.length)
    errors.push(required(`${field}.resources`, 'resource rules must supply at least one resource'));
  return errors;
}

interface Binding {
  roleRef: RoleRef;
  subjects?: Subject[];
}

/** Writes out the API groups that references leave off. */
export function defaultBinding(binding: Binding): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= rbacGroup;
  for (const subject of binding.subjects ?? []) if (subject.kind !== 'ServiceAccount') subject.apiGroup ||= rbacGroup;
}

export function validateBinding({ roleRef, subjects = [] }: Binding, roleKinds: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  if (roleRef?.apiGroup !== rbacGroup)
    errors.push(notSupported('roleRef.apiGroup', roleRef?.apiGroup ?? '', [rbacGroup]));
  if (!roleKinds.includes(roleRef?.kind)) errors.push(notSupported('roleRef.kind', roleRef?.kind ?? '', roleKinds));
  if (!roleRef?.name) errors.push(required('roleRef.name'));
  else for (const detail of checkPathSegment(roleRef.name)) errors.push(bad('roleRef.name', roleRef.name, detail));
  for (const [i, subject] of subjects.entries())
    errors.push(...validateSubject(subject, `subjects[${i}]`, roleKinds.includes('Role')));
  return errors;
}

function validateSubject(subject: Subject, field: string, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = subject.name ? [] : [required(`${field}.name`)];
  const group = subject.apiGroup ?? '';
  switch (subject.kind) {
    case 'ServiceAccount':
      for (const detail of subject.name ? checkDnsSubdomain(subject.name) : [])
        errors.push(bad(`${field}.name`, subject.name, detail));
      if (group !== '') errors.push(notSupported(`${field}.apiGroup`, group, ['']));
      if (!subject.namespace && !namespaced) errors.push(required(`${field}.namespace`));
      return errors;
    case 'User':
    case 'Group':
      if (group !== rbacGroup) errors.push(notSupported(`${field}.apiGroup`, group, [rbacGroup]));
      return errors;
    default:
      return [...errors, notSupported(`${field}.kind`, subject.kind, ['ServiceAccount', 'User', 'Group'])];
  }
}

/** A binding speaks of one role for ever: who may change subjects must not thereby give another role. */
export function validateBindingUpdate(binding: Binding, old: Binding): FieldError[] {
  if (equal(binding.roleRef, old.roleRef)) return [];
  return [{ ...immutable('roleRef', binding.roleRef), detail: 'cannot change roleRef' }];
}

/** `Role/edit`, and who has it, for tables. */
export const roleOf = ({ roleRef }: Binding): string => `${roleRef.kind}/${roleRef.name}`;

export const subjectsOf = ({ subjects = [] }: Binding, kind: string): string =>
  subjects
    .filter((subject) => subject.kind === kind)
    .map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
    .join(', ');
