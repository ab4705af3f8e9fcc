import type { Pod } from '../api/kinds/pod.ts';
import { tolerates } from '../api/node-selection.ts';
import { hasAppArmor, unconfined } from './app-armor.ts';
import { isCritical } from './eviction.ts';
import type { Kubelet } from './kubelet.ts';
import type { Pressures } from './machine.ts';
import { qosOf } from './resources.ts';
import { type Runtime, StartError } from './runtime.ts';
import type { Failure } from './status.ts';
import { forbiddenSysctl } from './sysctls.ts';

/**
 * Why a pod may not run on this node at all, when it comes. Where nothing isolates, nothing of AppArmor or groups is heeded, as of
 * seccomp, and it cannot be told who uses the machine up.
 */
export const whyNotHere = (
  { allowedUnsafeSysctls, runtime, pressures }: Pick<Kubelet, 'allowedUnsafeSysctls' | 'runtime' | 'pressures'>,
  pod: Pod,
): Failure | undefined =>
  forbiddenSysctl(pod, allowedUnsafeSysctls) ??
  (runtime.isolates ? (shortage(pod, pressures()) ?? unconfined(pod, hasAppArmor()) ?? strictGroups(pod)) : undefined);

const memoryTaint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' } as const;

/**
 * A node that is short of something takes no pods but those that it needs itself; where that is memory alone, also those that
 * asked for some, or that bear it. https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-conditions
 */
export function shortage(pod: Pod, { memory, disk, pids }: Pressures): Failure | undefined {
  const told = [memory ? 'MemoryPressure' : '', disk ? 'DiskPressure' : '', pids ? 'PIDPressure' : ''].filter(Boolean);
  if (told.length === 0 || isCritical(pod)) return undefined;
  const bears = qosOf(pod) !== 'BestEffort' || tolerates(pod.spec.tolerations, memoryTaint);
  if (memory && told.length === 1 && bears) return undefined;
  return { reason: 'Evicted', message: `Pod was rejected: The node had condition: [${told.join(' ')}]. ` };
}

const strictGroups = ({ spec }: Pod): Failure | undefined =>
  spec.securityContext?.supplementalGroupsPolicy === 'Strict'
    ? {
        reason: 'SupplementalGroupsPolicyNotSupported',
        message: 'SupplementalGroupsPolicy=Strict is not supported in this node',
      }
    : undefined;

/** Throws StartError for a pod that wants users of its own: to be run with those of the machine is not what it asked for. */
export function refuseOwnUsers({ spec }: Pod, { isolates }: Pick<Runtime, 'isolates'>): void {
  if (spec.hostUsers === false && isolates)
    throw new StartError(
      'FailedCreatePodSandBox',
      'this node cannot give a pod a user namespace of its own, which spec.hostUsers=false asks for',
    );
}
