import { join } from 'node:path';
import type { Pod } from '../api/kinds/pod.ts';
import { podLimits, qosOf } from './resources.ts';
import { cpuSharesOf, removeCgroup, setCgroup, sharesBelow } from './runtimes/cgroups.ts';

const classes = { Guaranteed: '', Burstable: 'burstable', BestEffort: 'besteffort' } as const;

/**
 * The cgroup of a pod, below which the runtime puts its containers; laid out as a kubelet does, below the executor's own:
 *
 *   km/pod<uid>              guaranteed
 *   km/burstable/pod<uid>    burstable has the cpu shares of its pods together
 *   km/besteffort/pod<uid>   best effort has the least there are
 */
export const podCgroup = (pod: Pod, parent: string): string =>
  join(parent, classes[qosOf(pod)], `pod${pod.metadata.uid ?? ''}`);

/** Makes it with the limits that hold for all containers together; called again, it brings them up to date. No `maxPids`, no such limit. */
export function makePodCgroup(pod: Pod, parent: string, maxPids = 0): void {
  try {
    setCgroup(podCgroup(pod, parent), { ...podLimits(pod), ...(maxPids > 0 ? { pids: maxPids } : {}) });
    shareOut(parent);
  } catch (error) {
    // Whoever may not make cgroups leaves it to the runtime, which gives each container its limits but the pod none.
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Limits above what containers may still have; `makePodCgroup` narrows them when these have followed. */
export function widenPodCgroup(pod: Pod, parent: string): void {
  setCgroup(podCgroup(pod, parent), { cpuShares: podLimits(pod).cpuShares });
}

/** Of its class only what the pod had is known, and of a pod that was left behind not even that. */
export function removePodCgroup(uid: string, parent: string): void {
  for (const directory of Object.values(classes)) removeCgroup(join(parent, directory, `pod${uid}`));
  shareOut(parent);
}

function shareOut(parent: string): void {
  for (const name of ['burstable', 'besteffort'] as const) {
    const path = join(parent, name);
    if (cpuSharesOf(path) === undefined) continue;
    setCgroup(path, { cpuShares: name === 'besteffort' ? 2 : Math.max(2, sharesBelow(path)) });
  }
}
