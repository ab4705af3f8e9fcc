import { ConfigMap } from '../api/kinds/config-map.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Secret } from '../api/kinds/secret.ts';
import { ServiceAccount } from '../api/kinds/service-account.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { tokenType } from './service-account-tokens.ts';

type StoredSecret = Secret & Stored;

const accountNote = 'kubernetes.io/service-account.name';
/** Days, `2026-01-31`, that the apiserver and this controller write. */
const lastUsed = 'kubernetes.io/legacy-token-last-used';
const invalidSince = 'kubernetes.io/legacy-token-invalid-since';
/** Since when the apiserver writes last uses; nothing is judged before it has done so for a whole period. */
const tracking = { namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' };
const day = 86_400_000;

/**
 * Token Secrets that were made for every account, before Kubernetes 1.24, and that nobody has used for a period: first marked, then
 * deleted. Those that somebody made by hand, or that a pod mounts, stay.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-cleaner
 */
export const legacyTokenCleaner =
  (period: number) =>
  ({ client, informer, log, now }: World): Reconciler => {
    const secrets = informer(Secret, { fieldSelector: `type=${tokenType}` });
    const accounts = informer(ServiceAccount);
    const pods = informer(Pod, { indexes: { secret: secretsOf } });
    const today = () => new Date(now()).toISOString().slice(0, 10);

    const wasMadeForAccount = (secret: StoredSecret): boolean => {
      const { namespace, name, annotations } = secret.metadata;
      const account = accounts.get(`${namespace}/${annotations?.[accountNote] ?? ''}`);
      return account?.secrets?.some((one) => one.name === name) ?? false;
    };

    return {
      name: 'legacy-service-account-token-cleaner',
      concurrency: 1,
      watches: [watching(secrets, ({ type, object }) => (type === 'deleted' ? [] : [keyOf(object)]))],
      async reconcile(key, signal) {
        const secret = secrets.get(key);
        if (!secret || !wasMadeForAccount(secret)) return;
        const map = await client.get(ConfigMap, tracking, signal).catch(unlessNotFound);
        const since = Date.parse(map?.data?.['since'] ?? '');
        if (Number.isNaN(since) || now() < since + period) return { again: day };
        const what = pods.by('secret', key).length > 0 ? 'keep' : fateOf(secret, period, now());
        const { uid, resourceVersion } = secret.metadata;
        if (what === 'delete') {
          log.info({ secret: key }, 'deleting a token Secret that nobody uses');
          await client.delete(Secret, secret.metadata, { preconditions: { uid, resourceVersion } }, signal);
          return;
        }
        const mark = secret.metadata.labels?.[invalidSince];
        if ((what === 'mark') !== (mark !== undefined)) {
          const labels = { [invalidSince]: what === 'mark' ? today() : null };
          await client.patch(Secret, secret.metadata, { metadata: { uid, resourceVersion, labels } }, {}, signal);
        }
        return { again: day };
      },
    };
  };

/** `mark` also where it is marked and the mark is young. Exported for its test. */
export function fateOf({ metadata }: StoredSecret, period: number, now: number): 'keep' | 'mark' | 'delete' {
  const used = Date.parse(metadata.labels?.[lastUsed] ?? '');
  const idleFrom = Number.isNaN(used) ? Date.parse(metadata.creationTimestamp ?? '') : used + day;
  if (!(now >= idleFrom + period)) return 'keep';
  const marked = Date.parse(metadata.labels?.[invalidSince] ?? '');
  return now >= marked + day + period ? 'delete' : 'mark';
}

function secretsOf({ metadata: { namespace }, spec }: Pod & Stored): string[] {
  return (spec.volumes ?? []).flatMap(({ secret }) =>
    secret?.secretName ? [`${namespace}/${secret.secretName}`] : [],
  );
}
