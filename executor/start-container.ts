import type { Container, Pod } from '../api/kinds/pod.ts';
import { ConfigError, containerEnv, expand } from './env.ts';
import type { Kubelet } from './kubelet.ts';
import type { Start } from './plan.ts';
import { containerResources } from './resources.ts';
import { ImageError, StartError } from './runtime.ts';
import { sandboxSpec, specHash } from './sandbox.ts';
import { containerMounts } from './volumes.ts';
import { VolumeError, type VolumeFacts } from './volumes/volume.ts';

/** Why a container waits, as the user sees it. */
export interface Waiting {
  reason: string;
  message: string;
}

export interface SandboxNow {
  id: string;
  ip: string;
  attempt: number;
}

/** What volumes and environments are made of, for one pod. */
export function podFacts(kubelet: Kubelet, pod: Pod, podIp: string): VolumeFacts {
  const { namespace = '' } = pod.metadata;
  return {
    nodeName: kubelet.nodeName,
    hostIp: kubelet.nodeIp,
    podIp: pod.spec.hostNetwork ? kubelet.nodeIp : podIp,
    allocatable: kubelet.allocatable,
    configMap: (name) => kubelet.apiserver.configMap(namespace, name),
    secret: (name) => kubelet.apiserver.secret(namespace, name),
    token: (audience, seconds) => kubelet.apiserver.token(pod, audience, seconds),
  };
}

/** Image, environment, mounts, start; with the events a kubelet gives. Throws what `waitingFor` can put into words. */
export async function startContainer(
  kubelet: Kubelet,
  pod: Pod,
  { container, attempt }: Start,
  sandbox: SandboxNow,
  volumes: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const { apiserver, runtime } = kubelet;
  const imageId = await pullImage(kubelet, pod, container, signal);
  const facts = podFacts(kubelet, pod, sandbox.ip);
  const env = await containerEnv(pod, container, { ...facts, services: apiserver.services() });
  const mounts = await containerMounts(container, volumes, env);
  const expanded = (texts: string[] | undefined) => texts?.map((text) => expand(text, (name) => env.get(name)));
  const [command, args] = [expanded(container.command), expanded(container.args)];
  await runtime.start(
    {
      pod,
      container: { ...container, ...(command ? { command } : {}), ...(args ? { args } : {}) },
      sandboxId: sandbox.id,
      sandbox: sandboxSpec(pod, sandbox.attempt, kubelet),
      attempt,
      specHash: specHash(container),
      imageId,
      env: [...env].map(([name, value]) => ({ name, value })),
      mounts,
      logPath: `${container.name}/${attempt}.log`,
      resources: containerResources(pod, container, kubelet.allocatable.memory),
    },
    signal,
  );
  apiserver.event(pod, 'Normal', 'Created', `Created container: ${container.name}`, container.name);
  apiserver.event(pod, 'Normal', 'Started', `Started container ${container.name}`, container.name);
}

async function pullImage(
  { runtime, apiserver }: Kubelet,
  pod: Pod,
  container: Container,
  signal: AbortSignal,
): Promise<string> {
  const image = container.image ?? '';
  const policy = container.imagePullPolicy ?? 'IfNotPresent';
  if (policy === 'Always') apiserver.event(pod, 'Normal', 'Pulling', `Pulling image "${image}"`, container.name);
  const began = Date.now();
  const { id, pulled } = await runtime.pullImage(image, policy, signal);
  if (pulled) {
    const took = `${((Date.now() - began) / 1000).toFixed(3)}s`;
    apiserver.event(pod, 'Normal', 'Pulled', `Successfully pulled image "${image}" in ${took}`, container.name);
  } else if (runtime.name !== 'process') {
    const message = `Container image "${image}" already present on machine`;
    apiserver.event(pod, 'Normal', 'Pulled', message, container.name);
  }
  return id;
}

/** The reason and words for an error of startContainer; undefined when it is none of those a user can do something about. */
export function waitingFor(error: unknown): Waiting | undefined {
  if (error instanceof ImageError || error instanceof StartError)
    return { reason: error.reason, message: error.message };
  if (error instanceof ConfigError || error instanceof VolumeError)
    return { reason: 'CreateContainerConfigError', message: error.message };
  return undefined;
}
