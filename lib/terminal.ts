/** A pseudo terminal around a program, made by util-linux' `script`, and its size. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** A word as a shell takes it. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A pseudo terminal around a command: its exit code is the command's. */
export const pseudoTerminal = (argv: readonly string[]): string[] => [
  'script',
  '--quiet',
  '--flush',
  '--return',
  '--command',
  `exec ${argv.map(quote).join(' ')}`,
  '/dev/null',
];

/** Tells the terminal that `pid`, or what it started, made its size; the kernel tells the programs on it. */
export function resizeTerminal(pid: number | undefined, columns: number, rows: number): void {
  const terminal = pid === undefined ? undefined : terminalBelow(pid);
  if (!terminal) return;
  spawn('stty', ['-F', terminal, 'cols', String(columns), 'rows', String(rows)], { stdio: 'ignore' }).on(
    'error',
    () => undefined, // no stty on this machine: the size stays what it was
  );
}

/** The pseudo terminal that `script`, being pid or its descendant, gave to its child. */
function terminalBelow(pid: number): string | undefined {
  const children = readChildren(pid);
  for (const child of children) {
    const input = linkOf(`/proc/${child}/fd/0`);
    if (input?.startsWith('/dev/pts/')) return input;
    const below = terminalBelow(child);
    if (below) return below;
  }
  return undefined;
}

function readChildren(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      text(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
    );
  } catch (error) {
    return gone(error, []);
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    return gone(error, undefined);
  }
}

/** Processes end while one looks at them. */
function gone<T>(error: unknown, answer: T): T {
  if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return answer;
  throw error;
}

const text = (path: string): string => readFileSync(path, 'utf8');
