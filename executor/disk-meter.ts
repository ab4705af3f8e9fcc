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
import { volumePaths } from './volumes.ts';

const run = promisify(execFile);

/** How old an answer may be, ms: files are walked for it. */
const askEvery = 60_000;
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
  /** Its emptyDirs and logs. */
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
  log: Logger;
}

/** How full the volumes of pods are, and what pods keep on the node's disk. Who asks never waits: the answer is about a minute old. */
export class DiskMeter {
  readonly #place: Place;
  readonly #known = new Map<string, PodDiskUse>();
  #images: ImageDiskUse | undefined;
  /** Uids, and what stands for the images. */
  readonly #waiting = new Set<string>();
  /** One pod at a time. */
  #turn = Promise.resolve();

  constructor(place: Place) {
    this.#place = place;
  }

  /** By uid; a pod that is asked about for the first time is missing, and measured for the next one who asks. */
  latest(pods: readonly Pod[]): ReadonlyMap<string, PodDiskUse> {
    const uids = new Set(pods.map(({ metadata }) => metadata.uid!));
    for (const uid of this.#known.keys()) if (!uids.has(uid)) this.#known.delete(uid);
    for (const pod of pods) {
      const uid = pod.metadata.uid!;
      this.#measure(
        uid,
        this.#known.get(uid)?.at,
        async () => void this.#known.set(uid, await useOf(pod, this.#place)),
      );
    }
    return this.#known;
  }

  /** As much of it as there is, and undefined when it was not asked for before. */
  latestOfImages(): ImageDiskUse | undefined {
    this.#measure('images', this.#images?.at, async () => void (this.#images = await imagesUse(this.#place.images)));
    return this.#images;
  }

  #measure(what: string, at = 0, measure: () => Promise<void>): void {
    if (this.#waiting.has(what) || Date.now() - at < askEvery) return;
    this.#waiting.add(what);
    this.#turn = this.#turn
      .then(measure)
      .catch((err: unknown) => this.#place.log.debug({ err, what }, 'what is on disk could not be seen'))
      .finally(() => this.#waiting.delete(what));
  }
}

async function imagesUse(images: Place['images']): Promise<ImageDiskUse | undefined> {
  const at = Date.now();
  const directory = await images.directory();
  const found = directory === undefined ? undefined : await fileSystemAt(directory);
  if (!found) return undefined;
  const { usedBytes: _, ...room } = found;
  const usedBytes = await images.usedBytes?.();
  return { at, ...room, ...(usedBytes === undefined ? {} : { usedBytes }) };
}

async function useOf(pod: Pod, place: Place): Promise<PodDiskUse> {
  const at = Date.now();
  const { volumes: emptyDirs, total: usedBytes } = await podDisk(pod, place);
  const paths = volumePaths(join(place.volumes, pod.metadata.uid!));
  const devices = new Set(containersOf(pod).flatMap((c) => (c.volumeDevices ?? []).map(({ name }) => name)));
  const volumes: VolumeUse[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const { name } = volume;
    const claim = claimOf(volume, pod);
    const written = emptyDirs.get(name);
    const path = paths.get(name);
    if (path === undefined || devices.has(name) || (claim === undefined && written === undefined)) continue;
    const found = await fileSystemAt(path);
    // An emptyDir shares its file system with all else.
    if (found)
      volumes.push({
        ...{ ...found, name },
        ...(claim === undefined ? {} : { claim }),
        ...(written === undefined ? {} : { usedBytes: written }),
      });
  }
  return { at, usedBytes, logs: await logsOf(pod, place.logs), volumes };
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
