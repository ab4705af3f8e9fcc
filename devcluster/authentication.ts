/**
 * Who asks a master or an agent: a principal by its credentials (Basic), or, at agents, an executor by the token that its agent
 * gave it (Bearer). Which realm a path is in says who may be meant; whoever is nobody gets 401, before every other check.
 *
 *   mesos-master-scheduler  /api/v1/scheduler         mesos-agent-executor   /api/v1/executor
 *   mesos-master-readwrite  /api/v1, orders           mesos-agent-readwrite  /api/v1
 *   mesos-master-readonly   /state and other views    mesos-agent-readonly   /state, files and other views
 *   open to everybody       /health /version /redirect
 */
import { readFileSync } from 'node:fs';
import { createToken, readToken, type Claims } from './executor-token.ts';
import { HttpAnswer, type Request } from './http.ts';

export type Principal = { name: string } | { claims: Claims };

/** The name that FrameworkInfos and ACLs know it by. */
export const nameOf = (who: Principal | undefined): string | undefined => (who && 'name' in who ? who.name : undefined);

const readOnly = (server: 'master' | 'agent', paths: readonly string[]) =>
  paths.map((path) => [path, `mesos-${server}-readonly`] as const);

/** By the beginning of a path; the first that fits. */
const masterRealms = [
  ['/api/v1/scheduler', 'mesos-master-scheduler'],
  ...['/api/v1', '/quota', '/teardown'].map((path) => [path, 'mesos-master-readwrite'] as const),
  ...readOnly('master', ['/state', '/slaves', '/frameworks', '/tasks', '/roles', '/flags', '/metrics']),
] as const;
const agentRealms = [
  ['/api/v1/executor', 'mesos-agent-executor'],
  ['/api/v1', 'mesos-agent-readwrite'],
  ...readOnly('agent', ['/state', '/containers', '/monitor/statistics', '/files/', '/flags', '/metrics']),
] as const;

const realmOf = (realms: typeof masterRealms | typeof agentRealms, path: string): string | undefined =>
  realms.find(([beginning]) => path.startsWith(beginning))?.[1];

interface Credential {
  principal: string;
  secret: string;
}

export class Authentication {
  readonly #secrets: ReadonlyMap<string, string>;
  /** Of executor tokens; without it executors are not asked. */
  readonly #key: string | undefined;

  constructor(credentials: readonly Credential[], key?: string) {
    this.#secrets = new Map(credentials.map(({ principal, secret }) => [principal, secret]));
    this.#key = key;
  }

  /** Who asks a master; undefined where it asks nobody. Throws HttpAnswer 401. */
  atMaster(path: string, request: Request): Principal | undefined {
    const realm = realmOf(masterRealms, path);
    if (realm === undefined) return undefined;
    const who = this.#byCredentials(request.headers.authorization);
    if (!who) throw new HttpAnswer(401, unauthorized, { 'www-authenticate': `Basic realm="${realm}"` });
    return who;
  }

  /** Who asks an agent; undefined where it asks nobody. Throws HttpAnswer 401. */
  atAgent(path: string, request: Request): Principal | undefined {
    const realm = realmOf(agentRealms, path);
    if (realm === undefined || (realm === 'mesos-agent-executor' && this.#key === undefined)) return undefined;
    const given = request.headers.authorization;
    const who = this.#byCredentials(given);
    if (who) return who;
    const basic = `Basic realm="${realm}"`;
    if (this.#key === undefined) throw new HttpAnswer(401, unauthorized, { 'www-authenticate': basic });
    const token = byToken(given, this.#key);
    if (typeof token === 'object') return { claims: token };
    const wrong = token === undefined ? '' : `, error="invalid_token", error_description="${printable(token)}"`;
    throw new HttpAnswer(401, bothUnauthorized, { 'www-authenticate': `${basic},Bearer realm="${realm}"${wrong}` });
  }

  /** For the environment of an executor. */
  tokenOf(claims: Claims): string | undefined {
    return this.#key === undefined ? undefined : createToken(claims, this.#key);
  }

  #byCredentials(given: string | undefined): Principal | undefined {
    const [, base64 = ''] = /^Basic (\S+)$/.exec(given ?? '') ?? [];
    const [, name = '', secret = ''] = /^([^:]+):(.*)$/s.exec(Buffer.from(base64, 'base64').toString()) ?? [];
    return name !== '' && this.#secrets.get(name) === secret ? { name } : undefined;
  }
}

const unauthorized = '401 Unauthorized.';
const bothUnauthorized = ['Basic', 'Bearer']
  .map((scheme) => `"${scheme}" authenticator returned:\n${unauthorized}`)
  .join('\n\n');

/** The claims, or what is wrong with the token; undefined without one. */
function byToken(given: string | undefined, key: string): Claims | string | undefined {
  if (given === undefined) return undefined;
  const [scheme = '', token, ...more] = given.split(' ');
  if (token === undefined || more.length > 0) return "Malformed 'Authorization' header";
  if (scheme !== 'Bearer') return `Scheme '${scheme}' unsupported`;
  const read = readToken(token, key);
  return typeof read === 'string' ? `Invalid JWT: ${read}` : read;
}

/** What a header can hold of it. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e\xa0-\xff]/g, '');

/** What forbids this principal to speak for the executor, in Mesos' words. */
export function claimsError(
  who: Principal,
  { frameworkId, id, containerId }: { frameworkId: string; id: string; containerId: string },
): string | undefined {
  const claims: Claims = 'claims' in who ? who.claims : {};
  const said = `Authenticated principal '${printed(who)}' does not contain`;
  if (claims['fid'] !== frameworkId)
    return `${said} an 'fid' claim with the framework ID ${frameworkId}, which is set in the call`;
  if (claims['eid'] !== id) return `${said} an 'eid' claim with the executor ID ${id}, which is set in the call`;
  return claims['cid'] === containerId ? undefined : `${said} a 'cid' claim with the correct active ContainerID`;
}

function printed(who: Principal): string {
  if ('name' in who) return who.name;
  return JSON.stringify({ claims: Object.fromEntries(Object.entries(who.claims).sort().reverse()) });
}

/** What forbids this principal to speak for a framework, in Mesos' words. */
export function principalError(who: Principal | undefined, owner: string | undefined): string | undefined {
  const name = nameOf(who);
  if (name === undefined || owner === undefined || name === owner) return undefined;
  return `Authenticated principal '${name}' does not match principal '${owner}' set in \`FrameworkInfo\``;
}

/** Undefined: nobody is asked. Throws an Error that says what would be right. */
export function authenticationOf(credentialsFile: string, jwtSecretKeyFile: string): Authentication | undefined {
  if (credentialsFile === '' && jwtSecretKeyFile === '') return undefined;
  if (credentialsFile === '') throw new Error('--jwt-secret-key-file needs --credentials-file');
  const key = jwtSecretKeyFile === '' ? undefined : readFileSync(jwtSecretKeyFile, 'utf8').trim();
  if (key === '') throw new Error(`${jwtSecretKeyFile} is empty: expected the key of executor tokens`);
  return new Authentication(readCredentials(credentialsFile), key);
}

function readCredentials(path: string): Credential[] {
  const wrong = (cause?: unknown) =>
    new Error(`${path}: expected {"credentials":[{"principal":"…","secret":"…"}]}, as Mesos' --credentials`, { cause });
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong(error);
    throw error;
  }
  const list: unknown = typeof read === 'object' && read && 'credentials' in read ? read.credentials : undefined;
  if (!Array.isArray(list) || !list.every(isCredential)) throw wrong();
  return list;
}

const isCredential = (one: unknown): one is Credential =>
  typeof one === 'object' &&
  one !== null &&
  ['principal', 'secret'].every((key) => typeof Object.getOwnPropertyDescriptor(one, key)?.value === 'string');
