import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import { mountsAt } from '../../executor/volumes/mounts.ts';

/** A runtime of a test's own, and where its pods are. */
export interface Place {
  directory: string;
  bridge: string;
  cgroup: string;
  /** Where root file systems are, when that is elsewhere. */
  storage?: string;
  /** Ids of sandboxes and containers. */
  containers(): Promise<string[]> | string[];
  /** Addresses that its network has given out, where it keeps a list of them. */
  addresses?(): string[];
}

/** What pods have on this machine. Everything is looked for where the pods of one runtime alone can have it. */
export interface Leftovers {
  /** Sandboxes and containers, by id. */
  containers: string[];
  /** Root file systems, shared memory and network namespaces of sandboxes, and volumes below `directories`. */
  mounts: string[];
  /** Addresses that the network has given out. */
  addresses: string[];
  /** Links of pods on its bridge. */
  links: string[];
  cgroups: string[];
  /** Shims with something below them, and whatever runs in a cgroup of a pod. */
  processes: string[];
}

export async function leftovers(place: Place, directories: readonly string[] = []): Promise<Leftovers> {
  const { directory, bridge, cgroup } = place;
  const mounts = await Promise.all(
    [directory, ...(place.storage ? [place.storage] : []), ...directories].map(mountsAt),
  );
  const cgroups = hierarchies().flatMap((hierarchy) => podsBelow(join(hierarchy, cgroup)));
  return {
    containers: await place.containers(),
    mounts: mounts.flat().filter((path) => path !== place.storage), // the disk itself
    addresses: place.addresses?.() ?? [],
    links: lines('ip', '-o', 'link', 'show', 'type', 'veth').filter((line) => line.includes(` master ${bridge} `)),
    cgroups,
    processes: [...shimsOf(directory), ...cgroups.flatMap(processesOf)],
  };
}

/** Fails while anything is left, after the time that the runtime may take to clean up. */
export const expectNothingLeft = (place: Place, directories: readonly string[] = []): Promise<void> =>
  eventually(async () => {
    const left = Object.entries(await leftovers(place, directories)).filter(([, found]) => found.length > 0);
    if (left.length > 0) throw new Error(`pods left ${JSON.stringify(Object.fromEntries(left), null, 2)}`);
  }, 20_000);

export const lines = (command: string, ...args: string[]): string[] =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .split('\n')
    .filter(Boolean);

export const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

const root = '/sys/fs/cgroup';
const hierarchies = (): string[] =>
  existsSync(join(root, 'cgroup.controllers')) ? [root] : namesIn(root).map((name) => join(root, name));

/** Cgroups of pods, and all below them; those of the classes stay. */
function podsBelow(path: string): string[] {
  try {
    const below = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
    return below.map((entry) => join(entry.parentPath, entry.name)).filter((name) => /[/-]pod[^/]/.test(name));
  } catch (error) {
    if (!existsSync(path)) return [];
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return podsBelow(path); // one was removed meanwhile
  }
}

const processesOf = (cgroup: string): string[] => {
  try {
    return readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
  } catch {
    return []; // it has just been removed
  }
};

/**
 * They outlive containerd, and name it in their arguments. One without a child carries no pod: a busy containerd 1.6 was seen
 * to forget one of those, which no call of CRI can name.
 */
const shimsOf = (directory: string): string[] =>
  namesIn('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const isShim = readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('containerd-shim');
      return isShim && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${directory}/`) && hasChild(pid);
    } catch {
      return false; // it has just ended
    }
  });

const hasChild = (pid: string): boolean =>
  readdirSync(`/proc/${pid}/task`).some((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8') !== '');
