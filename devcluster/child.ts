/** Child processes in a session of their own, so that all of them can be ended. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pseudoTerminal } from '../lib/terminal.ts';
import type { CommandInfo } from '../mesos/tasks.ts';

export interface Child {
  readonly pid: number | undefined;
  /** The raw wait status: exit code times 256, or the number of the signal; -1 when it never started. */
  readonly ended: Promise<number>;
  /** To it and all that came of it. */
  signal(signal: NodeJS.Signals): void;
  /** To it alone. */
  signalOne(signal: number): void;
  /** SIGKILL to it and all that came of it. */
  killTree(): void;
}

/** One whose input and output are in our hands. */
export interface PipedChild extends Child {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** Runs the command in `directory`, its output in files `stdout` and `stderr` there. The environment is exactly `env`. */
export function runCommand(command: CommandInfo, directory: string, env: Record<string, string>): Child {
  const out = openSync(join(directory, 'stdout'), 'a');
  const err = openSync(join(directory, 'stderr'), 'a');
  try {
    const [file, args] = commandLine(command);
    const stdio: StdioOptions = ['ignore', out, err];
    return childOf(spawn(file, args.slice(1), { argv0: args[0] ?? file, cwd: directory, env, detached: true, stdio }));
  } finally {
    closeSync(out);
    closeSync(err);
  }
}

/** The same with pipes instead of the files, or with a terminal, all of whose output is on `stdout`. */
export function runPiped(command: CommandInfo, cwd: string, env: Record<string, string>, tty: boolean): PipedChild {
  const [file, args] = commandLine(command);
  const [program, ...rest] = tty ? pseudoTerminal([file, ...args.slice(1)]) : [file, ...args.slice(1)];
  const argv0 = tty ? program : args[0];
  const child = spawn(program ?? file, rest, { argv0: argv0 ?? file, cwd, env, detached: true, stdio: 'pipe' });
  const { stdin, stdout, stderr } = child;
  return { ...childOf(child), stdin, stdout, stderr };
}

function childOf(child: ChildProcess): Child {
  const { pid } = child;
  const ended = new Promise<number>((resolve) => {
    child.on('error', () => resolve(-1));
    child.on('exit', (code, signal) => resolve(signal ? constants.signals[signal] : (code ?? 0) * 256));
  });
  const isAlive = () => child.exitCode === null && child.signalCode === null;
  const send = (signal: NodeJS.Signals) => {
    if (pid === undefined) return;
    // Once it has ended its number may be another's; what it left behind still is of its session.
    if (isAlive()) signalTree(pid, signal);
    else signalAll(membersOf(pid), signal);
  };
  const signalOne = (signal: number) => {
    if (pid !== undefined && isAlive()) tryKill(pid, signal);
  };
  return { pid, ended, signal: send, signalOne, killTree: () => send('SIGKILL') };
}

function commandLine({ shell = true, value = '', arguments: args = [] }: CommandInfo): [file: string, args: string[]] {
  return shell ? ['/bin/sh', ['sh', '-c', value]] : [value, args.length > 0 ? args : [value]];
}

function tryKill(pid: number, signal: NodeJS.Signals | number): void {
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
