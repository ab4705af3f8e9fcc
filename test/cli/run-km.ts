import { execFile } from 'node:child_process';
import { join } from 'node:path';

export const program = join(process.cwd(), 'cli/km.ts');

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

interface How {
  script?: string;
  env?: Record<string, string | undefined>;
  /** A program that starts km, and its arguments: unshare, setpriv … */
  by?: readonly string[];
}

/** Runs km to its end. */
export function km(args: readonly string[], { script = program, env = {}, by = [] }: How = {}): Promise<Ended> {
  // A symlink is run under its own name, as a shell would find it on PATH.
  const [command = '', ...rest] = [...by, process.execPath, script, ...args];
  return new Promise((resolve) => {
    execFile(command, rest, { env: { ...process.env, NO_COLOR: '1', ...env } }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}
