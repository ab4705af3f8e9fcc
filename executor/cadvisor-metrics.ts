import { cpus, totalmem } from 'node:os';
import type { Container, Pod } from '../api/kinds/pod.ts';
import { containersOf } from './containers.ts';
import { machineInfo } from './machine.ts';
import { type Family, type Sample, textOf } from './metrics-text.ts';
import type { MetricsFacts } from './node-metrics.ts';
import { type Carried, type InterfaceUse, type PodProcesses, interfacesOf, processesOf } from './pod-processes.ts';
import { containerResources } from './resources.ts';
import { throttlingOf } from './runtimes/cgroups.ts';
import type { UsageNow } from './usage.ts';

/** A container with all that is known of it. */
interface Seen {
  usage: UsageNow;
  pod: Pod;
  container: Container;
  processes: PodProcesses | undefined;
}

/** In microseconds: what a kubelet has a quota for. */
const cpuPeriod = 100_000;

/**
 * /metrics/cadvisor: the names and labels that cAdvisor has in a kubelet, of containers, of pods (`container` is empty) and of
 * the machine (`id` is `/`), as far as runtime and kernel tell.
 */
export async function cadvisorMetrics({ pods, meter, cgroupParent, machine }: MetricsFacts): Promise<string> {
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  const known = pods.list().map((pod) => {
    const processes = processesOf(pod, cgroupParent);
    const seen = (usages.get(pod.metadata.uid!) ?? []).flatMap((usage): Seen[] => {
      const container = containersOf(pod).find(({ name }) => name === usage.name);
      return container ? [{ usage, pod, container, processes }] : [];
    });
    return { pod, processes, seen };
  });
  const containers = known.flatMap(({ seen }) => seen);
  const node = machine();

  const each = (value: (seen: Seen) => number | undefined, more = {}): Sample[] =>
    containers.flatMap((seen) => {
      const found = value(seen);
      return found === undefined ? [] : [{ labels: { ...labelsOf(seen), ...more }, value: found, at: seen.usage.at }];
    });
  const summed = (value: (usage: UsageNow) => number, more = {}): Sample[] =>
    known.flatMap(({ pod, processes, seen }) =>
      seen.length === 0
        ? []
        : {
            labels: { ...podLabels(pod, processes), ...more },
            value: seen.reduce((sum, { usage }) => sum + value(usage), 0),
            at: Math.max(...seen.map(({ usage }) => usage.at)),
          },
    );
  /** Of containers, of pods and of the machine. */
  const everywhere = (value: (usage: UsageNow) => number, ofMachine: number | undefined, more = {}): Sample[] => [
    ...(ofMachine === undefined ? [] : [{ labels: { ...machineLabels, ...more }, value: ofMachine, at: node.at }]),
    ...summed(value, more),
    ...each(({ usage }) => value(usage), more),
  ];
  const networks = [
    { labels: machineLabels, interfaces: interfacesOf('self') },
    ...known.map(({ pod, processes }) => ({
      labels: podLabels(pod, processes),
      interfaces: processes?.interfaces ?? [],
    })),
  ];
  return textOf([
    gauge('container_scrape_error', '1 if there was an error while getting container metrics, 0 otherwise', [
      { value: 0 },
    ]),
    counter(
      'container_cpu_usage_seconds_total',
      'Cumulative cpu time consumed in seconds.',
      everywhere(({ cpuNanos }) => cpuNanos / 1e9, node.cpuNanos / 1e9, { cpu: 'total' }),
    ),
    ...throttling(each),
    gauge(
      'container_memory_usage_bytes',
      'Current memory usage in bytes, including all memory regardless of when it was accessed',
      everywhere(({ memory }) => memory, node.usage),
    ),
    gauge(
      'container_memory_working_set_bytes',
      'Current working set in bytes.',
      everywhere(({ workingSet }) => workingSet, node.workingSet),
    ),
    gauge(
      'container_memory_rss',
      'Size of RSS in bytes.',
      everywhere(({ rss }) => rss, undefined),
    ),
    gauge(
      'container_fs_usage_bytes',
      'Number of bytes that are consumed by the container on this filesystem.',
      each(({ usage }) => usage.disk),
    ),
    gauge(
      'container_processes',
      'Number of processes running inside the container.',
      each(({ usage, processes }) => processes?.inContainer(usage.id)?.count),
    ),
    gauge(
      'container_start_time_seconds',
      'Start time of the container since unix epoch in seconds.',
      each(({ usage }) => usage.startedAt / 1000),
    ),
    gauge(
      'container_last_seen',
      'Last time a container was seen by the exporter',
      each(({ usage }) => Math.round(usage.at / 1000)),
    ),
    ...limits(each),
    ...networkFamilies(networks),
    ...machineFamilies(),
  ]);
}

type Each = (value: (seen: Seen) => number | undefined) => Sample[];

const resourcesOf = ({ pod, container }: Seen) => containerResources(pod, container, totalmem());

/** Only a container with a quota can have it used up. */
function throttling(each: Each): Family[] {
  const of = (value: (found: ReturnType<typeof throttlingOf>) => number) =>
    each((seen) => {
      const group = seen.processes?.inContainer(seen.usage.id);
      return group && resourcesOf(seen).cpuQuotaMillicores !== undefined
        ? value(throttlingOf(group.cgroup))
        : undefined;
    });
  return [
    counter(
      'container_cpu_cfs_periods_total',
      'Number of elapsed enforcement period intervals.',
      of(({ periods }) => periods),
    ),
    counter(
      'container_cpu_cfs_throttled_periods_total',
      'Number of throttled period intervals.',
      of(({ throttledPeriods }) => throttledPeriods),
    ),
    counter(
      'container_cpu_cfs_throttled_seconds_total',
      'Total time duration the container has been throttled.',
      of(({ throttledNanos }) => throttledNanos / 1e9),
    ),
  ];
}

const limits = (each: Each): Family[] => [
  gauge(
    'container_spec_cpu_period',
    'CPU period of the container.',
    each(() => cpuPeriod),
  ),
  gauge(
    'container_spec_cpu_quota',
    'CPU quota of the container.',
    each((seen) => {
      const { cpuQuotaMillicores: quota } = resourcesOf(seen);
      return quota === undefined ? undefined : Math.max(1000, (quota * cpuPeriod) / 1000);
    }),
  ),
  gauge(
    'container_spec_cpu_shares',
    'CPU share of the container.',
    each((seen) => resourcesOf(seen).cpuShares),
  ),
  gauge(
    'container_spec_memory_limit_bytes',
    'Memory limit for the container.',
    each((seen) => resourcesOf(seen).memoryLimitBytes ?? 0),
  ),
];

function networkFamilies(
  networks: readonly { labels: Record<string, string>; interfaces: readonly InterfaceUse[] }[],
): Family[] {
  const carried = (way: 'receive' | 'transmit', what: keyof Carried, name: string, help: string): Family =>
    counter(
      `container_network_${way}_${name}_total`,
      help,
      networks.flatMap(({ labels, interfaces }) =>
        interfaces.map((one) => ({
          labels: { ...labels, interface: one.name },
          value: (way === 'receive' ? one.received : one.transmitted)[what],
        })),
      ),
    );
  return (['receive', 'transmit'] as const).flatMap((way) => {
    const [past, now] = way === 'receive' ? ['received', 'receiving'] : ['transmitted', 'transmitting'];
    return [
      carried(way, 'bytes', 'bytes', `Cumulative count of bytes ${past}`),
      carried(way, 'packets', 'packets', `Cumulative count of packets ${past}`),
      carried(way, 'errors', 'errors', `Cumulative count of errors encountered while ${now}`),
      carried(way, 'dropped', 'packets_dropped', `Cumulative count of packets dropped while ${now}`),
    ];
  });
}

function machineFamilies(): Family[] {
  const { machineId, bootId } = machineInfo();
  const labels = { boot_id: bootId, machine_id: machineId };
  return [
    gauge('machine_cpu_cores', 'Number of logical CPU cores.', [{ labels, value: cpus().length }]),
    gauge('machine_memory_bytes', 'Amount of memory installed on the machine.', [{ labels, value: totalmem() }]),
  ];
}

const machineLabels = { container: '', id: '/', image: '', name: '', namespace: '', pod: '' };

const podLabels = ({ metadata }: Pod, processes: PodProcesses | undefined): Record<string, string> => ({
  ...machineLabels,
  id: processes?.cgroup ?? `/pod${metadata.uid ?? ''}`,
  namespace: metadata.namespace ?? '',
  pod: metadata.name ?? '',
});

const labelsOf = ({ usage, pod, container, processes }: Seen): Record<string, string> => ({
  ...podLabels(pod, processes),
  container: usage.name,
  id: processes?.inContainer(usage.id)?.cgroup ?? `/pod${usage.podUid}/${usage.id}`,
  image: container.image ?? '',
  name: usage.id,
});

const gauge = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'gauge', samples });
const counter = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'counter', samples });
