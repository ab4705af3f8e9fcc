import { StatusError } from '../../api/status.ts';
import type { PolicyRule } from '../../api/rbac.ts';
import type { User } from './user.ts';

/** What somebody wants to do: one of the two forms. */
export interface Attributes {
  verb: string;
  /** '' when `path` is asked for. */
  resource: string;
  group: string;
  version: string;
  subresource: string;
  namespace: string;
  name: string;
  /** A URL path that is no resource. */
  path: string;
  /** Those of a list, a watch or a deletion of many, as they were written; '' where there are none. */
  fieldSelector: string;
  labelSelector: string;
}

/** `denied` ends the asking of further authorizers; without either the next one decides. */
export interface Verdict {
  allowed: boolean;
  denied?: boolean;
  /** Why, to be read by the caller. */
  reason?: string;
  /** What kept an authorizer from telling. */
  error?: string;
}

/** The Authorizer port. */
export interface Authorizer {
  judge: (user: User, attributes: Attributes) => Verdict | Promise<Verdict>;
  /** Everything that the user may do in a namespace, or what keeps this authorizer from telling. */
  rules?: (user: User, namespace: string) => { rules: readonly PolicyRule[]; unknown?: string };
}

const blank: Attributes = {
  verb: '',
  resource: '',
  group: '',
  version: '',
  subresource: '',
  namespace: '',
  name: '',
  path: '',
  fieldSelector: '',
  labelSelector: '',
};

/** Attributes of which only some are told. */
export const attributes = (given: Partial<Attributes>): Attributes => ({ ...blank, ...given });

const yes: Verdict = { allowed: true };
const no: Verdict = { allowed: false };

/** Administrators by birth: what they may needs no object, so that nobody can lock himself out. */
const masters: Authorizer = { judge: (user) => (user.groups.includes('system:masters') ? yes : no) };

export const alwaysAllow: Authorizer = {
  judge: () => yes,
  rules: () => ({
    rules: [
      { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], nonResourceURLs: ['*'] },
    ],
  }),
};

export const alwaysDeny: Authorizer = { judge: () => ({ allowed: false, reason: 'Everything is forbidden.' }) };

/** The first one that allows or denies decides; what nobody allows is refused, with all that was said. */
export function inTurn(authorizers: readonly Authorizer[]): Authorizer {
  const all = [masters, ...authorizers];
  return {
    judge: (user, asked) => judgeFrom(all, 0, user, asked, no),
    rules: (user, namespace) => {
      const told = all.flatMap((one) => one.rules?.(user, namespace) ?? []);
      const unknown = told.flatMap((one) => one.unknown ?? []).join(', ');
      return { rules: told.flatMap(({ rules }) => rules), ...(unknown ? { unknown } : {}) };
    },
  };
}

/** Waits only where an authorizer does: most answer at once. */
function judgeFrom(
  all: readonly Authorizer[],
  from: number,
  user: User,
  asked: Attributes,
  before: Verdict,
): Verdict | Promise<Verdict> {
  let said = before;
  for (let i = from; i < all.length; i++) {
    const verdict = all[i]!.judge(user, asked);
    if (verdict instanceof Promise)
      return verdict.then((late) => (isFinal(late) ? late : judgeFrom(all, i + 1, user, asked, joined(said, late))));
    if (isFinal(verdict)) return verdict;
    said = joined(said, verdict);
  }
  return said;
}

const isFinal = ({ allowed, denied: isDenied }: Verdict): boolean => allowed || isDenied === true;

/** What both say that decide nothing. */
function joined(before: Verdict, after: Verdict): Verdict {
  if (!after.reason && !after.error) return before;
  const both = (name: 'reason' | 'error') => [before[name], after[name]].filter(Boolean).join(', ');
  const [reason, error] = [both('reason'), both('error')];
  return { allowed: false, ...(reason ? { reason } : {}), ...(error ? { error } : {}) };
}

/** The 403 of somebody who may not. */
export function denied(user: User, a: Attributes, reason?: string): StatusError {
  const why = reason ? `: ${reason}` : '';
  const who = `User "${user.name}"`;
  if (a.path !== '')
    return new StatusError(403, 'Forbidden', `forbidden: ${who} cannot ${a.verb} path "${a.path}"${why}`, {});
  const resource = a.subresource ? `${a.resource}/${a.subresource}` : a.resource;
  const scope = a.namespace ? ` in the namespace "${a.namespace}"` : ' at the cluster scope';
  const subject = a.group ? `${a.resource}.${a.group}` : a.resource;
  return new StatusError(
    403,
    'Forbidden',
    `${subject}${a.name ? ` "${a.name}"` : ''} is forbidden: ${who} cannot ${a.verb} resource "${resource}" in API group "${a.group}"${scope}${why}`,
    { ...(a.name ? { name: a.name } : {}), ...(a.group ? { group: a.group } : {}), kind: a.resource },
  );
}
