import type { Pod } from '../api/kinds/pod.ts';
import { hasAppArmor, unconfined } from './app-armor.ts';
import type { Kubelet } from './kubelet.ts';
import { type Runtime, StartError } from './runtime.ts';
import type { Failure } from './status-report.ts';
import { forbiddenSysctl } from './sysctls.ts';

/** Why a pod may not run on this node at all. Where nothing isolates, nothing of AppArmor or groups is heeded, as of seccomp. */
export const whyNotHere = ({ allowedUnsafeSysctls, runtime }: Kubelet, pod: Pod): Failure | undefined =>
  forbiddenSysctl(pod, allowedUnsafeSysctls) ??
  (runtime.isolates ? (unconfined(pod, hasAppArmor()) ?? strictGroups(pod)) : undefined);

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
