import type { IncomingMessage } from 'node:http';
import { StatusError } from '../api/status.ts';
import { callerOf } from '../client/delegated-access.ts';
import type { Access } from './access.ts';

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Which subresources of `nodes` stand for a path; whoever may one of them may ask. The last is always `proxy`. */
function subresourcesOf(path: string): string[] {
  const is = (prefix: string) => path === prefix || path.startsWith(`${prefix}/`);
  if (is('/stats')) return ['stats', 'proxy'];
  if (is('/metrics')) return ['metrics', 'proxy'];
  if (is('/logs')) return ['log', 'proxy'];
  if (is('/healthz')) return ['healthz', 'proxy'];
  if (is('/configz')) return ['configz', 'proxy'];
  if (is('/pods')) return ['pods', 'proxy'];
  return ['proxy'];
}

/**
 * Lets through who may ask: members of system:masters and the clients named, and whoever the apiserver lets. Callers are known
 * by a certificate of the cluster's CA or by a bearer token. Throws 401 or 403.
 */
export async function admit(
  request: IncomingMessage,
  path: string,
  clientNames: readonly string[],
  access: Access,
): Promise<void> {
  const caller = await callerOf(request, access);
  if (!caller) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  if (caller.groups.includes('system:masters') || clientNames.includes(caller.name)) return;
  const verb = verbs[request.method ?? ''] ?? 'get';
  for (const subresource of subresourcesOf(path)) if (await access.may(caller, { verb, subresource })) return;
  const [first] = subresourcesOf(path);
  const words = `Forbidden (user=${caller.name}, verb=${verb}, resource=nodes, subresource=${first!})`;
  throw new StatusError(403, 'Forbidden', words);
}
