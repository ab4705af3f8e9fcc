import { execFile } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Every kubectl that is installed: those named by version beside the one in PATH, else that one. */
export function kubectls(): string[] {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'kubectl'))
    .find((path) => existsSync(path));
  if (!found) throw new Error('no kubectl in PATH: install one, these tests speak to the server with it');
  const dir = dirname(realpathSync(found));
  const versioned = readdirSync(dir).filter((name) => /^kubectl\.\d+\.\d+$/.test(name));
  return versioned.length > 0 ? versioned.map((name) => join(dir, name)) : [found];
}

export interface Result {
  code: number;
  out: string;
  err: string;
}

/** Runs a kubectl with no more of an environment than it needs. */
export function runKubectl(
  kubectl: string,
  args: string[],
  { input = '', env }: { input?: string; env: Record<string, string> },
): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(
      kubectl,
      args,
      { env: { PATH: process.env['PATH'], ...env }, timeout: 20_000 },
      (error, out, err) => resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
    );
    child.stdin!.end(input);
  });
}
