import { CompactSign } from 'jose';
import { ConfigMap } from '../api/kinds/config-map.ts';
import { Secret } from '../api/kinds/secret.ts';
import type { Stored } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

type StoredSecret = Secret & Stored;

const tokenSecrets = { namespace: 'kube-system', fieldSelector: 'type=bootstrap.kubernetes.io/token' };
const clusterInfo = { namespace: 'kube-public', name: 'cluster-info' };
const signaturePrefix = 'jws-kubeconfig-';

const field = ({ data }: Secret, name: string): string => Buffer.from(data?.[name] ?? '', 'base64').toString();

/** Milliseconds until the token runs out; Infinity if it never does, 0 if nobody can read when. Exported for its test. */
export function timeLeft(secret: Secret, now: number): number {
  const expiration = field(secret, 'expiration');
  if (!expiration) return Infinity;
  const at = Date.parse(expiration);
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}

/** Deletes bootstrap tokens that have run out. */
export function tokenCleaner({ client, informer, now }: World): Reconciler {
  const secrets = informer(Secret, tokenSecrets);
  return {
    name: 'token-cleaner',
    watches: [watching(secrets)],
    async reconcile(key, signal) {
      const secret = secrets.get(key);
      if (!secret || secret.metadata.deletionTimestamp) return;
      const left = timeLeft(secret, now());
      if (left > 0) return again(left);
      const preconditions = { uid: secret.metadata.uid, resourceVersion: secret.metadata.resourceVersion };
      await client.delete(Secret, secret.metadata, { preconditions }, signal).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    },
  };
}

/** Timers reach 24 days; whoever waits longer looks again in between. */
const again = (left: number): { again: number } | undefined =>
  left === Infinity ? undefined : { again: Math.min(left + 1, 86_400_000) };

/**
 * Signs what kube-public/cluster-info says of the cluster with every bootstrap token that may sign: who knows the token can
 * tell by it that he talks to the right cluster.
 * https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#configmap-signing
 */
export function bootstrapSigner({ client, informer, now }: World): Reconciler {
  const maps = informer(ConfigMap, {
    namespace: clusterInfo.namespace,
    fieldSelector: `metadata.name=${clusterInfo.name}`,
  });
  const secrets = informer(Secret, tokenSecrets);
  const key = `${clusterInfo.namespace}/${clusterInfo.name}`;
  return {
    name: 'bootstrap-signer',
    watches: [watching(maps), watching(secrets, () => [key])],
    async reconcile(_key, signal) {
      const map = maps.get(key);
      if (!map) return;
      const data = await signed(map.data ?? {}, [...secrets.list()], now());
      if (!equal(data, map.data ?? {})) await client.update(ConfigMap, { ...map, data }, {}, signal);
      return again(Math.min(...[...secrets.list()].map((secret) => timeLeft(secret, now())).filter(Boolean)));
    },
  };
}

/** The ConfigMap's data with the signatures of these tokens and no others. Exported for its test. */
export async function signed(
  data: Readonly<Record<string, string>>,
  secrets: readonly StoredSecret[],
  now: number,
): Promise<Record<string, string>> {
  const others = Object.entries(data).filter(([key]) => !key.startsWith(signaturePrefix));
  const wanted: Record<string, string> = Object.fromEntries(others);
  const { kubeconfig } = data;
  if (kubeconfig === undefined) return wanted;
  for (const secret of secrets.filter((one) => maySign(one, now))) {
    const id = field(secret, 'token-id');
    wanted[`${signaturePrefix}${id}`] = await signature(kubeconfig, id, field(secret, 'token-secret'));
  }
  return wanted;
}

function maySign(secret: StoredSecret, now: number): boolean {
  const id = field(secret, 'token-id');
  return (
    secret.metadata.name === `bootstrap-token-${id}` &&
    field(secret, 'token-secret') !== '' &&
    field(secret, 'usage-bootstrap-signing') === 'true' &&
    timeLeft(secret, now) > 0
  );
}

/** A JWS whose payload is left out. The order of its header counts: who checks it makes it anew and compares. */
async function signature(content: string, id: string, secret: string): Promise<string> {
  const whole = await new CompactSign(Buffer.from(content))
    .setProtectedHeader({ alg: 'HS256', kid: id })
    .sign(Buffer.from(secret));
  const [header, , sum] = whole.split('.');
  return `${header}..${sum}`;
}
