import { annotations } from '../api/kinds/names.ts';
import { Node, type NodeStatus } from '../api/kinds/node.ts';
import { type Stored, timestamp } from '../api/meta.ts';
import { formatBytes, formatMilli } from '../api/quantity.ts';
import { isRevocable } from '../api/revocable.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { kubernetesVersion } from '../lib/build.ts';
import { delay } from '../lib/delay.ts';
import { equal } from '../lib/equal.ts';
import type { Logger } from '../lib/log.ts';
import type { Resource } from '../mesos/types.ts';
import { renewLease } from './node-lease.ts';
import type { RuntimeImage } from './runtime.ts';
import {
  type MachineInfo,
  type MachineReadings,
  type Pressures,
  ToldPressures,
  machineInfo,
  pressuresIn,
} from './machine.ts';

export interface NodeOptions {
  client: Client;
  name: string;
  /** One, or one of each family. */
  ips: readonly string[];
  /** Port of the kubelet's server, and the SHA-256 of the certificates that it may show. */
  port: number;
  fingerprints(): readonly string[];
  runtimeVersion: string;
  images(): Promise<RuntimeImage[]>;
  /** Why no pod can run here now, if so. */
  unready(): Promise<string | undefined>;
  /** What the machine has left. */
  readings(): Promise<MachineReadings>;
  /** Told of what the node says that it is short of, before it says so. */
  pressed: (pressures: Pressures) => void;
  /** `kubernetes.io/csi/<driver>^<handle>` of what nobody may detach. */
  volumesInUse(): Promise<string[]>;
  /** As it is now. Undefined where the framework keeps it: what Mesos takes back is no fixed amount. */
  size: () => { total: Amounts; allocatable: Amounts } | undefined;
  /** Milliseconds between looks at the machine, and between renewals of the lease. */
  statusInterval: number;
  leaseInterval: number;
  /** Called when the Node has another part of the addresses of pods than before (`podCIDRs`, with commas between). */
  podCidr: (cidr: string) => Promise<void>;
  /** Called whenever the apiserver has the node's status as it is here. */
  said: () => void;
  log: Logger;
}

/** cpu in thousandths, the others in bytes. */
export interface Amounts {
  cpu: number;
  memory: number;
  disk: number;
}

/** An unchanged status is written again this often, ms: its heartbeat. */
const heartbeat = 5 * 60_000;
const tryAgain = 1_000;
const mostImages = 50;
const mostNames = 5;

/** Sums what Mesos counts, of all roles, to thousandths of a core. */
export function amountsOf(resources: readonly Resource[]): Amounts {
  const sum = (name: string) =>
    resources.filter((r) => r.name === name).reduce((total, r) => total + Math.round((r.scalar?.value ?? 0) * 1000), 0);
  const megabytes = (thousandths: number) => Math.floor(thousandths / 1000) * 1024 * 1024;
  return { cpu: sum('cpus'), memory: megabytes(sum('mem')), disk: megabytes(sum('disk')) };
}

export const subtract = (a: Amounts, b: Amounts): Amounts => ({
  cpu: Math.max(0, a.cpu - b.cpu),
  memory: Math.max(0, a.memory - b.memory),
  disk: Math.max(0, a.disk - b.disk),
});

/**
 * The name of the Node that the framework made for this agent: it says so in an annotation, since two agents of one host
 * have different names, as have the nodes of both classes of one agent. Where there is none, the host's name.
 */
export async function findNodeName(
  client: Client,
  agentId: string,
  hostname: string,
  isOfRevocable: boolean,
  signal: AbortSignal,
): Promise<string> {
  const { items } = await client.list(Node, {}, signal);
  return (
    items.find(
      (node) => node.metadata.annotations?.[annotations.agentId] === agentId && isRevocable(node) === isOfRevocable,
    )?.metadata.name ?? hostname.toLowerCase()
  );
}

export interface KeptNode {
  /** Writes the status as it is now. */
  write(): Promise<void>;
  closed: Promise<void>;
}

/** Takes over the Node, or makes it, and keeps its status and lease until the signal aborts. Resolves when it is first written. */
export async function keepNode(options: NodeOptions, signal: AbortSignal): Promise<KeptNode> {
  let written: NodeStatus | undefined;
  let writtenAt = -Infinity;
  let cidr = '';
  let images: RuntimeImage[] = [];
  const pressures = new ToldPressures();
  const writeOne = async () => {
    const node = await adopt(options, signal);
    const given = node.spec?.podCIDRs?.join(',') ?? '';
    if (given !== cidr && given !== '') {
      await options.podCidr(given);
      cidr = given;
    }
    const now = Date.now();
    const unready = await options.unready();
    if (unready === undefined) images = await options.images();
    const short = pressures.told(pressuresIn(await options.readings()), performance.now());
    options.pressed(short);
    const health = { unready, short };
    const status = {
      ...nodeStatus(node, options, machineInfo(), health, now),
      images: imagesOf(images),
      volumesInUse: await options.volumesInUse(),
    };
    const stable = withoutTimes(status);
    const readiness = ({ conditions: all }: NodeStatus) => all?.find(({ type }) => type === 'Ready')?.reason;
    const drifted = readiness(node.status ?? {}) !== readiness(status);
    if (!drifted && equal(stable, written) && performance.now() - writtenAt < heartbeat) return options.said();
    await options.client.patch(
      Node,
      { name: options.name },
      // Two addresses of one type would be merged into one.
      { status: { ...status, addresses: [...(status.addresses ?? []), { $patch: 'replace' }] } },
      { type: 'strategic', subresource: 'status' },
      signal,
    );
    [written, writtenAt] = [stable, performance.now()];
    options.said();
  };
  // One after the other: an older status must not be written over a newer one.
  let last = Promise.resolve();
  const write = () => (last = last.then(writeOne, writeOne));
  for (let done = false; !done;) {
    done = await write().then(
      () => true,
      async (err: unknown) => {
        signal.throwIfAborted();
        options.log.warn({ err, node: options.name }, 'node could not be registered; trying again');
        await delay(tryAgain, signal);
        return false;
      },
    );
  }
  options.log.info({ node: options.name, port: options.port }, 'node is registered');
  const loops = [
    every(options.statusInterval, write, 'node status could not be written', options, signal),
    every(
      options.leaseInterval,
      () => renewLease(options.client, options.name, signal),
      'node lease could not be renewed',
      options,
      signal,
    ),
  ];
  return { write, closed: Promise.all(loops).then(() => undefined) };
}

async function every(
  interval: number,
  work: () => Promise<void>,
  failure: string,
  { log, name }: NodeOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await work().catch((err: unknown) => {
      if (!signal.aborted) log.warn({ err, node: name }, failure);
    });
    await delay(interval, signal).catch(() => undefined);
  }
}

/** What is ours on the object itself: where the kubelet's certificate is known by, and labels that nobody has set. */
async function adopt({ client, name, fingerprints }: NodeOptions, signal: AbortSignal): Promise<Node & Stored> {
  const own = {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': machineInfo().architecture,
  };
  const known = fingerprints().join(',');
  const mark = { [annotations.kubeletCertificate]: known };
  const node = await client.get(Node, { name }, signal).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  if (!node) return client.create(Node, { metadata: { name, labels: own, annotations: mark }, spec: {} }, {}, signal);
  const missing = Object.entries(own).filter(([key]) => node.metadata.labels?.[key] === undefined);
  if (missing.length === 0 && node.metadata.annotations?.[annotations.kubeletCertificate] === known) return node;
  return client.patch(
    Node,
    { name },
    { metadata: { labels: Object.fromEntries(missing), annotations: mark } },
    {},
    signal,
  );
}

/** The status as a kubelet writes it; conditions that are not ours are left alone by a strategic merge. */
export function nodeStatus(
  node: Node,
  { ips, port, runtimeVersion, size, name }: Pick<NodeOptions, 'ips' | 'port' | 'runtimeVersion' | 'size' | 'name'>,
  info: MachineInfo,
  health: NodeHealth,
  now: number,
): NodeStatus {
  const pods = node.status?.allocatable?.pods ?? '110';
  const sized = size();
  const amounts = ({ cpu, memory, disk }: Amounts) => ({
    cpu: formatMilli(cpu),
    memory: formatBytes(memory),
    'ephemeral-storage': formatBytes(disk),
    pods,
  });
  return {
    ...(sized ? { capacity: amounts(sized.total), allocatable: amounts(sized.allocatable) } : {}),
    addresses: [
      ...ips.map((address) => ({ type: 'InternalIP' as const, address })),
      { type: 'Hostname', address: name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
    nodeInfo: {
      machineID: info.machineId,
      systemUUID: info.machineId,
      bootID: info.bootId,
      kernelVersion: info.kernel,
      osImage: info.osImage,
      containerRuntimeVersion: runtimeVersion,
      kubeletVersion: kubernetesVersion,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: info.architecture,
    },
    conditions: conditions(node, health, now),
  };
}

export interface NodeHealth {
  unready: string | undefined;
  short: Pressures;
}

function conditions(node: Node, { unready, short }: NodeHealth, now: number): NonNullable<NodeStatus['conditions']> {
  const pressure = (type: string, isLow: boolean, bad: [string, string], good: [string, string]) => ({
    type,
    status: isLow ? ('True' as const) : ('False' as const),
    reason: isLow ? bad[0] : good[0],
    message: isLow ? bad[1] : good[1],
  });
  const found = [
    pressure(
      'MemoryPressure',
      short.memory,
      ['KubeletHasInsufficientMemory', 'kubelet has insufficient memory available'],
      ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ),
    pressure(
      'DiskPressure',
      short.disk,
      ['KubeletHasDiskPressure', 'kubelet has disk pressure'],
      ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
    ),
    pressure(
      'PIDPressure',
      short.pids,
      ['KubeletHasInsufficientPID', 'kubelet has insufficient PID available'],
      ['KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
    ),
    unready === undefined
      ? { type: 'Ready', status: 'True' as const, reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : { type: 'Ready', status: 'False' as const, reason: 'KubeletNotReady', message: unready },
  ];
  const time = timestamp(now);
  return found.map((condition) => {
    const old = node.status?.conditions?.find(({ type }) => type === condition.type);
    const since = old?.status === condition.status ? (old.lastTransitionTime ?? time) : time;
    return { ...condition, lastHeartbeatTime: time, lastTransitionTime: since };
  });
}

/** As many of the largest as a kubelet tells of, each with a few of its names. */
const imagesOf = (images: readonly RuntimeImage[]): NonNullable<NodeStatus['images']> =>
  [...images]
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, mostImages)
    .map(({ names, bytes }) => ({ names: names.slice(0, mostNames), sizeBytes: bytes }));

const withoutTimes = ({ conditions: all = [], ...rest }: NodeStatus): NodeStatus => ({
  ...rest,
  conditions: all.map(({ type, status, reason = '' }) => ({ type, status, reason })),
});
