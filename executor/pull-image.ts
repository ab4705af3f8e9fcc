import type { Container, Pod } from '../api/kinds/pod.ts';
import type { Secret } from '../api/kinds/secret.ts';
import { ConfigError } from './env.ts';
import { credentialsFor } from './image-credentials.ts';
import type { Kubelet } from './kubelet.ts';
import type { PulledImage } from './runtime.ts';

/** Makes an image of a container present as its policy says, with the credentials of its pod, and tells of it. Throws ImageError. */
export async function pullImage(
  kubelet: Kubelet,
  pod: Pod,
  container: Pick<Container, 'name' | 'image' | 'imagePullPolicy'>,
  signal: AbortSignal,
): Promise<PulledImage> {
  const { runtime, apiserver } = kubelet;
  const image = container.image ?? '';
  const policy = container.imagePullPolicy ?? 'IfNotPresent';
  // Plain processes have no images.
  if (policy === 'Always' && runtime.isolates)
    apiserver.event(pod, 'Normal', 'Pulling', `Pulling image "${image}"`, container.name);
  const began = Date.now();
  const credentials = credentialsFor(image, await pullSecrets(kubelet, pod));
  const found = await runtime.images.pull(image, policy, credentials, signal);
  if (found.pulled) {
    const took = `${((Date.now() - began) / 1000).toFixed(3)}s`;
    apiserver.event(pod, 'Normal', 'Pulled', `Successfully pulled image "${image}" in ${took}`, container.name);
  } else if (runtime.isolates) {
    const message = `Container image "${image}" already present on machine`;
    apiserver.event(pod, 'Normal', 'Pulled', message, container.name);
  }
  return found;
}

/** A secret that is missing is told of: the image may be had without it. */
async function pullSecrets({ apiserver }: Kubelet, pod: Pod): Promise<Secret[]> {
  const { namespace = '' } = pod.metadata;
  const names = (pod.spec.imagePullSecrets ?? []).map(({ name }) => name);
  const found = await Promise.all(names.map((name) => apiserver.secret(namespace, name)));
  const missing = names.filter((_, i) => found[i] === undefined);
  if (missing.length > 0)
    apiserver.event(
      pod,
      'Warning',
      'FailedToRetrieveImagePullSecret',
      `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
    );
  return found.filter((secret) => secret !== undefined);
}

/** Holds a container to `runAsNonRoot`. Throws ConfigError in a kubelet's words. */
export function checkNonRoot(pod: Pod, { securityContext: own }: Container, { user }: PulledImage): void {
  const shared = pod.spec.securityContext;
  if (!(own?.runAsNonRoot ?? shared?.runAsNonRoot)) return;
  const uid = own?.runAsUser ?? shared?.runAsUser;
  if (uid === 0) throw new ConfigError("container's runAsUser breaks non-root policy");
  if (uid !== undefined) return;
  if (typeof user === 'string')
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root`,
    );
  if (user === 0) throw new ConfigError('container has runAsNonRoot and image will run as root');
}
