import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes that the text of a file: all of it, or, when that fails or the power does, what it was before. Once it returns, it is on
 * the disk. What says so already is left alone. Only its owner reads it, unless told otherwise.
 */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  if (textOf(path) === text) return;
  const beside = `${path}.${process.pid}.new`;
  writeFileSync(beside, text, { mode, flush: true });
  renameSync(beside, path);
  // The new name is the directory's.
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
