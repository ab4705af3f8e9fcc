import type { Container, Pod } from '../../api/kinds/pod.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { delay } from '../../lib/delay.ts';
import type { Lookup } from '../auth/lookup.ts';
import { randomSuffix } from '../names.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { containersOf, creates, refusal } from './requests.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Just over an hour, by which tokens mounted by default are told from those that somebody asked for. */
const tokenSeconds = 3607;
const tries = 10;
const betweenTriesMs = 100;

/**
 * A pod runs as a service account that is there, `default` unless it says; it finds the account's token in a volume,
 * and its image pull secrets in its spec. `mountsTokens` is false where the server has no key to sign tokens with.
 */
export const serviceAccount = (lookup: Lookup, mountsTokens: boolean): AdmissionRule => ({
  name: 'ServiceAccount',
  mutate: async (request) => {
    if (!creates(request, 'pods')) return;
    const pod = request.object as Pod;
    if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return;
    const { spec } = pod;
    spec.serviceAccountName ||= 'default';
    (spec as { serviceAccount?: string }).serviceAccount = spec.serviceAccountName;
    const account = await found(request, lookup);
    const own = (spec as { automountServiceAccountToken?: boolean }).automountServiceAccountToken;
    if (mountsTokens && (own ?? account.automountServiceAccountToken ?? true)) mountToken(pod);
    if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length)
      spec.imagePullSecrets = structuredClone(account.imagePullSecrets);
  },
});

/** The controller that makes the account of a new namespace may be a moment behind. */
async function found(request: AdmissionRequest, lookup: Lookup): Promise<Readonly<ServiceAccount>> {
  const { metadata, spec } = request.object as Pod;
  const { namespace = '' } = metadata;
  const name = spec.serviceAccountName!;
  for (let i = 0; i < tries; i++) {
    const account = await lookup(ServiceAccount, namespace, name);
    if (account) return account;
    if (i + 1 < tries) await delay(betweenTriesMs);
  }
  throw refusal(request, `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`);
}

function mountToken({ spec }: Pod): void {
  const containers = containersOf(spec);
  const lacking = containers.filter((one) => !one.volumeMounts?.some((mount) => mount.mountPath === mountPath));
  if (lacking.length === 0) return;
  const name = spec.volumes?.find((volume) => volume.name.startsWith('kube-api-access-'))?.name ?? addVolume(spec);
  for (const container of lacking) mountIn(container, name);
}

const mountIn = (container: Container, name: string): void => {
  container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }];
};

function addVolume(spec: Pod['spec']): string {
  const name = `kube-api-access-${randomSuffix()}`;
  const namespace = { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } };
  const sources = [
    { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [namespace] } },
  ];
  spec.volumes = [...(spec.volumes ?? []), { name, projected: { sources, defaultMode: 420 } }];
  return name;
}
