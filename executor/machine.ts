import { type StatsFs, readFileSync, statfsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { arch, release } from 'node:os';

/** What this machine is; a file that is not there gives an empty text. */
export interface MachineInfo {
  machineId: string;
  bootId: string;
  kernel: string;
  osImage: string;
  architecture: string;
}

export interface MachineReadings {
  memoryAvailable: number;
  /** Shares between 0 and 1: of the disk, of its inodes, and of the disk where images are. */
  diskFree: number;
  inodesFree: number;
  imagesFree: number;
  pidsUsed: number;
}

export function machineInfo(): MachineInfo {
  const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' };
  return {
    machineId: text('/etc/machine-id').trim(),
    bootId: text('/proc/sys/kernel/random/boot_id').trim(),
    kernel: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(text('/etc/os-release'))?.[1] ?? process.platform,
    architecture: architectures[arch()] ?? arch(),
  };
}

/** `images` is where these are, if anywhere. */
export async function machineReadings(directory: string, images?: string): Promise<MachineReadings> {
  const disk = await statfs(directory);
  const ofImages = images === undefined ? disk : await statfs(images).catch(() => disk);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(text('/proc/meminfo'))?.[1];
  const threads = /\/(\d+) /.exec(text('/proc/loadavg'))?.[1];
  const most = Number(text('/proc/sys/kernel/pid_max')) || Infinity;
  return {
    memoryAvailable: available === undefined ? Infinity : Number(available) * 1024,
    diskFree: freeOf(disk),
    // A file system may have as many as it likes.
    inodesFree: disk.files === 0 ? 1 : disk.ffree / disk.files,
    imagesFree: freeOf(ofImages),
    pidsUsed: Number(threads ?? 0) / most,
  };
}

const freeOf = ({ blocks, bavail }: StatsFs): number => (blocks === 0 ? 1 : bavail / blocks);

const memoryLow = 100 * 1024 * 1024;
const diskLow = 0.1;
const inodesLow = 0.05;
const imagesLow = 0.15;
const pidsHigh = 0.9;

/** What the machine is short of, by the thresholds that a kubelet has unless told otherwise. */
export const pressuresIn = ({
  memoryAvailable,
  diskFree,
  inodesFree,
  imagesFree,
  pidsUsed,
}: MachineReadings): Pressures => ({
  memory: memoryAvailable < memoryLow,
  disk: diskFree < diskLow || inodesFree < inodesLow || imagesFree < imagesLow,
  pids: pidsUsed > pidsHigh,
});

export type Pressures = Record<'memory' | 'disk' | 'pids', boolean>;

export const atEase: Pressures = { memory: false, disk: false, pids: false };

/** How long a node says that it is short of something after it was last so, ms: it would otherwise say one thing and then another. */
const transition = 5 * 60_000;

/** Pressures as a node tells them. */
export class ToldPressures {
  readonly #lastAt = new Map<string, number>();

  /** `now` in milliseconds of any clock that only goes forward. */
  told(short: Pressures, now: number): Pressures {
    const isTold = (what: keyof Pressures): boolean => {
      if (short[what]) this.#lastAt.set(what, now);
      return now - (this.#lastAt.get(what) ?? -Infinity) < transition;
    };
    return { memory: isTold('memory'), disk: isTold('disk'), pids: isTold('pids') };
  }
}

/** What the whole machine uses. Bytes, nanoseconds of processor time since boot; times are ms since the epoch. */
export interface MachineUse {
  at: number;
  startedAt: number;
  cpuNanos: number;
  available: number;
  usage: number;
  workingSet: number;
  disk: { availableBytes: number; capacityBytes: number; usedBytes: number; inodes: number; inodesFree: number };
  pids: number;
  maxPids: number;
}

export function machineUse(directory: string): MachineUse {
  const at = Date.now();
  const jiffies = (/^cpu\s+(.*)$/m.exec(text('/proc/stat'))?.[1] ?? '').split(/\s+/).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = jiffies;
  const memory = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text('/proc/meminfo'))?.[1] ?? 0) * 1024;
  const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(directory);
  return {
    at,
    startedAt: at - Number(text('/proc/uptime').split(' ')[0] ?? 0) * 1000,
    cpuNanos: (user + nice + system + irq + softirq) * 1e7,
    available: memory('MemAvailable'),
    usage: memory('MemTotal') - memory('MemFree'),
    workingSet: memory('MemTotal') - memory('MemAvailable'),
    disk: {
      availableBytes: bavail * bsize,
      capacityBytes: blocks * bsize,
      usedBytes: (blocks - bfree) * bsize,
      inodes: files,
      inodesFree: ffree,
    },
    pids: Number(/\/(\d+) /.exec(text('/proc/loadavg'))?.[1] ?? 0),
    maxPids: Number(text('/proc/sys/kernel/pid_max')) || 0,
  };
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
