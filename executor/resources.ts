import type { Container, Pod } from '../api/kinds/pod.ts';
import { qosClass } from '../api/qos-class.ts';
import { milli, quantity } from '../api/quantity.ts';
import type { ContainerSpec } from './runtime.ts';

/** What the runtime is told of a container's requests and limits; the numbers are those of a kubelet. */
export function containerResources(pod: Pod, container: Container, nodeMemory: number): ContainerSpec['resources'] {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const cpu = requests.cpu ?? limits.cpu;
  return {
    cpuShares: cpu === undefined ? 2 : Math.min(262_144, Math.max(2, Math.floor((milli(cpu) * 1024) / 1000))),
    ...(limits.cpu === undefined || milli(limits.cpu) === 0 ? {} : { cpuQuotaMillicores: milli(limits.cpu) }),
    ...(limits.memory === undefined ? {} : { memoryLimitBytes: Math.floor(quantity(limits.memory)) }),
    oomScoreAdj: oomScore(pod, requests.memory ?? limits.memory, nodeMemory),
  };
}

/** Who the kernel ends first when memory is short: best effort before burstable before guaranteed. */
function oomScore(pod: Pod, memory: string | undefined, nodeMemory: number): number {
  const qos = pod.status?.qosClass ?? qosClass(pod.spec);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort' || memory === undefined) return 1000;
  const share = 1000 - Math.floor((1000 * quantity(memory)) / nodeMemory);
  return Math.min(999, Math.max(3, share));
}
