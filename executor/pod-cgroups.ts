import { join } from 'node:path';
import type { Pod } from '../api/kinds/pod.ts';
import type { Logger } from '../lib/log.ts';
import { podLimits, qosOf } from './resources.ts';
import type { PodLimits, Runtime } from './runtime.ts';
import { cpuSharesOf, ownCgroup, pidCount, removeCgroup, setCgroup, sharesBelow } from './runtimes/cgroups.ts';
import { SystemdRefused, isSlice, removeSlice, setSlice, sliceBelow } from './runtimes/slices.ts';

const classes = { Guaranteed: '', Burstable: 'burstable', BestEffort: 'besteffort' } as const;
const ours = 'km';
const ourSlice = `/${ours}.slice`;

/**
 * Below which cgroup pods are put: the executor's own, so that what Mesos limits stays limited. What systemd manages lies in
 * slices, which cannot be below a cgroup that Mesos made. Throws where `chosen` (--cgroup-parent) is none that the runtime takes.
 */
export function cgroupParentOf(
  { isolates, cgroupDriver }: Pick<Runtime, 'isolates' | 'cgroupDriver'>,
  chosen: string,
  log: Logger,
): string {
  if (!isolates) return '';
  const slice = chosen ? isSlice(chosen) : cgroupDriver === 'systemd';
  if (cgroupDriver !== undefined && slice !== (cgroupDriver === 'systemd'))
    throw new Error(
      slice
        ? `the container runtime manages cgroups itself, and --cgroup-parent names ${chosen}, a slice of systemd: name a path, or have the runtime use the cgroup driver systemd`
        : `the container runtime manages cgroups with systemd, and --cgroup-parent names ${chosen}, which is no slice: name one such as km.slice, or have the runtime use the cgroup driver cgroupfs`,
    );
  const parent = chosen || (slice ? ourSlice : join(ownCgroup(), ours));
  if (!slice) return parent;
  const path = sliceBelow(parent, []);
  log.warn(
    { cgroup: path },
    'the container runtime manages cgroups with systemd, so pods are not below the executor’s cgroup: each has its limits, but what Mesos gave does not bound them together; have the runtime use the cgroup driver cgroupfs where that is wanted',
  );
  return path;
}

/**
 * The cgroup of a pod, below which the runtime puts its containers; laid out as a kubelet does, below the executor's own or
 * in a slice of systemd:
 *
 *   km/pod<uid>              km.slice/km-pod<uid>.slice                           guaranteed
 *   km/burstable/pod<uid>    km.slice/km-burstable.slice/km-burstable-pod<uid>…   burstable has the cpu shares of its pods together
 *   km/besteffort/pod<uid>   km.slice/km-besteffort.slice/km-besteffort-pod<uid>… best effort has the least there are
 */
export const podCgroup = (pod: Pod, parent: string): string =>
  below(parent, classes[qosOf(pod)], `pod${pod.metadata.uid ?? ''}`);

/**
 * Makes it with the limits that hold for all containers together; called again, it brings them up to date. No `maxPids`, no such limit.
 * Answers why that is not for us to do, if so.
 */
export const makePodCgroup = (pod: Pod, parent: string, maxPids = 0): Promise<Error | undefined> =>
  ifAllowed(async () => {
    const limits = podLimits(pod);
    const ofClass = classes[qosOf(pod)];
    // A slice that systemd makes because of one below it has no limits that could be changed later.
    if (ofClass && isSlice(parent) && cpuSharesOf(below(parent, ofClass)) === undefined)
      await set(below(parent, ofClass), { cpuShares: limits.cpuShares });
    await set(podCgroup(pod, parent), { ...limits, ...(maxPids > 0 ? { pids: maxPids } : {}) });
    await shareOut(parent);
  });

/**
 * Whoever may not make cgroups leaves it to the runtime, which gives each container its limits but the pod none; of slices it needs no
 * more than the name.
 */
async function ifAllowed(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isRefused = ['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (!isRefused && !(error instanceof SystemdRefused)) throw error;
    return error;
  }
}

/** How many processes and threads a pod has; 0 where pods have no cgroups. */
export const pidsOfPod = (pod: Pod, parent: string): number => (parent === '' ? 0 : pidCount(podCgroup(pod, parent)));

/** Limits above what containers may still have; `makePodCgroup` narrows them when these have followed. */
export const widenPodCgroup = (pod: Pod, parent: string): Promise<unknown> =>
  ifAllowed(() => set(podCgroup(pod, parent), { cpuShares: podLimits(pod).cpuShares }));

/** Of its class only what the pod had is known, and of a pod that was left behind not even that. */
export const removePodCgroup = (uid: string, parent: string): Promise<unknown> =>
  ifAllowed(async () => {
    for (const ofClass of Object.values(classes)) {
      const path = below(parent, ofClass, `pod${uid}`);
      if (isSlice(parent)) await removeSlice(path);
      else removeCgroup(path);
    }
    await shareOut(parent);
  });

async function shareOut(parent: string): Promise<void> {
  for (const name of ['burstable', 'besteffort'] as const) {
    const path = below(parent, name);
    const has = cpuSharesOf(path);
    if (has === undefined) continue;
    await set(path, { cpuShares: name === 'besteffort' ? 2 : Math.max(2, sharesBelow(path)) });
  }
}

const below = (parent: string, ...names: string[]): string =>
  isSlice(parent) ? sliceBelow(parent, names) : join(parent, ...names);

async function set(path: string, limits: PodLimits): Promise<void> {
  if (isSlice(path)) await setSlice(path, limits);
  else setCgroup(path, limits);
}
