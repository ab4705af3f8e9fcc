import type { Pod } from '../api/kinds/pod.ts';
import { isTerminal } from '../api/kinds/pod.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { type Candidate, type Scarce, hasDiskLimit, overLimit, shortageWords, victim } from './eviction.ts';
import type { ImageCollector } from './image-collector.ts';
import { type MachineReadings, pressuresIn } from './machine.ts';
import { type DiskUse, podDisk } from './pod-disk.ts';
import type { Pods } from './pods.ts';
import type { UsageMeter } from './usage.ts';

export interface PressureOptions {
  pods: Pods;
  meter: UsageMeter;
  images: ImageCollector;
  readings(): Promise<MachineReadings>;
  /** Pods may be ended because the machine is short of something, not only for limits of their own. */
  evicts: boolean;
  volumes: string;
  logs: string;
  /** How many processes and threads a pod has. */
  pidsOf(pod: Pod): number;
  log: Logger;
}

/** How often it is looked, ms; images are looked at more seldom. */
const every = 10_000;
const imagesEvery = 5 * 60_000;

/** Ends pods that outgrow their limits, and one pod at a time while the machine is short of something. */
export async function watchPressure(options: PressureOptions, signal: AbortSignal): Promise<void> {
  let collectedAt = Date.now();
  while (!signal.aborted) {
    await delay(every, signal).catch(() => undefined);
    if (signal.aborted) return;
    const now = Date.now();
    try {
      if (now - collectedAt > imagesEvery) {
        collectedAt = now;
        await options.images.collect(now);
      }
      await relieve(options, now);
    } catch (err) {
      if (!signal.aborted) options.log.warn({ err }, 'it could not be seen whether the machine is short of something');
    }
  }
}

/** One look, and what follows from it. */
export async function relieve(options: PressureOptions, now: number): Promise<void> {
  await endOvergrown(options);
  if (!options.evicts) return;
  const { memory, disk, pids } = pressuresIn(await options.readings());
  if (memory) evictFor('memory', await users(options), options);
  else if (pids) evictFor('pids', forkers(options), options);
  // Images that nobody uses go first; whether that was enough is seen at the next look.
  else if (disk && (await options.images.collect(now, true)) === 0)
    evictFor('ephemeral-storage', await keepers(options), options);
}

async function endOvergrown(options: PressureOptions): Promise<void> {
  const { pods } = options;
  const limited = living(pods).filter(hasDiskLimit);
  if (limited.length === 0) return;
  for (const [pod, use] of await disksOf(limited, options)) {
    const words = overLimit(pod, use);
    if (words) pods.evict(pod.metadata.uid!, words);
  }
}

function evictFor(what: Scarce, candidates: readonly Candidate[], { pods, log }: PressureOptions): void {
  const found = victim(candidates, what);
  if (!found) return;
  log.warn(
    { pod: found.pod.metadata.name, namespace: found.pod.metadata.namespace, what },
    'the machine is short of something: ending a pod',
  );
  pods.evict(found.pod.metadata.uid!, shortageWords(found, what));
}

async function users({ pods, meter }: PressureOptions): Promise<Candidate[]> {
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  return living(pods).map((pod) => ({
    pod,
    used: (usages.get(pod.metadata.uid!) ?? []).reduce((sum, { workingSet }) => sum + workingSet, 0),
  }));
}

const forkers = ({ pods, pidsOf }: PressureOptions): Candidate[] =>
  living(pods).map((pod) => ({ pod, used: pidsOf(pod) }));

const keepers = async (options: PressureOptions): Promise<Candidate[]> =>
  [...(await disksOf(living(options.pods), options))].map(([pod, { total }]) => ({ pod, used: total }));

async function disksOf(of: readonly Pod[], { meter, volumes, logs }: PressureOptions): Promise<Map<Pod, DiskUse>> {
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  const found = new Map<Pod, DiskUse>();
  for (const pod of of) {
    const layers = new Map((usages.get(pod.metadata.uid!) ?? []).map(({ name, disk = 0 }) => [name, disk]));
    found.set(pod, await podDisk(pod, { volumes, logs }, layers));
  }
  return found;
}

const living = (pods: Pods): Pod[] =>
  pods.list().filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined);
