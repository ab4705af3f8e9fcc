import type { IncomingHttpHeaders } from 'node:http';
import { badRequest } from '../../api/status.ts';
import { attributes, denied, type Authorizer } from './authorize.ts';
import { decodeHeaderKey } from './proxied-users.ts';
import { accountGroups, readAccountUser } from './service-account-tokens.ts';
import { anonymous, authenticated, type User } from './user.ts';

const prefix = 'impersonate-';
const extraPrefix = 'impersonate-extra-';

/** Whom `kubectl --as` wants to be. */
interface Wish {
  name: string;
  uid: string;
  groups: string[];
  extra: Record<string, string[]>;
}

/** The user to act as: the one who asks, or whom the Impersonate headers name and he may be. Throws 400 and 403. */
export function actingUser(
  user: User,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  authorizer: Authorizer,
): User | Promise<User> {
  const isAsked =
    headers['impersonate-user'] !== undefined ||
    headers['impersonate-group'] !== undefined ||
    headers['impersonate-uid'] !== undefined;
  return isAsked ? impersonate(user, readWish(rawHeaders), authorizer) : user;
}

/** From the raw headers: groups stand on lines of their own, and their names may hold commas. */
function readWish(rawHeaders: readonly string[]): Wish {
  const wish: Wish = { name: '', uid: '', groups: [], extra: {} };
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    if (!header.startsWith(prefix)) continue;
    if (header === 'impersonate-user') wish.name = value;
    else if (header === 'impersonate-uid') wish.uid = value;
    else if (header === 'impersonate-group') wish.groups.push(value);
    else if (header.startsWith(extraPrefix))
      (wish.extra[decodeHeaderKey(header.slice(extraPrefix.length))] ??= []).push(value);
  }
  if (wish.name === '')
    throw badRequest('impersonating a group, a uid or extra fields needs Impersonate-User, which names whom');
  return wish;
}

async function impersonate(user: User, wish: Wish, authorizer: Authorizer): Promise<User> {
  const account = readAccountUser(wish.name);
  const may = async (resource: string, name: string, more: { namespace?: string; subresource?: string } = {}) => {
    const isNew = resource === 'uids' || resource === 'userextras';
    const group = isNew ? 'authentication.k8s.io' : '';
    const asked = attributes({ verb: 'impersonate', group, version: 'v1', resource, name, ...more });
    const { allowed, reason } = await authorizer.judge(user, asked);
    if (!allowed) throw denied(user, asked, reason);
  };
  if (account) await may('serviceaccounts', account.name, { namespace: account.namespace });
  else await may('users', wish.name);
  for (const group of wish.groups) await may('groups', group);
  if (wish.uid) await may('uids', wish.uid);
  for (const [key, values] of Object.entries(wish.extra))
    for (const value of values) await may('userextras', value, { subresource: key });
  const acting = {
    name: wish.name,
    impersonator: user,
    ...(wish.uid ? { uid: wish.uid } : {}),
    groups: wish.groups.length === 0 && account ? accountGroups(account.namespace) : wish.groups,
    ...(Object.keys(wish.extra).length > 0 ? { extra: wish.extra } : {}),
  };
  const isNobody = wish.name === anonymous.name || acting.groups.includes('system:unauthenticated');
  if (!isNobody) return authenticated(acting);
  return { ...acting, groups: [...new Set([...acting.groups, 'system:unauthenticated'])] };
}
