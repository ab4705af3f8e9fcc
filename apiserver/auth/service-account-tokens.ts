import { randomUUID, type KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import type { ObjectMeta } from '../../api/meta.ts';
import type { Known, TokenUsers } from './authenticate.ts';
import type { Lookup } from './lookup.ts';
import type { TokenKey } from '../../lib/signing-keys.ts';
import { isMarkedInvalid, type TokenUses } from './token-uses.ts';
import { authenticated, type User } from './user.ts';

export interface NamedUid {
  name: string;
  uid: string;
}

/** What a token says beside who issued it and for whom. */
export interface AccountClaims {
  namespace: string;
  serviceaccount: NamedUid;
  pod?: NamedUid;
  secret?: NamedUid;
  node?: NamedUid;
}

export interface TokenOptions {
  /** The first one issues; tokens of all are accepted. */
  issuers: readonly string[];
  signingKey: (TokenKey & { privateKey: KeyObject }) | undefined;
  keys: readonly TokenKey[];
  lookup: Lookup;
  /** Told of every token in a Secret that lets somebody in. */
  uses: TokenUses;
}

const claimsName = 'kubernetes.io';
const legacyIssuer = 'kubernetes/serviceaccount';
/** How long a token outlives the deletion of what it is bound to. */
const graceMs = 60_000;

/**
 * Service-account tokens: signed JWTs bound to an account and often to a pod, good only while these are there.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
 */
export class ServiceAccountTokens implements TokenUsers {
  readonly #options: TokenOptions;

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /** False where no key was given: then nobody can be given a token. */
  get canIssue(): boolean {
    return this.#options.signingKey !== undefined && this.#options.issuers.length > 0;
  }

  async issue(claims: AccountClaims, audiences: readonly string[], seconds: number, now: number): Promise<string> {
    const { signingKey, issuers } = this.#options;
    if (!signingKey) throw new Error('this server has no key to sign tokens with');
    const at = Math.floor(now / 1000);
    return new SignJWT({ [claimsName]: claims })
      .setProtectedHeader({ alg: signingKey.algorithm, kid: signingKey.id })
      .setAudience([...audiences])
      .setIssuer(issuers[0]!)
      .setSubject(accountUser(claims.namespace, claims.serviceaccount.name))
      .setIssuedAt(at)
      .setNotBefore(at)
      .setExpirationTime(at + seconds)
      .setJti(randomUUID())
      .sign(signingKey.privateKey);
  }

  identify(token: string): undefined | Promise<Known | undefined> {
    const issuer = issuerOf(token);
    if (issuer === legacyIssuer) return this.#legacy(token);
    return issuer !== undefined && this.#options.issuers.includes(issuer) ? this.#bound(token) : undefined;
  }

  async #bound(token: string): Promise<Known | undefined> {
    const payload = await this.#verified(token);
    const claims = payload?.[claimsName] as AccountClaims | undefined;
    if (!payload || !claims?.serviceaccount) return undefined;
    if (payload.sub !== accountUser(claims.namespace, claims.serviceaccount.name)) return undefined;
    if (!(await this.#lives(claims))) return undefined;
    const audiences = payload.aud === undefined ? [] : [payload.aud].flat();
    return { user: userOf(claims, payload.jti), ...(audiences.length > 0 ? { audiences } : {}) };
  }

  async #verified(token: string): Promise<JWTPayload | undefined> {
    const { kid } = decodeProtectedHeader(token);
    const { keys } = this.#options;
    const named = keys.filter(({ id }) => id === kid);
    for (const { publicKey, algorithm } of named.length > 0 ? named : keys)
      try {
        const { payload } = await jwtVerify(token, publicKey, { algorithms: [algorithm] });
        return payload;
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
      }
    return undefined;
  }

  async #lives({ namespace, serviceaccount, pod, secret, node }: AccountClaims): Promise<boolean> {
    const { lookup } = this.#options;
    const isThere = async (found: Promise<{ metadata: ObjectMeta } | undefined>, { uid }: NamedUid) => {
      const metadata = (await found)?.metadata;
      if (metadata?.uid !== uid) return false;
      return !metadata.deletionTimestamp || Date.parse(metadata.deletionTimestamp) + graceMs > Date.now();
    };
    return (
      (await isThere(lookup(ServiceAccount, namespace, serviceaccount.name), serviceaccount)) &&
      (!pod || (await isThere(lookup(Pod, namespace, pod.name), pod))) &&
      (!secret || (await isThere(lookup(Secret, namespace, secret.name), secret))) &&
      (!node || pod !== undefined || (await isThere(lookup(Node, '', node.name), node)))
    );
  }

  /** Tokens that lie in Secrets and never run out; good only while the Secret holds them. */
  async #legacy(token: string): Promise<Known | undefined> {
    const payload = await this.#verified(token);
    if (!payload) return undefined;
    const claim = (name: string) => String(payload[`kubernetes.io/serviceaccount/${name}`] ?? '');
    const namespace = claim('namespace');
    const account = { name: claim('service-account.name'), uid: claim('service-account.uid') };
    const secret = await this.#options.lookup(Secret, namespace, claim('secret.name'));
    const held = Buffer.from(secret?.data?.['token'] ?? '', 'base64').toString();
    if (!secret || secret.metadata.deletionTimestamp || held !== token || isMarkedInvalid(secret)) return undefined;
    const claims = { namespace, serviceaccount: account };
    if (!(await this.#lives(claims))) return undefined;
    this.#options.uses.note(secret, Date.now());
    return { user: userOf(claims, undefined) };
  }
}

function issuerOf(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined; // not a JWT, so not ours
  }
}

export const accountUser = (namespace: string, name: string): string => `system:serviceaccount:${namespace}:${name}`;

export const accountGroups = (namespace: string): string[] => [
  'system:serviceaccounts',
  `system:serviceaccounts:${namespace}`,
];

/** Undefined when the user is no service account. */
export function readAccountUser(user: string): { namespace: string; name: string } | undefined {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? [];
  return namespace !== undefined && name !== undefined ? { namespace, name } : undefined;
}

function userOf({ namespace, serviceaccount, pod, node }: AccountClaims, id: string | undefined): User {
  const key = (name: string) => `authentication.kubernetes.io/${name}`;
  return authenticated({
    name: accountUser(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: accountGroups(namespace),
    extra: {
      ...(id ? { [key('credential-id')]: [`JTI=${id}`] } : {}),
      ...(pod ? { [key('pod-name')]: [pod.name], [key('pod-uid')]: [pod.uid] } : {}),
      ...(node ? { [key('node-name')]: [node.name], [key('node-uid')]: [node.uid] } : {}),
    },
  });
}
