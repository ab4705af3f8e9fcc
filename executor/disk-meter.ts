import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pod, Volume } from '../api/kinds/pod.ts';
import type { Logger } from '../lib/log.ts';
import { containersOf } from './containers.ts';
import { podDisk } from './pod-disk.ts';
import type { Images } from './runtime.ts';
import { logDirectory } from './sandbox.ts';

const run = promisify(execFile);

/** How old an answer may be, ms: files are walked for it. */
const askEvery = 60_000;
/** Stands for the images where pods have their uids. */
const images = 'images';
/** A server of files that does not answer must not hold up the others for ever, ms. */
const patience = 10_000;

/** What a file system has, as a kubelet tells it. */
export interface FileSystem {
  capacityBytes: number;
  availableBytes: number;
  usedBytes: number;
  inodes: number;
  inodesFree: number;
  inodesUsed: number;
}

export interface VolumeUse extends FileSystem {
  name: string;
  /** The claim that it is had by. */
  claim?: string;
}

export interface PodDiskUse {
  /** Ms since the epoch. */
  at: number;
  /** Its emptyDirs, its logs and its own files. */
  usedBytes: number;
  /** By container; those that the runtime keeps elsewhere are missing. */
  logs: Map<string, number>;
  volumes: VolumeUse[];
}

/** Where images are, and the files of containers beside their volumes. */
export interface ImageDiskUse extends Omit<FileSystem, 'usedBytes'> {
  at: number;
  /** Of the images alone, where the runtime tells. */
  usedBytes?: number;
}

interface Place {
  images: Pick<Images, 'directory' | 'usedBytes'>;
  /** Volumes of all pods, one directory a pod. */
  volumes: string;
  logs: string;
  /** Where the volumes of a pod are, by name. */
  volumePaths(uid: string): ReadonlyMap<string, string>;
  log: Logger;
}

/** How full the volumes of pods are, and what pods keep on the node's disk. Who asks never waits: the answer is about a minute old. */
export class DiskMeter {
  readonly #place: Place;
  readonly #known = new Map<string, PodDiskUse>();
  #images: ImageDiskUse | undefined;
  /** By uid: when it was measured last, by a clock that nobody sets; Infinity: it is still to be done. */
  readonly #measured = new Map<string, number>();
  /** One pod at a time. */
  #turn = Promise.resolve();

  constructor(place: Place) {
    this.#place = place;
  }

  /** By uid; a pod that is asked about for the first time is missing, and measured for the next one who asks. */
  latest(pods: readonly Pod[]): ReadonlyMap<string, PodDiskUse> {
    const uids = new Set([images, ...pods.map(({ metadata }) => metadata.uid!)]);
    for (const uid of this.#measured.keys())
      if (!uids.has(uid)) {
        this.#known.delete(uid);
        this.#measured.delete(uid);
      }
    for (const pod of pods) {
      const uid = pod.metadata.uid!;
      this.#measure(uid, async () => void this.#known.set(uid, await useOf(pod, this.#place)));
    }
    return this.#known;
  }

  /** As much of it as there is, and undefined when it was not asked for before. */
  latestOfImages(): ImageDiskUse | undefined {
    this.#measure(images, async () => void (this.#images = await imagesUse(this.#place.images)));
    return this.#images;
  }

  #measure(what: string, measure: () => Promise<void>): void {
    if (performance.now() - (this.#measured.get(what) ?? -Infinity) < askEvery) return;
    this.#measured.set(what, Infinity);
    this.#turn = this.#turn
      .then(measure)
      .catch((err: unknown) => this.#place.log.debug({ err, what }, 'what is on disk could not be seen'))
      .finally(() => this.#measured.set(what, performance.now()));
  }
}

async function imagesUse(of: Place['images']): Promise<ImageDiskUse | undefined> {
  const at = Date.now();
  const directory = await of.directory();
  const found = directory === undefined ? undefined : await fileSystemAt(directory);
  if (!found) return undefined;
  const { usedBytes: _, ...room } = found;
  const usedBytes = await of.usedBytes?.();
  return { at, ...room, ...(usedBytes === undefined ? {} : { usedBytes }) };
}

async function useOf(pod: Pod, place: Place): Promise<PodDiskUse> {
  const at = Date.now();
  const { volumes: emptyDirs, total: usedBytes } = await podDisk(pod, place, new Map());
  const logs = await logsOf(pod, place.logs);
  const paths = place.volumePaths(pod.metadata.uid!);
  const devices = new Set(containersOf(pod).flatMap((c) => (c.volumeDevices ?? []).map(({ name }) => name)));
  const volumes: VolumeUse[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const { name } = volume;
    const claim = claimOf(volume, pod);
    const isMemory = volume.emptyDir?.medium === 'Memory'; // a file system of its own, and on no disk
    const written = isMemory ? undefined : emptyDirs.get(name);
    const path = paths.get(name);
    if (path === undefined || devices.has(name) || !(isMemory || claim !== undefined || written !== undefined))
      continue;
    const found = await fileSystemAt(path);
    if (found)
      volumes.push({
        ...{ ...found, name },
        ...(claim === undefined ? {} : { claim }),
        ...(written === undefined ? {} : { usedBytes: written }),
      });
  }
  return { at, usedBytes, logs, volumes };
}

const claimOf = ({ name, persistentVolumeClaim, ephemeral }: Volume, pod: Pod): string | undefined =>
  ephemeral
    ? `${pod.metadata.name ?? ''}-${name}`
    : (persistentVolumeClaim as { claimName: string } | undefined)?.claimName;

/** In a process of its own, which can be given up: Node has few threads to wait for a server of files. */
async function fileSystemAt(path: string): Promise<FileSystem | undefined> {
  const format = '%S %b %f %a %c %d';
  const options = { timeout: patience, killSignal: 'SIGKILL' } as const;
  const said = await run('stat', ['-f', '-c', format, '--', path], options).catch(() => undefined);
  if (!said) return undefined;
  const [size = 0, blocks = 0, free = 0, available = 0, inodes = 0, inodesFree = 0] = said.stdout
    .split(' ')
    .map(Number);
  return {
    capacityBytes: blocks * size,
    availableBytes: available * size,
    usedBytes: (blocks - free) * size,
    ...{ inodes, inodesFree, inodesUsed: inodes - inodesFree },
  };
}

/** With what was rotated away. */
async function logsOf(pod: Pod, logs: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { name } of containersOf(pod)) {
    const directory = join(logDirectory(pod, logs), name);
    const files = await readdir(directory).catch(() => undefined);
    if (!files) continue;
    const sizes = await Promise.all(files.map((file) => stat(join(directory, file)).catch(() => undefined)));
    found.set(
      name,
      sizes.reduce((sum, size) => sum + (size?.size ?? 0), 0),
    );
  }
  return found;
}
