import { Registry, collectDefaultMetrics } from 'prom-client';
import type { DiskMeter, VolumeUse } from './disk-meter.ts';
import type { KeptFigures } from './kept-certificate.ts';
import type { MachineUse } from './machine.ts';
import { type Family, textOf } from './metrics-text.ts';
import type { Pods } from './pods.ts';
import type { ProbeCounts } from './probes/probe-counts.ts';
import type { UsageMeter, UsageNow } from './usage.ts';

export interface MetricsFacts {
  pods: Pods;
  meter: UsageMeter;
  disks: DiskMeter;
  probes: ProbeCounts;
  nodeName: string;
  certificates(): { client: KeptFigures; server: KeptFigures };
  /** Below which cgroup those of pods are; empty where pods have none. */
  cgroupParent: string;
  machine(): MachineUse;
}

/** /metrics/resource: what a metrics server reads. */
export async function resourceMetrics({ pods, meter, machine }: MetricsFacts): Promise<string> {
  const usages = await meter.now();
  const node = machine();
  const named = new Map(pods.list().map((pod) => [pod.metadata.uid, pod.metadata]));
  const ofPod = (uid: string) => ({ namespace: named.get(uid)?.namespace ?? '', pod: named.get(uid)?.name ?? '' });
  const known = usages.filter(({ podUid }) => named.has(podUid));
  const each = (value: (usage: UsageNow) => number) =>
    known.map((usage) => ({
      labels: { container: usage.name, ...ofPod(usage.podUid) },
      value: value(usage),
      at: usage.at,
    }));
  const summed = (value: (usage: UsageNow) => number) =>
    [...Map.groupBy(known, ({ podUid }) => podUid)].map(([uid, all]) => ({
      labels: ofPod(uid),
      value: all.reduce((sum, usage) => sum + value(usage), 0),
      at: Math.max(...all.map(({ at }) => at)),
    }));
  const cpu = ({ cpuNanos }: UsageNow) => cpuNanos / 1e9;
  const memory = ({ workingSet }: UsageNow) => workingSet;
  const [cpuHelp, memoryHelp] = ['Cumulative cpu time consumed by the', 'Current working set of the'];
  return textOf([
    {
      name: 'container_cpu_usage_seconds_total',
      help: `${cpuHelp} container in core-seconds`,
      type: 'counter',
      samples: each(cpu),
    },
    {
      name: 'container_memory_working_set_bytes',
      help: `${memoryHelp} container in bytes`,
      type: 'gauge',
      samples: each(memory),
    },
    {
      name: 'container_start_time_seconds',
      help: 'Start time of the container since unix epoch in seconds',
      type: 'gauge',
      samples: each(({ startedAt }) => startedAt / 1000),
    },
    {
      name: 'node_cpu_usage_seconds_total',
      help: `${cpuHelp} node in core-seconds`,
      type: 'counter',
      samples: [{ value: node.cpuNanos / 1e9, at: node.at }],
    },
    {
      name: 'node_memory_working_set_bytes',
      help: `${memoryHelp} node in bytes`,
      type: 'gauge',
      samples: [{ value: node.workingSet, at: node.at }],
    },
    {
      name: 'pod_cpu_usage_seconds_total',
      help: `${cpuHelp} pod in core-seconds`,
      type: 'counter',
      samples: summed(cpu),
    },
    {
      name: 'pod_memory_working_set_bytes',
      help: `${memoryHelp} pod in bytes`,
      type: 'gauge',
      samples: summed(memory),
    },
    {
      name: 'resource_scrape_error',
      help: '1 if there was an error while getting container metrics, 0 otherwise',
      type: 'gauge',
      samples: [{ value: 0 }],
    },
  ]);
}

/** /metrics/probes. */
export const probeMetrics = ({ probes }: MetricsFacts): string =>
  textOf([
    {
      name: 'prober_probe_total',
      help: 'Cumulative number of a liveness, readiness or startup probe for a container by result.',
      type: 'counter',
      samples: probes.all(),
    },
  ]);

/** /metrics: this kubelet itself. */
export async function kubeletMetrics({ pods, disks, nodeName, certificates }: MetricsFacts): Promise<string> {
  process_ ??= processMetrics();
  const found = await pods.counts();
  return (
    textOf([
      {
        name: 'kubelet_node_name',
        help: "The node's name. The count is always 1.",
        type: 'gauge',
        samples: [{ labels: { node: nodeName }, value: 1 }],
      },
      {
        name: 'kubelet_running_pods',
        help: 'Number of pods that have a running pod sandbox',
        type: 'gauge',
        samples: [{ value: found.pods }],
      },
      {
        name: 'kubelet_running_containers',
        help: 'Number of containers currently running',
        type: 'gauge',
        samples: Object.entries(found.containers).map(([state, value]) => ({
          labels: { container_state: state },
          value,
        })),
      },
      ...certificateFamilies(certificates()),
      ...claimFamilies(pods, disks),
    ]) + (await process_.metrics())
  );
}

/** By the names that alerts know. */
function certificateFamilies({ client, server }: ReturnType<MetricsFacts['certificates']>): Family[] {
  const ttl = (who: string, { secondsLeft }: KeptFigures): Family => ({
    name: `kubelet_certificate_manager_${who}_ttl_seconds`,
    help: `Seconds until the ${who} certificate of the kubelet expires; negative once it has, +Inf without one`,
    type: 'gauge',
    samples: [{ value: secondsLeft }],
  });
  const errors = (name: string, { failures }: KeptFigures): Family => ({
    name,
    help: 'Counter of certificate renewal errors.',
    type: 'counter',
    samples: [{ value: failures }],
  });
  return [
    ttl('client', client),
    ttl('server', server),
    errors('kubelet_certificate_manager_client_expiration_renew_errors', client),
    errors('kubelet_server_expiration_renew_errors', server),
  ];
}

/** How full the volumes of claims are; one that several pods have is told of once. */
function claimFamilies(pods: Pods, disks: DiskMeter): Family[] {
  const list = pods.list();
  const uses = disks.latest(list);
  const claims = new Map(
    list.flatMap(({ metadata: { uid, namespace = '' } }) =>
      (uses.get(uid!)?.volumes ?? []).flatMap((use): [string, { labels: Record<string, string>; use: VolumeUse }][] =>
        use.claim === undefined
          ? []
          : [[`${namespace}/${use.claim}`, { labels: { namespace, persistentvolumeclaim: use.claim }, use }]],
      ),
    ),
  );
  const told: [string, string, (use: VolumeUse) => number][] = [
    ['available_bytes', 'Number of available bytes in the volume', (use) => use.availableBytes],
    ['capacity_bytes', 'Capacity in bytes of the volume', (use) => use.capacityBytes],
    ['inodes', 'Maximum number of inodes in the volume', (use) => use.inodes],
    ['inodes_free', 'Number of free inodes in the volume', (use) => use.inodesFree],
    ['inodes_used', 'Number of used inodes in the volume', (use) => use.inodesUsed],
    ['used_bytes', 'Number of used bytes in the volume', (use) => use.usedBytes],
  ];
  return told.map(([name, help, value]) => ({
    name: `kubelet_volume_stats_${name}`,
    help,
    type: 'gauge',
    samples: [...claims.values()].map(({ labels, use }) => ({ labels, value: value(use) })),
  }));
}

/** Of the process, however many kubelets it has. */
let process_: Registry | undefined;

function processMetrics(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
