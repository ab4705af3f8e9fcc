import type { Container, Pod } from '../api/kinds/pod.ts';
import { podRequests } from '../api/pod-requests.ts';
import { podLimit } from '../api/pod-resources.ts';
import { qosClass } from '../api/qos-class.ts';
import { milli, quantity } from '../api/quantity.ts';
import type { ContainerSpec, PodLimits } from './runtime.ts';

/** What the runtime is told of a container's requests and limits; the numbers are those of a kubelet. */
export function containerResources(pod: Pod, container: Container, nodeMemory: number): ContainerSpec['resources'] {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const cpu = requests.cpu ?? limits.cpu;
  return {
    cpuShares: sharesOf(cpu === undefined ? undefined : milli(cpu)),
    ...(limits.cpu === undefined || milli(limits.cpu) === 0 ? {} : { cpuQuotaMillicores: milli(limits.cpu) }),
    ...(limits.memory === undefined ? {} : { memoryLimitBytes: Math.floor(quantity(limits.memory)) }),
    oomScoreAdj: oomScore(pod, requests.memory ?? limits.memory, nodeMemory),
  };
}

/** What all containers of a pod have together, overhead included. */
export function podLimits(pod: Pod): PodLimits {
  const { spec } = pod;
  const [cpu, memory] = [podLimit(spec, 'cpu'), podLimit(spec, 'memory')];
  return {
    cpuShares: sharesOf(podRequests(pod).cpu),
    ...(cpu === undefined ? {} : { cpuQuotaMillicores: milli(cpu) }),
    ...(memory === undefined ? {} : { memoryLimitBytes: Math.floor(quantity(memory)) }),
  };
}

export const qosOf = (pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' =>
  pod.status?.qosClass ?? qosClass(pod.spec);

/** Of thousandths of a core. */
const sharesOf = (cpu = 0): number => Math.min(262_144, Math.max(2, Math.floor((cpu * 1024) / 1000)));

/** Who the kernel ends first when memory is short: best effort before burstable before guaranteed. */
function oomScore(pod: Pod, memory: string | undefined, nodeMemory: number): number {
  const qos = qosOf(pod);
  if (qos === 'Guaranteed') return -997;
  const requested = (memory === undefined ? 0 : quantity(memory)) + shareOfPod(pod);
  if (qos === 'BestEffort' || requested === 0) return 1000;
  const share = 1000 - Math.floor((1000 * requested) / nodeMemory);
  return Math.min(999, Math.max(3, share));
}

/** What the pod asks for beyond its containers, shared out among them; bytes. */
function shareOfPod({ spec }: Pod): number {
  const whole = spec.resources?.requests?.memory;
  if (whole === undefined) return 0;
  const named = spec.containers.reduce((sum, { resources }) => sum + quantity(resources?.requests?.memory ?? '0'), 0);
  return Math.max(0, quantity(whole) - named) / spec.containers.length;
}
