import type { Container, EphemeralContainer, Pod } from '../api/kinds/pod.ts';
import { ConfigError, containerEnv, expand } from './env.ts';
import { hostsMount } from './hosts-file.ts';
import type { Kubelet } from './kubelet.ts';
import type { LastWords } from './last-words.ts';
import { type Start, latestOf } from './plan.ts';
import { runHook } from './probes/hook.ts';
import { checkNonRoot, pullImage } from './pull-image.ts';
import { containerResources } from './resources.ts';
import { type Addresses, type ContainerSpec, ImageError, type Runtime, StartError, addressesOf } from './runtime.ts';
import { sandboxSpec, specHash } from './sandbox.ts';
import { containerMounts, devicesOf, imageMounts } from './volumes.ts';
import { VolumeError, type VolumeFacts } from './volumes/volume.ts';

/** Why a container waits, as the user sees it. */
export interface Waiting {
  reason: string;
  message: string;
}

export interface SandboxNow extends Addresses {
  id: string;
  attempt: number;
}

/** What volumes and environments are made of, for one pod. */
export function podFacts(kubelet: Kubelet, pod: Pod, sandbox: Addresses): VolumeFacts {
  const { namespace = '' } = pod.metadata;
  return {
    nodeName: kubelet.nodeName,
    hostIps: kubelet.nodeIps,
    podIps: pod.spec.hostNetwork ? kubelet.nodeIps : addressesOf(sandbox),
    allocatable: kubelet.allocatable,
    sandbox: kubelet.sandbox,
    mountsImages: kubelet.runtime.images.mounts,
    configMap: (name) => kubelet.sources.configMap(namespace, name),
    secret: (name) => kubelet.sources.secret(namespace, name),
    claim: (name) => kubelet.apiserver.claim(namespace, name),
    persistentVolume: (name) => kubelet.apiserver.persistentVolume(name),
    csi: kubelet.csi,
    claimGrew: (claim, storage) => kubelet.apiserver.claimGrew(claim, storage),
    event: (type, reason, message) => kubelet.apiserver.event(pod, type, reason, message),
    token: (audience, seconds) => kubelet.apiserver.token(pod, audience, seconds),
  };
}

export interface StartPlace {
  pod: Pod;
  sandbox: SandboxNow;
  /** Where its volumes are on this machine, by name. */
  volumes: ReadonlyMap<string, string>;
  /** The pod's own, where they are. */
  directory: string;
  lastWords: LastWords;
}

/** Image, environment, mounts, start, postStart hook; with the events a kubelet gives. Throws what `waitingFor` can put into words. */
export async function startContainer(
  kubelet: Kubelet,
  place: StartPlace,
  { container, attempt }: Start,
  signal: AbortSignal,
): Promise<void> {
  const { apiserver, runtime } = kubelet;
  const { pod, sandbox, volumes } = place;
  const image = await pullImage(kubelet, pod, container, signal);
  checkNonRoot(pod, container, image);
  const facts = podFacts(kubelet, pod, sandbox);
  const env = await containerEnv(pod, container, { ...facts, services: apiserver.services() });
  const mounts = [
    ...(await containerMounts(pod, container, volumes, env, runtime.isolates ? place.directory : undefined)),
    ...(await hostsMount(pod, container, facts.podIps, place.directory, kubelet, runtime)),
    ...(await lastWordsMount(place, container, attempt, runtime)),
  ];
  const images = await Promise.all(
    imageMounts(pod, container, env).map(async ({ reference, policy, ...place }) => {
      const wanted = { name: container.name, image: reference, imagePullPolicy: policy };
      return { ...place, id: (await pullImage(kubelet, pod, wanted, signal)).id };
    }),
  );
  const targetId = await targetOf(kubelet, pod, container);
  const expanded = (texts: string[] | undefined) => texts?.map((text) => expand(text, (name) => env.get(name)));
  const [command, args] = [expanded(container.command), expanded(container.args)];
  const { id } = await runtime.start(
    {
      pod,
      container: { ...container, ...(command ? { command } : {}), ...(args ? { args } : {}) },
      sandboxId: sandbox.id,
      sandbox: sandboxSpec(pod, sandbox.attempt, kubelet),
      attempt,
      specHash: specHash(container),
      imageId: image.id,
      imageUser: image.user,
      ...(targetId === undefined ? {} : { targetId }),
      env: [...env].map(([name, value]) => ({ name, value })),
      mounts,
      images,
      devices: devicesOf(pod, container, volumes),
      logPath: `${container.name}/${attempt}.log`,
      resources: containerResources(pod, container, kubelet.allocatable.memory),
    },
    signal,
  );
  apiserver.event(pod, 'Normal', 'Created', `Created container: ${container.name}`, container.name);
  apiserver.event(pod, 'Normal', 'Started', `Started container ${container.name}`, container.name);
  await postStart(kubelet, place, container, id, signal);
}

/** A container whose hook fails is ended: its restart is its next try. */
async function postStart(
  { runtime, apiserver, nodeIps }: Kubelet,
  { pod, sandbox }: StartPlace,
  container: Container,
  containerId: string,
  signal: AbortSignal,
): Promise<void> {
  const hook = container.lifecycle?.postStart;
  if (!hook) return;
  const podIp = pod.spec.hostNetwork ? nodeIps[0] : sandbox.ip;
  try {
    await runHook(hook, { container, containerId, podIp }, runtime, signal);
  } catch (error) {
    signal.throwIfAborted();
    const message = `PostStartHook failed: ${(error as Error).message}`;
    apiserver.event(pod, 'Warning', 'FailedPostStartHook', message, container.name);
    apiserver.event(pod, 'Normal', 'Killing', 'FailedPostStartHook', container.name);
    await runtime.stop(containerId, pod.spec.terminationGracePeriodSeconds ?? 30);
    throw new StartError('PostStartHookError', message, { cause: error });
  }
}

const usualLastWords = '/dev/termination-log';

/** Where containers share the machine's files its usual place would be the machine's own: only another one is provided. */
async function lastWordsMount(
  { lastWords }: StartPlace,
  { name, terminationMessagePath = usualLastWords }: Container,
  attempt: number,
  { isolates }: Runtime,
): Promise<ContainerSpec['mounts']> {
  if (!isolates && terminationMessagePath === usualLastWords) return [];
  const hostPath = await lastWords.fileFor(name, attempt);
  return [{ hostPath, containerPath: terminationMessagePath, readOnly: false, isOwn: true }];
}

/** The container whose processes an ephemeral one wants to see. */
async function targetOf({ runtime }: Kubelet, pod: Pod, container: Container): Promise<string | undefined> {
  const { targetContainerName } = container as EphemeralContainer;
  if (!targetContainerName) return undefined;
  const target = latestOf(await runtime.pod(pod.metadata.uid!)).get(targetContainerName);
  if (target?.state !== 'running')
    throw new StartError('CreateContainerError', `target container "${targetContainerName}" is not running`);
  return target.id;
}

/** The reason and words for an error of startContainer; undefined when it is none of those a user can do something about. */
export function waitingFor(error: unknown): Waiting | undefined {
  if (error instanceof ImageError || error instanceof StartError)
    return { reason: error.reason, message: error.message };
  if (error instanceof ConfigError || error instanceof VolumeError)
    return { reason: 'CreateContainerConfigError', message: error.message };
  return undefined;
}
