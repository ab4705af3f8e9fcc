import type { Pod } from '../api/kinds/pod.ts';
import { timestamp } from '../api/meta.ts';
import { containersOf } from './containers.ts';
import type { MetricsFacts } from './node-metrics.ts';
import type { UsageNow } from './usage.ts';

/** /stats/summary: https://pkg.go.dev/k8s.io/kubelet/pkg/apis/stats/v1alpha1#Summary */
export async function statsSummary(
  { pods, meter, nodeName, machine }: MetricsFacts,
  onlyCpuAndMemory: boolean,
): Promise<object> {
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  const node = machine();
  const time = timestamp(node.at);
  return {
    node: {
      nodeName,
      startTime: timestamp(node.startedAt),
      cpu: { time, usageCoreNanoSeconds: node.cpuNanos },
      memory: { time, availableBytes: node.available, usageBytes: node.usage, workingSetBytes: node.workingSet },
      ...(onlyCpuAndMemory
        ? {}
        : { fs: { time, ...node.disk }, rlimit: { time, maxpid: node.maxPids, curproc: node.pids } }),
    },
    pods: pods.list().flatMap((pod) => podStats(pod, usages.get(pod.metadata.uid!) ?? [], onlyCpuAndMemory)),
  };
}

function podStats(pod: Pod, usages: readonly UsageNow[], onlyCpuAndMemory: boolean): object[] {
  const { name, namespace, uid } = pod.metadata;
  const startTime = pod.status?.startTime;
  const counted = usages.filter((usage) => containersOf(pod).some((c) => c.name === usage.name));
  if (counted.length === 0) return [];
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
    ...(onlyCpuAndMemory || usage.disk === undefined
      ? {}
      : { rootfs: { time: timestamp(usage.at), usedBytes: usage.disk } }),
  }));
  return [{ podRef: { name, namespace, uid }, ...(startTime ? { startTime } : {}), containers, ...amounts(whole) }];
}

function amounts({ at, cpuNanos, nanoCores, memory, workingSet, rss }: UsageNow): object {
  const time = timestamp(at);
  return {
    cpu: { time, ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }), usageCoreNanoSeconds: cpuNanos },
    memory: { time, usageBytes: memory, workingSetBytes: workingSet, rssBytes: rss },
  };
}
