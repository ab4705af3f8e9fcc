/** Who asks. */
export interface User {
  name: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

export const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** The apiserver itself, for what it writes on its own account. */
export const self: User = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] };
