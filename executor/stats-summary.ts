import type { Pod } from '../api/kinds/pod.ts';
import { timestamp } from '../api/meta.ts';
import { containersOf } from './containers.ts';
import type { ImageDiskUse, PodDiskUse } from './disk-meter.ts';
import type { MachineUse } from './machine.ts';
import type { MetricsFacts } from './node-metrics.ts';
import { type InterfaceUse, interfacesOf, processesOf } from './pod-processes.ts';
import type { UsageNow } from './usage.ts';

/** Of the node: what is left of a file system that a pod only has a part of. */
type Room = Pick<MachineUse['disk'], 'availableBytes' | 'capacityBytes' | 'inodes' | 'inodesFree'>;

/** /stats/summary: https://pkg.go.dev/k8s.io/kubelet/pkg/apis/stats/v1alpha1#Summary */
export async function statsSummary(facts: MetricsFacts, onlyCpuAndMemory: boolean): Promise<object> {
  const { pods, meter, disks, nodeName, cgroupParent, machine } = facts;
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  const node = machine();
  const time = timestamp(node.at);
  const list = pods.list();
  const { availableBytes, capacityBytes, inodes, inodesFree } = node.disk;
  const room = { availableBytes, capacityBytes, inodes, inodesFree };
  const onDisk = onlyCpuAndMemory ? undefined : disks.latest(list);
  const images = onlyCpuAndMemory ? undefined : disks.latestOfImages();
  return {
    node: {
      nodeName,
      startTime: timestamp(node.startedAt),
      cpu: { time, usageCoreNanoSeconds: node.cpuNanos },
      memory: { time, availableBytes: node.available, usageBytes: node.usage, workingSetBytes: node.workingSet },
      ...(onlyCpuAndMemory
        ? {}
        : {
            fs: { time, ...node.disk },
            rlimit: { time, maxpid: node.maxPids, curproc: node.pids },
            ...networkOf(time, interfacesOf('self')),
            ...(images ? { runtime: { imageFs: imageFsOf(images) } } : {}),
          }),
    },
    pods: list.flatMap((pod) => {
      const uid = pod.metadata.uid!;
      const counted = (usages.get(uid) ?? []).filter(({ name }) => containersOf(pod).some((c) => c.name === name));
      if (counted.length === 0) return [];
      if (!onDisk) return podStats(pod, counted);
      const disk = onDisk.get(uid);
      const processes = processesOf(pod, cgroupParent);
      return {
        ...podStats(pod, counted, (usage) => filesOf(usage, disk, room, images)),
        ...(disk ? { volume: volumesOf(pod, disk), 'ephemeral-storage': ephemeralOf(counted, disk, room) } : {}),
        ...(processes
          ? { process_stats: { process_count: processes.count }, ...networkOf(time, processes.interfaces) }
          : {}),
      };
    }),
  };
}

function podStats(pod: Pod, counted: readonly UsageNow[], more: (usage: UsageNow) => object = () => ({})): object {
  const { name, namespace, uid } = pod.metadata;
  const startTime = pod.status?.startTime;
  const sum = (value: (usage: UsageNow) => number | undefined) =>
    counted.reduce((total, usage) => total + (value(usage) ?? 0), 0);
  const whole: UsageNow = {
    ...counted[0]!,
    at: Math.max(...counted.map(({ at }) => at)),
    cpuNanos: sum((u) => u.cpuNanos),
    memory: sum((u) => u.memory),
    workingSet: sum((u) => u.workingSet),
    rss: sum((u) => u.rss),
    ...(counted.every((u) => u.nanoCores !== undefined) ? { nanoCores: sum((u) => u.nanoCores) } : {}),
  };
  const containers = counted.map((usage) => ({
    name: usage.name,
    startTime: timestamp(usage.startedAt),
    ...amounts(usage),
    ...more(usage),
  }));
  return { podRef: { name, namespace, uid }, ...(startTime ? { startTime } : {}), containers, ...amounts(whole) };
}

/** What a container wrote, beside its volumes and to its log. */
function filesOf(
  { name, at, disk: written }: UsageNow,
  disk: PodDiskUse | undefined,
  room: Room,
  images: ImageDiskUse | undefined,
): object {
  const beside = images ? imageFsOf(images) : {}; // its own files are where the images are
  const logs = disk?.logs.get(name);
  return {
    ...(written === undefined ? {} : { rootfs: { ...beside, time: timestamp(at), usedBytes: written } }),
    ...(logs === undefined ? {} : { logs: { time: timestamp(disk!.at), ...room, usedBytes: logs } }),
  };
}

const imageFsOf = ({ at, ...use }: ImageDiskUse): object => ({ time: timestamp(at), ...use });

const volumesOf = ({ metadata: { namespace } }: Pod, { at, volumes }: PodDiskUse): object[] =>
  volumes.map(({ claim, ...use }) => ({
    time: timestamp(at),
    ...use,
    ...(claim === undefined ? {} : { pvcRef: { name: claim, namespace } }),
  }));

const ephemeralOf = (counted: readonly UsageNow[], { at, usedBytes }: PodDiskUse, room: Room): object => ({
  time: timestamp(at),
  ...room,
  usedBytes: counted.reduce((sum, { disk = 0 }) => sum + disk, usedBytes),
});

/** The first interface is the one that counts, as in a kubelet; nothing where there is none. */
function networkOf(time: string, found: readonly InterfaceUse[]): object {
  const interfaces = found.map(({ name, received, transmitted }) => ({
    name,
    ...{ rxBytes: received.bytes, rxErrors: received.errors },
    ...{ txBytes: transmitted.bytes, txErrors: transmitted.errors },
  }));
  const first = interfaces.find(({ name }) => name === 'eth0') ?? interfaces[0];
  return first ? { network: { time, ...first, interfaces } } : {};
}

function amounts({ at, cpuNanos, nanoCores, memory, workingSet, rss }: UsageNow): object {
  const time = timestamp(at);
  return {
    cpu: { time, ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }), usageCoreNanoSeconds: cpuNanos },
    memory: { time, usageBytes: memory, workingSetBytes: workingSet, rssBytes: rss },
  };
}
