import { join } from 'node:path';
import { prefix } from '../../api/kinds/names.ts';
import type { AppArmorProfile, Pod, SELinuxOptions, SeccompProfile } from '../../api/kinds/pod.ts';
import { appArmorOf } from '../app-armor.ts';
import { containersOf } from '../containers.ts';
import type { ContainerSpec, SandboxSpec } from '../runtime.ts';
import { labels, podLabels, podName } from './labels.ts';
import { cpuPeriod, cpuQuota, devicePermissions, groupsOf, maskedPaths, readonlyPaths } from './security.ts';

export const specHashAnnotation = 'io.kubernetes.container.hash';
export const logPathAnnotation = `${prefix}log-path`;
/** Ids with commas between: lists name only the image that a container is made of. */
export const mountedImagesAnnotation = `${prefix}mounted-images`;

const propagations = {
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const;

/** What CRI wants to know of a sandbox; the same again with every container of it. */
export function sandboxConfig(spec: SandboxSpec, owner: string): object {
  const { pod, dns } = spec;
  const { securityContext } = pod.spec;
  const privileged = containersOf(pod).some((c) => c.securityContext?.privileged);
  return {
    metadata: { ...podName(pod), attempt: spec.attempt },
    // On the node's network a sandbox must not name a host.
    hostname: pod.spec.hostNetwork ? '' : spec.hostname,
    log_directory: spec.logDirectory,
    ...(dns ? { dns_config: { servers: dns.nameservers, searches: dns.searches, options: dns.options } } : {}),
    port_mappings: spec.portMappings.map((m) => ({
      protocol: m.protocol,
      container_port: m.containerPort,
      host_port: m.hostPort,
      host_ip: m.hostIP,
    })),
    labels: { ...pod.metadata.labels, ...podLabels(pod, owner) },
    annotations: {},
    linux: {
      cgroup_parent: spec.cgroupParent ?? '',
      security_context: {
        namespace_options: namespaces(pod),
        privileged,
        supplemental_groups: groupsOf(pod),
        seccomp: { profile_type: 'RuntimeDefault' },
        ...seLinux(securityContext?.seLinuxOptions),
        ...users(securityContext?.runAsUser, securityContext?.runAsGroup, 0),
      },
      sysctls: Object.fromEntries((securityContext?.sysctls ?? []).map(({ name, value }) => [name, value])),
    },
  };
}

export function containerConfig(spec: ContainerSpec, owner: string): object {
  const { container, pod, resources } = spec;
  return {
    metadata: { name: container.name, attempt: spec.attempt },
    image: { image: spec.imageId },
    command: container.command ?? [],
    args: container.args ?? [],
    working_dir: container.workingDir ?? '',
    envs: spec.env.map(({ name, value }) => ({ key: name, value })),
    mounts: [
      ...spec.mounts.map((m) => ({
        container_path: m.containerPath,
        host_path: m.hostPath,
        readonly: m.readOnly,
        selinux_relabel: m.isOwn ?? false,
        propagation: m.propagation ? propagations[m.propagation] : 'PROPAGATION_PRIVATE',
      })),
      ...spec.images.map((m) => ({
        container_path: m.containerPath,
        image: { image: m.id },
        image_sub_path: m.subPath,
        readonly: true,
      })),
    ],
    devices: spec.devices.map(({ hostPath, containerPath, readOnly }) => ({
      host_path: hostPath,
      container_path: containerPath,
      permissions: devicePermissions(readOnly),
    })),
    labels: { ...podLabels(pod, owner), [labels.containerName]: container.name },
    annotations: {
      [specHashAnnotation]: spec.specHash,
      [logPathAnnotation]: `${spec.sandbox.logDirectory}/${spec.logPath}`,
      ...(spec.images.length > 0 ? { [mountedImagesAnnotation]: spec.images.map(({ id }) => id).join() } : {}),
    },
    log_path: spec.logPath,
    stdin: container.stdin ?? false,
    stdin_once: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    linux: {
      resources: linuxResources(resources),
      security_context: containerSecurity(spec),
    },
  };
}

export const linuxResources = (resources: ContainerSpec['resources']): object => ({
  cpu_shares: resources.cpuShares,
  ...(resources.cpuQuotaMillicores === undefined
    ? {}
    : { cpu_period: cpuPeriod, cpu_quota: cpuQuota(resources.cpuQuotaMillicores) }),
  ...(resources.memoryLimitBytes === undefined ? {} : { memory_limit_in_bytes: resources.memoryLimitBytes }),
  oom_score_adj: resources.oomScoreAdj,
});

function containerSecurity({ pod, container, targetId, imageUser, sandbox }: ContainerSpec): object {
  const own = container.securityContext;
  const shared = pod.spec.securityContext;
  const privileged = own?.privileged ?? false;
  const hides = !privileged && own?.procMount !== 'Unmasked';
  const { add = [], drop = [] } = own?.capabilities ?? {};
  return {
    capabilities: { add_capabilities: add, drop_capabilities: drop },
    namespace_options: { ...namespaces(pod), ...(targetId ? { pid: 'TARGET', target_id: targetId } : {}) },
    privileged,
    readonly_rootfs: own?.readOnlyRootFilesystem ?? false,
    no_new_privs: own?.allowPrivilegeEscalation === false,
    supplemental_groups: groupsOf(pod),
    seccomp: seccompOf(own?.seccompProfile ?? shared?.seccompProfile, sandbox.seccompProfiles),
    ...appArmor(appArmorOf(pod, container)),
    ...seLinux(own?.seLinuxOptions ?? shared?.seLinuxOptions),
    ...users(own?.runAsUser ?? shared?.runAsUser, own?.runAsGroup ?? shared?.runAsGroup, imageUser),
    ...(hides ? { masked_paths: maskedPaths, readonly_paths: readonlyPaths } : {}),
  };
}

function seccompOf(profile: SeccompProfile | undefined, directory: string): object {
  if (profile?.type !== 'Localhost') return { profile_type: profile?.type ?? 'Unconfined' };
  return { profile_type: 'Localhost', localhost_ref: join(directory, profile.localhostProfile ?? '') };
}

const appArmor = (profile: AppArmorProfile | undefined): object =>
  profile ? { apparmor: { profile_type: profile.type, localhost_ref: profile.localhostProfile ?? '' } } : {};

const seLinux = (options: SELinuxOptions | undefined): object => (options ? { selinux_options: options } : {});

/** CRI refuses a group without a user, so the image's is named with it. */
function users(user: number | undefined, group: number | undefined, imageUser: number | string): object {
  if (user === undefined && group === undefined) return {};
  const who = user ?? imageUser;
  return {
    ...(typeof who === 'number' ? { run_as_user: { value: who } } : { run_as_username: who }),
    ...(group === undefined ? {} : { run_as_group: { value: group } }),
  };
}

const namespaces = (pod: Pod): object => ({
  network: pod.spec.hostNetwork ? 'NODE' : 'POD',
  pid: pod.spec.hostPID ? 'NODE' : pod.spec.shareProcessNamespace ? 'POD' : 'CONTAINER',
  ipc: pod.spec.hostIPC ? 'NODE' : 'POD',
});
