import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../lib/replace-file.ts';

/** What is kept beside a volume, so that it can be taken away without its pod's object. */
export interface Kept {
  driver: string;
  handle: string;
  isStaged: boolean;
  /** Somebody attached it to the node, and may take it away once it is not in use. */
  isAttached?: boolean;
  /** Whose pod has it. */
  node: string;
}

/** One that was found, and where: beside what a pod has, or beside what is staged. */
export interface Found extends Kept {
  directory: string;
}

const record = 'vol_data.json';

/** Written before a driver is asked for anything: then not even the power's failing leaves something that nobody knows of. */
export async function keep(directory: string, kept: Kept): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  replaceFile(join(directory, record), JSON.stringify(kept));
}

export const forget = (directory: string): Promise<void> => rm(join(directory, record), { force: true });

export async function readKept(directory: string): Promise<Kept | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, record), 'utf8')) as Kept;
  } catch {
    return undefined; // not written: then nothing was asked of a driver
  }
}

/** `<root>/pods/<uid>/volumes/kubernetes.io~csi/<name>/vol_data.json`, of every node whose executor has this root. */
export async function published(root: string): Promise<(Found & { uid: string })[]> {
  const found: (Found & { uid: string })[] = [];
  for (const uid of await namesIn(join(root, 'pods')))
    for (const one of await below(join(root, 'pods', uid, 'volumes/kubernetes.io~csi'))) found.push({ ...one, uid });
  return found;
}

/** `<root>/plugins/kubernetes.io/csi/<driver>/<hash>/vol_data.json` */
export async function staged(root: string): Promise<Found[]> {
  const found: Found[] = [];
  const drivers = join(root, 'plugins/kubernetes.io/csi');
  for (const driver of await namesIn(drivers)) found.push(...(await below(join(drivers, driver))));
  return found;
}

async function below(directory: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of await namesIn(directory)) {
    const kept = await readKept(join(directory, name));
    if (kept) found.push({ ...kept, directory: join(directory, name) });
  }
  return found;
}

/** None where there is no such directory. */
export const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
