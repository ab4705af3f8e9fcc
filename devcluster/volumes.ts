/**
 * Persistent volumes on an agent's disk, where Mesos keeps them, and the links that bring them into sandboxes; and the
 * file in which the agent remembers what was reserved and created while it ran.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../lib/replace-file.ts';
import type { Resource } from '../mesos/types.ts';
import { add, contains, isCheckpointed, reservedRole, subtract } from './resources.ts';
import { stripVolume } from './operations.ts';

const isVolume = ({ disk }: Resource): boolean => disk?.persistence !== undefined;

/** `<work dir>/volumes/roles/<role>/<persistence id>`; a role's slashes are blanks there. */
export const volumePath = (workDir: string, volume: Resource): string =>
  join(workDir, 'volumes', 'roles', reservedRole(volume).replaceAll('/', ' '), volume.disk!.persistence!.id);

const checkpointOf = (workDir: string): string => join(workDir, 'meta', 'resources', 'resources.json');

/** What the agent has: what its flags say, in the form that it had before. Throws when the flags have less than that. */
export function recallResources(workDir: string, flags: readonly Resource[]): Resource[] {
  const file = checkpointOf(workDir);
  if (!existsSync(file)) return [...flags];
  const kept = JSON.parse(readFileSync(file, 'utf8'), toBigInt) as Resource[];
  const origin = kept.map(unreserved).reduce<Resource[]>((sum, one) => add(sum, [one]), []);
  if (!contains(flags, origin))
    throw new Error(`Checkpointed resources in ${file} are incompatible with agent resources: they are more`);
  return add(subtract(flags, origin), kept);
}

/** Remembers them before anything is done on the disk, then makes new volumes and removes destroyed ones. */
export function keepResources(workDir: string, before: readonly Resource[], after: readonly Resource[]): void {
  const file = checkpointOf(workDir);
  mkdirSync(join(file, '..'), { recursive: true });
  replaceFile(file, JSON.stringify(after.filter(isCheckpointed), fromBigInt));
  const paths = new Set(after.filter(isVolume).map((volume) => volumePath(workDir, volume)));
  for (const path of paths) mkdirSync(path, { recursive: true });
  for (const volume of before.filter(isVolume)) {
    const path = volumePath(workDir, volume);
    if (!paths.has(path)) rmSync(path, { recursive: true, force: true });
  }
}

/** As the isolator filesystem/posix does: only paths of one name. */
export function linkVolumes(workDir: string, sandbox: string, resources: readonly Resource[]): void {
  for (const { volume, link } of linksOf(sandbox, resources))
    if (!existsSync(link)) symlinkSync(volumePath(workDir, volume), link);
}

export function unlinkVolumes(sandbox: string, resources: readonly Resource[]): void {
  for (const { link } of linksOf(sandbox, resources)) rmSync(link, { force: true });
}

function linksOf(sandbox: string, resources: readonly Resource[]): { volume: Resource; link: string }[] {
  return resources.filter(isVolume).flatMap((volume) => {
    const path = volume.disk!.volume!.container_path;
    return path.includes('/') ? [] : [{ volume, link: join(sandbox, path) }];
  });
}

/** What the flags say of it: static reservations stay. */
function unreserved(resource: Resource): Resource {
  const { reservations = [], ...rest } = isVolume(resource) ? stripVolume(resource) : resource;
  const fixed = reservations.filter(({ type }) => type === 'STATIC');
  return fixed.length > 0 ? { ...rest, reservations: fixed } : rest;
}

const fromBigInt = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);
const toBigInt = (key: string, value: unknown): unknown =>
  key === 'begin' || key === 'end' ? BigInt(value as number) : value;
