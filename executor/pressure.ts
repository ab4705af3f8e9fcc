import type { Pod } from '../api/kinds/pod.ts';
import { isTerminal } from '../api/kinds/pod.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { type Candidate, type Scarce, hasDiskLimit, overLimit, shortageWords, victim } from './eviction.ts';
import type { ImageCollector } from './image-collector.ts';
import { type MachineReadings, pressuresIn } from './machine.ts';
import { podDisk } from './pod-disk.ts';
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
  if (memory) evictFor('memory', await users(options, ({ workingSet }) => workingSet), options);
  else if (pids) evictFor('pids', await users(options, () => 1), options);
  // Images that nobody uses go first; whether that was enough is seen at the next look.
  else if (disk && (await options.images.collect(now, true)) === 0)
    evictFor('ephemeral-storage', await keepers(options), options);
}

async function endOvergrown({ pods, volumes, logs, meter }: PressureOptions): Promise<void> {
  const limited = living(pods).filter(hasDiskLimit);
  if (limited.length === 0) return;
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  for (const pod of limited) {
    const disk = await podDisk(pod, { volumes, logs });
    const layers = (usages.get(pod.metadata.uid!) ?? []).reduce((sum, usage) => sum + (usage.disk ?? 0), 0);
    const words = overLimit(pod, disk.volumes, disk.total + layers);
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

async function users(
  { pods, meter }: PressureOptions,
  value: (usage: { workingSet: number }) => number,
): Promise<Candidate[]> {
  const usages = Map.groupBy(await meter.now(), ({ podUid }) => podUid);
  return living(pods).map((pod) => ({
    pod,
    used: (usages.get(pod.metadata.uid!) ?? []).reduce((sum, usage) => sum + value(usage), 0),
  }));
}

async function keepers({ pods, volumes, logs }: PressureOptions): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const pod of living(pods)) found.push({ pod, used: (await podDisk(pod, { volumes, logs })).total });
  return found;
}

const living = (pods: Pods): Pod[] =>
  pods.list().filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined);
