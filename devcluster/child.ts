/** Child processes in a session of their own, so that all of them can be ended. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { CommandInfo } from '../mesos/tasks.ts';

export interface Child {
  readonly pid: number | undefined;
  /** The raw wait status: exit code times 256, or the number of the signal; -1 when it never started. */
  readonly ended: Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL to it and all that came of it. */
  killTree(): void;
}

/** Runs the command in `directory`, its output in files `stdout` and `stderr` there. The environment is exactly `env`. */
export function runCommand(command: CommandInfo, directory: string, env: Record<string, string>): Child {
  const [file, args] = commandLine(command);
  const out = openSync(join(directory, 'stdout'), 'a');
  const err = openSync(join(directory, 'stderr'), 'a');
  let child: ChildProcess;
  try {
    child = spawn(file, args.slice(1), {
      argv0: args[0] ?? file,
      cwd: directory,
      env,
      detached: true,
      stdio: ['ignore', out, err],
    });
  } finally {
    closeSync(out);
    closeSync(err);
  }
  const ended = new Promise<number>((resolve) => {
    child.on('error', () => resolve(-1));
    child.on('exit', (code, signal) => resolve(signal ? constants.signals[signal] : (code ?? 0) * 256));
  });
  const send = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    // Once it has ended its number may be another's; what it left behind still is of its session.
    if (child.exitCode === null && child.signalCode === null) signalTree(child.pid, signal);
    else signalAll(membersOf(child.pid), signal);
  };
  return { pid: child.pid, ended, signal: send, killTree: () => send('SIGKILL') };
}

function commandLine({ shell = true, value = '', arguments: args = [] }: CommandInfo): [file: string, args: string[]] {
  return shell ? ['/bin/sh', ['sh', '-c', value]] : [value, args.length > 0 ? args : [value]];
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * As Mesos does it: all are stopped first, the root before the others, and the signal waits for all of them. So a shell dies of
 * the signal itself and does not live to tell how its program ended.
 */
function signalTree(root: number, signal: NodeJS.Signals): void {
  tryKill(root, 'SIGSTOP');
  const all = [root, ...membersOf(root)];
  signalAll(all, 'SIGSTOP');
  signalAll(all, signal);
  signalAll(all, 'SIGCONT');
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) tryKill(pid, signal);
}

/** What came of it, parents before children: also who made a process group of its own, or lost its parent. */
function membersOf(root: number): number[] {
  const processes = readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? (statOf(entry) ?? []) : []));
  const found = new Set(processes.filter(({ session }) => session === root).map(({ pid }) => pid));
  found.delete(root);
  const visit = (pid: number): void => {
    for (const child of processes)
      if (child.parent === pid && !found.has(child.pid)) {
        found.add(child.pid);
        visit(child.pid);
      }
  };
  for (const pid of [root, ...found]) visit(pid);
  return [...found];
}

function statOf(entry: string): { pid: number; parent: number; session: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid: Number(entry), parent: Number(fields[1]), session: Number(fields[3]) };
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

const signalNames: Record<number, string> = {
  1: 'Hangup',
  2: 'Interrupt',
  3: 'Quit',
  6: 'Aborted',
  9: 'Killed',
  11: 'Segmentation fault',
  13: 'Broken pipe',
  14: 'Alarm clock',
  15: 'Terminated',
};

/** `exited with status 3`, `terminated with signal Killed`. */
export function printStatus(status: number): string {
  const signal = status & 127;
  if (status < 0) return 'exited with status 1';
  return signal === 0 ? `exited with status ${status >> 8}` : `terminated with signal ${signalNames[signal] ?? signal}`;
}
