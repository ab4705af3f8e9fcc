/** Who asks. */
export interface User {
  name: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
  /** Who really asks, where somebody asks to be taken for this user. */
  impersonator?: User;
}

export const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** The apiserver itself, for what it writes on its own account. */
export const self: User = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] };

/** A user whom we know belongs to those we know. */
export const authenticated = (user: User): User => ({
  ...user,
  groups: [...new Set([...user.groups, 'system:authenticated'])],
});

/** As reviews, certificate requests and audit events write it. */
export const userInfo = ({ name, uid, groups, extra }: User) => ({
  username: name,
  ...(uid ? { uid } : {}),
  groups,
  ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
});
