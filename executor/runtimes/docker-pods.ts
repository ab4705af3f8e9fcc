import type Docker from 'dockerode';
import type { Addresses, RuntimeContainer, RuntimePod } from '../runtime.ts';
import { inOrder } from './addresses.ts';
import { dockerLabels, sandboxType } from './docker-config.ts';
import { labels } from './labels.ts';

/** One container of Docker's: a pod's own, or that of its sandbox. */
export interface Found {
  pod: Pick<RuntimePod, 'uid' | 'namespace' | 'name'>;
  sandbox: RuntimePod['sandbox'];
  /** Undefined: it is the sandbox itself. */
  container: RuntimeContainer | undefined;
}

/** `reference` is how its image is named in pod status. */
export function foundIn(info: Docker.ContainerInspectInfo, reference: string, nodeIp: string): Found {
  const label = (name: string) => info.Config.Labels[name] ?? '';
  const pod = { uid: label(labels.podUid), namespace: label(labels.podNamespace), name: label(labels.podName) };
  if (label(dockerLabels.type) === sandboxType) return { pod, sandbox: sandboxOf(info, nodeIp), container: undefined };
  // Somebody may have removed the sandbox under it: then this is all that is known of it.
  const sandbox = {
    id: label(dockerLabels.sandboxId),
    ip: '',
    ready: false,
    createdAt: time(info.Created),
    attempt: Number(label(dockerLabels.sandboxAttempt)),
  };
  return { pod, sandbox, container: containerOf(info, reference) };
}

/** A pod has the sandbox of its newest try. */
export function podsOf(found: readonly Found[]): RuntimePod[] {
  return [...Map.groupBy(found, ({ pod }) => pod.uid).values()].map((ones) => {
    const real = ones.filter(({ container }) => !container);
    const [first, ...others] = [...real, ...ones];
    const newest = others.reduce((a, b) => (b.sandbox.attempt > a.sandbox.attempt ? b : a), first!);
    return { ...newest.pod, sandbox: newest.sandbox, containers: ones.flatMap(({ container }) => container ?? []) };
  });
}

export function addressesIn({ HostConfig, NetworkSettings }: Docker.ContainerInspectInfo, nodeIp: string): Addresses {
  const [network] = Object.values(NetworkSettings.Networks);
  if (HostConfig.NetworkMode === 'host') return { ip: nodeIp };
  return inOrder([network?.IPAddress ?? '', network?.GlobalIPv6Address ?? ''], nodeIp);
}

function sandboxOf(info: Docker.ContainerInspectInfo, nodeIp: string): RuntimePod['sandbox'] {
  const { Id: id, State, Config } = info;
  return {
    id,
    ...addressesIn(info, nodeIp),
    ready: State.Running,
    createdAt: time(info.Created),
    attempt: Number(Config.Labels[dockerLabels.sandboxAttempt]),
  };
}

function containerOf(info: Docker.ContainerInspectInfo, reference: string): RuntimeContainer {
  const { Id: id, State, Config, LogPath: logPath } = info;
  const label = (name: string) => Config.Labels[name] ?? '';
  // Docker leaves what could not be started as if it had only been created.
  const failed = State.Status === 'created' && (State.Error !== '' || State.ExitCode !== 0);
  const exited = failed || (State.Status !== 'created' && !State.Running);
  const reason = failed ? 'StartError' : State.OOMKilled ? 'OOMKilled' : State.ExitCode === 0 ? 'Completed' : 'Error';
  const startedAt = time(State.StartedAt);
  const finishedAt = Math.max(startedAt, time(failed ? info.Created : State.FinishedAt));
  return {
    id,
    sandboxId: label(dockerLabels.sandboxId),
    name: label(labels.containerName),
    attempt: Number(label(dockerLabels.attempt)),
    state: exited ? 'exited' : State.Running ? 'running' : 'created',
    specHash: label(dockerLabels.specHash),
    image: Config.Image,
    imageId: reference,
    startedAt,
    finishedAt: exited ? finishedAt : 0,
    ...(exited ? { exitCode: failed ? 128 : State.ExitCode, reason } : {}),
    ...(State.Error ? { message: State.Error } : {}),
    logPath,
  };
}

/** Docker says the year 1 for never. */
const time = (text: string): number => Math.max(0, Date.parse(text) || 0);
