import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { Secret } from '../api/kinds/secret.ts';
import { ServiceAccount } from '../api/kinds/service-account.ts';
import { type Stored, keyOf, splitKey } from '../api/meta.ts';
import { isConflict, unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import type { TokenKey } from '../lib/signing-keys.ts';

type StoredSecret = Secret & Stored;
type StoredAccount = ServiceAccount & Stored;

export const tokenType = 'kubernetes.io/service-account-token';
const nameNote = 'kubernetes.io/service-account.name';
const uidNote = 'kubernetes.io/service-account.uid';

export interface TokenSecretOptions {
  key: TokenKey & { privateKey: KeyObject };
  /** PEM; undefined leaves `ca.crt` to others. */
  ca: string | undefined;
  /** Whether every account is given a Secret, as before Kubernetes 1.24. */
  generate: boolean;
}

/**
 * Tokens that lie in Secrets: filled in where a Secret asks for one, gone with their account.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-controller
 */
export const serviceAccountTokens =
  ({ key: signingKey, ca, generate }: TokenSecretOptions) =>
  ({ client, informer }: World): Reconciler => {
    const accounts = informer(ServiceAccount);
    const accountKey = ({ metadata: { namespace, annotations } }: StoredSecret): string[] =>
      annotations?.[nameNote] ? [`${namespace}/${annotations[nameNote]}`] : [];
    const secrets = informer(Secret, { fieldSelector: `type=${tokenType}`, indexes: { account: accountKey } });
    /** Secrets seen to go, by their account, which may still list them. */
    const gone = new Map<string, Set<string>>();

    return {
      name: 'service-account-token',
      watches: [
        watching(accounts),
        watching(secrets, (change) => {
          const keys = accountKey(change.object);
          if (change.type !== 'deleted') return keys;
          for (const key of keys) gone.set(key, (gone.get(key) ?? new Set()).add(change.object.metadata.name));
          return keys;
        }),
      ],
      async reconcile(key, signal) {
        const found = secrets.by('account', key).filter(({ metadata }) => !metadata.deletionTimestamp);
        const account = accounts.get(key) ?? (found.length > 0 ? await ask(key, signal) : undefined);
        await Promise.all(
          found.map(async (secret) => {
            if (!account || !isFor(secret, account)) await remove(secret, signal);
            else {
              const wanted = await filled(secret, account, signingKey, ca);
              if (wanted) await client.update(Secret, wanted, {}, signal);
            }
          }),
        );
        if (!account) gone.delete(key);
        else if (!account.metadata.deletionTimestamp) await list(account, found, signal);
      },
    };

    /** The cache may not know yet of an account that is there; a token is not thrown away for that. */
    async function ask(key: string, signal: AbortSignal): Promise<StoredAccount | undefined> {
      return client.get(ServiceAccount, splitKey(key), signal).catch(unlessNotFound);
    }

    async function remove({ metadata }: StoredSecret, signal: AbortSignal): Promise<void> {
      const { uid, resourceVersion } = metadata;
      await client.delete(Secret, metadata, { preconditions: { uid, resourceVersion } }, signal).catch(unlessNotFound);
    }

    /** Brings `.secrets` up to date: without Secrets that went, with one that was made for the account if there shall be one. */
    async function list(account: StoredAccount, found: readonly StoredSecret[], signal: AbortSignal): Promise<void> {
      const key = keyOf(account);
      const dead = gone.get(key);
      const kept = (account.secrets ?? []).filter(({ name }) => !dead?.has(name ?? ''));
      const needs = generate && !found.some(({ metadata }) => kept.some(({ name }) => name === metadata.name));
      // A cache that is behind would have a second one made; what it misses comes here when it has caught up.
      if (needs && (await ask(key, signal))?.metadata.resourceVersion !== account.metadata.resourceVersion) return;
      if (needs || kept.length < (account.secrets ?? []).length) {
        const made = needs ? await make(account, signal) : undefined;
        const secrets = [...kept, ...(made ? [{ name: made.metadata.name }] : [])];
        try {
          await client.update(ServiceAccount, { ...account, secrets }, {}, signal);
        } catch (error) {
          if (made) await client.delete(Secret, made.metadata, {}, signal);
          throw error;
        }
      }
      gone.delete(key);
    }

    async function make(account: StoredAccount, signal: AbortSignal): Promise<StoredSecret> {
      const { namespace, name, uid } = account.metadata;
      const annotations = { [nameNote]: name, [uidNote]: uid };
      const metadata = { generateName: `${name}-token-`, ...(namespace ? { namespace } : {}), annotations };
      const secret = await client.create(Secret, { metadata, type: tokenType }, {}, signal);
      const wanted = await filled(secret, account, signingKey, ca);
      return wanted ? client.update(Secret, wanted, {}, signal).catch(unlessRaced(secret)) : secret;
    }
  };

/** Whoever was faster has filled it likewise. */
const unlessRaced =
  <T>(value: T) =>
  (error: unknown): T => {
    if (!isConflict(error)) throw error;
    return value;
  };

const isFor = ({ metadata: { annotations } }: StoredSecret, { metadata: { uid } }: StoredAccount): boolean =>
  annotations?.[uidNote] === undefined || annotations[uidNote] === '' || annotations[uidNote] === uid;

/** The Secret with what it lacks; undefined when it lacks nothing. Exported for its test. */
export async function filled(
  secret: StoredSecret,
  account: StoredAccount,
  key: TokenSecretOptions['key'],
  ca: string | undefined,
): Promise<StoredSecret | undefined> {
  const { namespace = '' } = secret.metadata;
  const { data = {}, metadata } = secret;
  const wanted: Record<string, string> = { ...data };
  if (ca !== undefined) wanted['ca.crt'] = base64(ca);
  if (!data['namespace']) wanted['namespace'] = base64(namespace);
  if (!data['token']) wanted['token'] = base64(await tokenOf(secret, account, key));
  const same = Object.keys(wanted).every((name) => wanted[name] === data[name]);
  if (same && metadata.annotations?.[uidNote] === account.metadata.uid) return undefined;
  const annotations = { ...metadata.annotations, [uidNote]: account.metadata.uid };
  return { ...secret, metadata: { ...metadata, annotations }, data: wanted };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** It never runs out; the apiserver believes it while the Secret holds it. */
function tokenOf({ metadata }: StoredSecret, account: StoredAccount, key: TokenSecretOptions['key']): Promise<string> {
  const { namespace = '' } = metadata;
  const { name, uid } = account.metadata;
  const claim = (of: string) => `kubernetes.io/serviceaccount/${of}`;
  return new SignJWT({
    [claim('namespace')]: namespace,
    [claim('secret.name')]: metadata.name,
    [claim('service-account.name')]: name,
    [claim('service-account.uid')]: uid,
  })
    .setProtectedHeader({ alg: key.algorithm, kid: key.id })
    .setIssuer('kubernetes/serviceaccount')
    .setSubject(`system:serviceaccount:${namespace}:${name}`)
    .sign(key.privateKey);
}
