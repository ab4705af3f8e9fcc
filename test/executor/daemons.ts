import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';

export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(hard);
}

/**
 * Shims (and under Docker its containerd) outlive their daemon, and what runs below them outlives the shims; those of one daemon
 * name something below its directory in their arguments.
 */
export function endShims(directory: string): void {
  const shims = shimsOf(directory);
  // Who is below is looked up before its parent is gone; the parents end first, so that none of them does anything about it.
  const below = shims.flatMap(descendantsOf);
  for (const pid of new Set([...shims, ...below])) end(pid);
}

export function shimsOf(directory: string): number[] {
  const pids = execFileSync(
    'sh',
    ['-c', `grep -la -- ${directory}/ /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3; true`],
    {
      encoding: 'utf8',
    },
  );
  return pids
    .split('\n')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => {
      const comm = `/proc/${pid}/comm`;
      return existsSync(comm) && readFileSync(comm, 'utf8').startsWith('containerd');
    });
}

/** Children, theirs, and so on. */
export function descendantsOf(pid: number): number[] {
  const text = execFileSync('sh', ['-c', `cat /proc/${pid}/task/*/children 2>/dev/null; true`], { encoding: 'utf8' });
  const children = text.split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It went with its parent.
    if (!isGone(error)) throw error;
  }
}

/** Errors of Node are of another realm than those of a test: no `instanceof`. */
const isGone = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ESRCH';
