import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const manifest = join(root, 'package.json');
/** `build` is what packaging/build.ts adds. */
const { version, build: built } = JSON.parse(readFileSync(manifest, 'utf8')) as {
  version: string;
  build?: { commit: string; date: string };
};

/** Which km this is. */
export const build = {
  version,
  /** Of git, 40 hexadecimal digits; '' where km runs neither from a clone nor from what was built of one. */
  commit: built?.commit ?? commitOf(join(root, '.git')),
  /** RFC 3339, whole seconds. */
  date: built?.date ?? new Date(statSync(manifest).mtimeMs).toISOString().replace(/\.\d+Z$/, 'Z'),
};

/** The Kubernetes that every server of km is like, as versions of Kubernetes are written. */
export const kubernetesVersion = `v1.36.0+km.${version}`;

/** What is checked out, read from git's own files: no git need be installed. */
function commitOf(git: string): string {
  const read = (file: string): string =>
    existsSync(file) && statSync(file).isFile() ? readFileSync(file, 'utf8') : '';
  const head = read(join(git, 'HEAD')).trim();
  const ref = /^ref: (\S+)$/.exec(head)?.[1];
  if (ref === undefined) return /^[0-9a-f]{40}$/.test(head) ? head : '';
  const loose = read(join(git, ref)).trim();
  if (loose) return loose;
  const packed = read(join(git, 'packed-refs')).split('\n');
  return packed.find((line) => line.endsWith(` ${ref}`))?.slice(0, 40) ?? '';
}
