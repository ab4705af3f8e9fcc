import type { Pod } from '../api/kinds/pod.ts';
import { hasAppArmor, unconfined } from './app-armor.ts';
import type { Kubelet } from './kubelet.ts';
import type { Failure } from './status-report.ts';
import { forbiddenSysctl } from './sysctls.ts';

/** Why a pod may not run on this node at all. Where nothing isolates, nothing of AppArmor is heeded, as of seccomp. */
export const whyNotHere = ({ allowedUnsafeSysctls, runtime }: Kubelet, pod: Pod): Failure | undefined =>
  forbiddenSysctl(pod, allowedUnsafeSysctls) ?? (runtime.isolates ? unconfined(pod, hasAppArmor()) : undefined);
