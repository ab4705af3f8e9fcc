import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

/** A block device of this machine whose blocks are a file's. */
export function loopDevice(file: string): string {
  writeFileSync(file, Buffer.alloc(4 << 20));
  return execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
}

export const releaseLoop = (device: string): void => void execFileSync('losetup', ['--detach', device]);
