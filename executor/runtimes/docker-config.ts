import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type Docker from 'dockerode';
import { prefix } from '../../api/kinds/names.ts';
import type { Pod, SELinuxOptions, SeccompProfile, AppArmorProfile } from '../../api/kinds/pod.ts';
import type { ContainerSpec, SandboxSpec } from '../runtime.ts';
import { appArmorOf } from '../app-armor.ts';
import { labels, podLabels, podName } from './labels.ts';
import { logLimits } from './log-rotation.ts';
import { isSlice } from './slices.ts';
import { cpuPeriod, cpuQuota, devicePermissions, groupsOf, maskedPaths, readonlyPaths } from './security.ts';

/** Labels beside those of every runtime; but for the last two they are dockershim's. */
export const dockerLabels = {
  type: 'io.kubernetes.docker.type',
  sandboxId: 'io.kubernetes.sandbox.id',
  specHash: 'io.kubernetes.container.hash',
  attempt: 'io.kubernetes.container.restartCount',
  sandboxAttempt: `${prefix}sandbox-attempt`,
} as const;
export const sandboxType = 'podsandbox';
export const containerType = 'container';

/** What of this machine and its Docker goes into every container. */
export interface DockerPlace {
  owner: string;
  /** Network of the pods that are not on the node's. */
  network: string;
  /** What keeps the namespaces of a pod. */
  pauseImage: string;
  /** Docker puts containers below the cgroup that it is told. */
  takesCgroupParent: boolean;
  /** No container can be made less likely to be killed than this. */
  lowestOomScore: number;
  /** Bytes of one log file. */
  maxLogBytes: number;
}

const pauseOomScore = -998;
const propagations = { HostToContainer: 'rslave', Bidirectional: 'rshared' } as const;
/** Whatever the image has to say about its own health: probes are asked instead. */
const noHealthcheck = { Test: ['NONE'] };

/** The container whose network, IPC and (where shared) processes are the pod's. */
export function pauseOptions(spec: SandboxSpec, place: DockerPlace): Docker.ContainerCreateOptions {
  const { pod } = spec;
  const { hostNetwork, hostIPC, hostPID } = pod.spec;
  return {
    name: nameOf('POD', pod, spec.attempt),
    Image: place.pauseImage,
    // On the node's network a sandbox must not name a host.
    ...(hostNetwork ? {} : { Hostname: spec.hostname, ExposedPorts: exposedPorts(spec) }),
    Healthcheck: noHealthcheck,
    Labels: { ...podLabels(pod, place.owner), ...attemptLabels(spec), [dockerLabels.type]: sandboxType },
    HostConfig: {
      ...common(spec, place, pauseOomScore),
      CpuShares: 2,
      NetworkMode: hostNetwork ? 'host' : place.network,
      IpcMode: hostIPC ? 'host' : 'shareable',
      ...(hostPID ? { PidMode: 'host' } : {}),
      ...(hostNetwork ? {} : { PortBindings: portBindings(spec) }),
      Sysctls: Object.fromEntries(
        (pod.spec.securityContext?.sysctls ?? []).map(({ name, value }) => [dotted(name), value]),
      ),
      ...(spec.runtimeHandler ? { Runtime: spec.runtimeHandler } : {}),
    },
  };
}

/** Reads the seccomp profile it names, if any, and throws when it cannot. */
export function containerOptions(spec: ContainerSpec, place: DockerPlace): Docker.ContainerCreateOptions {
  const { pod, container, sandbox } = spec;
  const user = userOf(spec);
  return {
    name: nameOf(container.name, pod, spec.attempt),
    Image: spec.imageId,
    ...(container.command?.length ? { Entrypoint: container.command } : {}),
    ...(container.args?.length ? { Cmd: container.args } : {}),
    ...(container.workingDir ? { WorkingDir: container.workingDir } : {}),
    ...(user === undefined ? {} : { User: user }),
    Env: spec.env.map(({ name, value }) => `${name}=${value}`),
    Tty: container.tty ?? false,
    OpenStdin: container.stdin ?? false,
    StdinOnce: container.stdinOnce ?? false,
    Healthcheck: noHealthcheck,
    Labels: {
      ...podLabels(pod, place.owner),
      ...attemptLabels(sandbox),
      [labels.containerName]: container.name,
      [dockerLabels.type]: containerType,
      [dockerLabels.sandboxId]: spec.sandboxId,
      [dockerLabels.attempt]: String(spec.attempt),
      [dockerLabels.specHash]: spec.specHash,
    },
    HostConfig: {
      ...common(sandbox, place, spec.resources.oomScoreAdj),
      ...dockerResources(spec.resources),
      ...namespaces(spec),
      ...security(spec),
      Devices: spec.devices.map(({ hostPath, containerPath, readOnly }) => ({
        PathOnHost: hostPath,
        PathInContainer: containerPath,
        CgroupPermissions: devicePermissions(readOnly),
      })),
      Mounts: spec.mounts.map(({ hostPath, containerPath, readOnly, propagation }) => ({
        Type: 'bind',
        Source: hostPath,
        Target: containerPath,
        ReadOnly: readOnly,
        BindOptions: { Propagation: propagation ? propagations[propagation] : 'rprivate' },
      })),
    },
  };
}

/** `unlimited` takes a limit back that there was. */
export function dockerResources(
  { cpuShares, cpuQuotaMillicores: cpu, memoryLimitBytes: memory }: ContainerSpec['resources'],
  unlimited = false,
): Pick<Docker.HostConfig, 'CpuShares' | 'CpuPeriod' | 'CpuQuota' | 'Memory' | 'MemorySwap'> {
  return {
    CpuShares: cpuShares,
    ...(cpu === undefined ? {} : { CpuPeriod: cpuPeriod, CpuQuota: cpuQuota(cpu) }),
    ...(cpu === undefined && unlimited ? { CpuQuota: -1 } : {}),
    // Swap is no part of what was asked for.
    ...(memory === undefined ? {} : { Memory: memory, MemorySwap: memory }),
  };
}

const common = (
  { cgroupParent }: SandboxSpec,
  place: DockerPlace,
  oomScore: number,
): Pick<Docker.HostConfig, 'CgroupParent' | 'OomScoreAdj' | 'LogConfig'> => ({
  ...(cgroupParent && place.takesCgroupParent ? { CgroupParent: parentFor(cgroupParent) } : {}),
  OomScoreAdj: Math.max(place.lowestOomScore, oomScore),
  // Whatever the daemon's own choice is: this is the one we can read, and it cannot fill the disk.
  LogConfig: {
    Type: 'json-file',
    Config: { 'max-size': String(place.maxLogBytes), 'max-file': String(logLimits.keep + 1) },
  },
});

/** Of a slice Docker wants the name alone. */
const parentFor = (cgroup: string): string => (isSlice(cgroup) ? basename(cgroup) : cgroup);

function namespaces({ pod, sandboxId, targetId }: ContainerSpec): Docker.HostConfig {
  const { hostNetwork, hostIPC, hostPID, shareProcessNamespace } = pod.spec;
  const sandbox = `container:${sandboxId}`;
  const pid = targetId ? `container:${targetId}` : hostPID ? 'host' : shareProcessNamespace ? sandbox : undefined;
  return {
    NetworkMode: sandbox,
    IpcMode: hostIPC ? 'host' : sandbox,
    ...(pid === undefined ? {} : { PidMode: pid }),
    ...(hostNetwork ? { UTSMode: 'host' } : {}),
  };
}

function security({ pod, container, sandbox }: ContainerSpec): Docker.HostConfig {
  const own = container.securityContext;
  const shared = pod.spec.securityContext;
  const privileged = own?.privileged ?? false;
  const hides = !privileged && own?.procMount !== 'Unmasked';
  return {
    Privileged: privileged,
    ReadonlyRootfs: own?.readOnlyRootFilesystem ?? false,
    CapAdd: own?.capabilities?.add ?? [],
    CapDrop: own?.capabilities?.drop ?? [],
    GroupAdd: groupsOf(pod).map(String),
    SecurityOpt: [
      ...seccompOf(own?.seccompProfile ?? shared?.seccompProfile, sandbox.seccompProfiles),
      ...appArmor(appArmorOf(pod, container)),
      ...seLinux(own?.seLinuxOptions ?? shared?.seLinuxOptions),
      ...(own?.allowPrivilegeEscalation === false ? ['no-new-privileges'] : []),
    ],
    MaskedPaths: hides ? maskedPaths : [],
    ReadonlyPaths: hides ? readonlyPaths : [],
  };
}

const seLinux = (options: SELinuxOptions = {}): string[] =>
  Object.entries(options).map(([part, value]) => `label=${part}:${value}`);

/** Nothing said is Docker's own profile, and so is RuntimeDefault. */
function appArmor(profile: AppArmorProfile | undefined): string[] {
  if (profile?.type === 'Unconfined') return ['apparmor=unconfined'];
  return profile?.type === 'Localhost' ? [`apparmor=${profile.localhostProfile ?? ''}`] : [];
}

/** Docker's own profile is its default; another one goes along as a whole. */
function seccompOf(profile: SeccompProfile | undefined, directory: string): string[] {
  if (profile?.type === 'RuntimeDefault') return [];
  if (profile?.type !== 'Localhost') return ['seccomp=unconfined'];
  return [`seccomp=${readFileSync(join(directory, profile.localhostProfile ?? ''), 'utf8')}`];
}

/** Docker takes no group without a user, so the image's is named with it. */
function userOf({ pod, container: { securityContext: own }, imageUser }: ContainerSpec): string | undefined {
  const shared = pod.spec.securityContext;
  const user = own?.runAsUser ?? shared?.runAsUser;
  const group = own?.runAsGroup ?? shared?.runAsGroup;
  if (group === undefined) return user?.toString();
  return `${user ?? imageUser}:${group}`;
}

function portBindings({ portMappings }: SandboxSpec): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { containerPort, hostPort, protocol, hostIP } of portMappings)
    (bindings[portKey(containerPort, protocol)] ??= []).push({ HostIp: hostIP, HostPort: String(hostPort) });
  return bindings;
}

const exposedPorts = ({ portMappings }: SandboxSpec): Record<string, object> =>
  Object.fromEntries(portMappings.map(({ containerPort, protocol }) => [portKey(containerPort, protocol), {}]));

const portKey = (port: number, protocol: string): string => `${port}/${protocol.toLowerCase()}`;

const attemptLabels = ({ attempt }: SandboxSpec): Record<string, string> => ({
  [dockerLabels.sandboxAttempt]: String(attempt),
});

/** As dockershim named them; Docker gives a name only once, so nothing is ever made twice. */
function nameOf(what: string, pod: Pod, attempt: number): string {
  const { name, namespace, uid } = podName(pod);
  return ['k8s', what, name, namespace, uid, attempt].join('_');
}

/** `net/ipv4/conf/eth0.1/forwarding` has its dots and slashes the other way round. */
const dotted = (sysctl: string): string =>
  /^[^./]+\//.test(sysctl) ? sysctl.replace(/[./]/g, (c) => (c === '.' ? '/' : '.')) : sysctl;
