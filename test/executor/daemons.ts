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

/** Shims (and under Docker its containerd) outlive their daemon; those of one name something below its directory in their arguments. */
export function endShims(directory: string): void {
  const pids = execFileSync(
    'sh',
    ['-c', `grep -la -- ${directory}/ /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3; true`],
    {
      encoding: 'utf8',
    },
  );
  for (const pid of pids.split('\n').filter(Boolean).map(Number)) {
    const comm = `/proc/${pid}/comm`;
    if (existsSync(comm) && readFileSync(comm, 'utf8').startsWith('containerd')) process.kill(pid, 'SIGKILL');
  }
}
