import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CallLaunchContainer } from '../../mesos/agent.ts';
import type { ContainerInfo, Image, Volume } from '../../mesos/containers.ts';
import type { CommandInfo } from '../../mesos/tasks.ts';
import type { Resource } from '../../mesos/types.ts';
import { type ContainerSpec, StartError } from '../runtime.ts';
import type { Containerizer } from './mesos-agent.ts';
import { type ProcessPowers, baseEnv, commandExists, containerCommand } from './process-command.ts';

export type Launch = Omit<CallLaunchContainer, 'container_id'>;

export interface LaunchPlace {
  /** Of the container's own, on this machine. */
  directory: string;
  /** A file that has its process id, in a line, once all its volumes are there; where the machine's files are the container's. */
  ready: string;
  powers: ProcessPowers;
  /** Text of a Docker config.json for its image. */
  credentials: string | undefined;
}

const refuse = (what: string): never => {
  throw new StartError('CreateContainerError', `the Mesos containerizer ${what}`);
};

export const noCommand =
  'this agent makes no containers of images (its flag --image_providers names no DOCKER): give the container a command of the machine, or use --runtime cri or docker';

/** What a container is to the agent. Throws StartError where it cannot be. */
export function launchOf(spec: ContainerSpec, containerizer: Containerizer, place: LaunchPlace): Launch {
  const launch = containerizer.images ? ofImage(spec, containerizer, place) : ofMachine(spec, place);
  const env = environmentOf(spec);
  const variables = Object.entries(env).map(([name, value]) => ({ name, value, type: 'VALUE' as const }));
  const limits = containerizer.limits ? limitsOf(spec) : {};
  const container: ContainerInfo = {
    ...(launch.container ?? { type: 'MESOS' }),
    // A window that a client has told is its size from then on.
    ...(spec.container.tty ? { tty_info: { window_size: { rows: 24, columns: 80 } } } : {}),
  };
  if (containerizer.limits) container.linux_info = { ...container.linux_info, share_cgroups: false };
  return { command: { ...launch.command, environment: { variables } }, container, ...limits };
}

export const environmentOf = ({ pod, env }: ContainerSpec): Record<string, string> => ({
  ...baseEnv(pod.metadata.name ?? ''),
  ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
});

/** Without image providers: a command of the machine, its volumes and user arranged by itself, as the process runtime does. */
function ofMachine(spec: ContainerSpec, { directory, ready, powers }: LaunchPlace): Launch {
  const { container } = spec;
  const argv = [...(container.command ?? []), ...(container.args ?? [])];
  const [program] = argv;
  if (!container.command?.length || program === undefined) throw new StartError('CreateContainerError', noCommand);
  if (!commandExists(program, environmentOf(spec).PATH ?? '', spec))
    throw new StartError('RunContainerError', `exec: "${program}": executable file not found in $PATH`);
  // The terminal is made by the agent. A file is renamed, so that nobody reads half of it.
  const plain = { ...spec, container: { ...container, tty: false } };
  const places = { root: join(directory, 'root'), work: join(directory, 'work') };
  const full = containerCommand(plain, argv, powers, places, ready);
  return { command: { shell: false, value: full[0] ?? program, arguments: full } };
}

/** Made of an image by the agent's provisioner. */
function ofImage(spec: ContainerSpec, { hostPaths }: Containerizer, { credentials }: LaunchPlace): Launch {
  const { container, mounts, devices, pod } = spec;
  const own = container.securityContext ?? {};
  const user = own.runAsUser ?? pod.spec.securityContext?.runAsUser ?? 0;
  if (user !== 0)
    refuse('runs a command as a user of the machine by name, not by number: runAsUser cannot be provided');
  if (container.workingDir) refuse('has no working directory beside the image’s: workingDir cannot be provided');
  if (own.readOnlyRootFilesystem) refuse('makes no read-only root file systems');
  if (devices.length > 0) refuse('shows no block devices to containers');
  if (mounts.length > 0 && !hostPaths)
    refuse('mounts directories only with the isolators filesystem/linux and volume/host_path (agent flag --isolation)');
  const { command = [], args = [] } = container;
  const [value] = command;
  const image: Image = {
    type: 'DOCKER',
    cached: container.imagePullPolicy !== 'Always',
    docker: {
      name: container.image ?? '',
      ...(credentials === undefined ? {} : { config: { type: 'VALUE', value: { data: Buffer.from(credentials) } } }),
    },
  };
  return {
    command:
      value === undefined
        ? { shell: false, arguments: args }
        : { shell: false, value, arguments: [...command, ...args] },
    container: { type: 'MESOS', mesos: { image }, volumes: mounts.map(volumeOf) },
  };
}

const propagations = { HostToContainer: 'HOST_TO_CONTAINER', Bidirectional: 'BIDIRECTIONAL' } as const;

const volumeOf = ({ hostPath, containerPath, readOnly, propagation }: ContainerSpec['mounts'][number]): Volume => ({
  container_path: containerPath,
  mode: readOnly ? 'RO' : 'RW',
  source: {
    type: 'HOST_PATH',
    host_path: {
      path: hostPath,
      ...(propagation ? { mount_propagation: { mode: propagations[propagation] } } : {}),
    },
  },
});

const megabyte = 1024 * 1024;
/** What a container without a limit of its own is accounted with; it may use more. MB. */
const unlimitedMemory = 32;

/** All containers of an executor have cgroups of their own, or none has: so each has resources. */
function limitsOf({ resources }: ContainerSpec): Pick<Launch, 'resources' | 'limits'> {
  const { cpuShares, cpuQuotaMillicores, memoryLimitBytes } = resources;
  const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
  const memory = memoryLimitBytes === undefined ? undefined : memoryLimitBytes / megabyte;
  return {
    resources: [scalar('cpus', Math.max(0.01, cpuShares / 1024)), scalar('mem', memory ?? unlimitedMemory)],
    limits: {
      cpus: { value: cpuQuotaMillicores === undefined ? Infinity : cpuQuotaMillicores / 1000 },
      mem: { value: memory ?? Infinity },
    },
  };
}

/**
 * A session inherits what the executor was started with, its credentials among that: it is taken away by name, so that no value
 * is in a command line.
 */
export function withoutEnvironmentOf(pid: number, { command = {} }: Launch): CommandInfo {
  const { value = '', arguments: args = [], environment = {} } = command;
  const given = new Set((environment.variables ?? []).map(({ name }) => name));
  const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .map((entry) => entry.slice(0, entry.indexOf('=')))
    .filter((name) => name !== '' && !given.has(name));
  const argv = ['env', ...names.flatMap((name) => ['-u', name]), '--', value, ...args.slice(1)];
  return { shell: false, value: '/usr/bin/env', arguments: argv, environment };
}
