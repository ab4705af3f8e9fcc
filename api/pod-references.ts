import type { Container, PodSpec } from './kinds/pod.ts';

/**
 * What a pod names of other objects and cannot run without the apiserver for, in words; undefined where it names nothing.
 * Static pods may not. https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
 */
export function namedObjects(spec: PodSpec): string | undefined {
  if (spec.serviceAccountName) return 'a service account';
  if (spec.imagePullSecrets?.length) return 'secrets';
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    const named = namedInEnv(container);
    if (named) return named;
  }
  for (const volume of spec.volumes ?? []) {
    const projected = (volume.projected as { sources?: Record<string, unknown>[] } | undefined)?.sources ?? [];
    const sources = [volume as Record<string, unknown>, ...projected].flatMap((one) => Object.keys(one));
    const named = sources.map((name) => volumeSources[name]).find((words) => words !== undefined);
    if (named) return named;
    if (Object.values(volume).some(holdsSecret)) return 'secrets';
  }
  return undefined;
}

const volumeSources: Readonly<Record<string, string>> = {
  configMap: 'configmaps',
  secret: 'secrets',
  persistentVolumeClaim: 'persistentvolumeclaims',
  ephemeral: 'persistentvolumeclaims',
  serviceAccountToken: 'a service account',
  clusterTrustBundle: 'clustertrustbundles',
  podCertificate: 'a service account',
};

/** CSI and the old network volumes name the secret of their storage. */
const holdsSecret = (source: unknown): boolean =>
  typeof source === 'object' && source !== null && ('secretRef' in source || 'nodePublishSecretRef' in source);

function namedInEnv({ env = [], envFrom = [] }: Container): string | undefined {
  if (envFrom.some((from) => from.secretRef) || env.some(({ valueFrom }) => valueFrom?.secretKeyRef)) return 'secrets';
  if (envFrom.some((from) => from.configMapRef) || env.some(({ valueFrom }) => valueFrom?.configMapKeyRef))
    return 'configmaps';
  return undefined;
}
