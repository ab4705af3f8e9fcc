import { readFileSync, readdirSync } from 'node:fs';

/** A process and the tick it was started at: together they name it for as long as the machine is up. */
export interface ProcessId {
  pid: number;
  /** Clock ticks since boot. */
  startedTicks: number;
  /** The boot it belongs to. */
  boot: string;
}

export const bootId = (): string => read('/proc/sys/kernel/random/boot_id')?.trim() ?? '';

export function processId(pid: number): ProcessId | undefined {
  const stat = statOf(pid);
  return stat && { pid, startedTicks: stat.startedTicks, boot: bootId() };
}

/** Alive and no other process that got the same number. A zombie is not alive. */
export function isAlive(id: ProcessId): boolean {
  const stat = statOf(id.pid);
  return stat !== undefined && stat.state !== 'Z' && stat.startedTicks === id.startedTicks && id.boot === bootId();
}

/** Sends a signal to every process of a session: what a container's main process left running. */
export function signalSession(session: number, signal: NodeJS.Signals): number {
  let found = 0;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = statOf(pid);
    if (stat?.session === session && stat.state !== 'Z') found += Number(signalOne(pid, signal));
  }
  return found;
}

/** What the processes of each session use together, with the processor time of children that ended and were waited for. */
export function sessionUses(): Map<number, { cpuNanos: number; memory: number; workingSet: number; rss: number }> {
  const uses = new Map<number, { cpuNanos: number; memory: number; workingSet: number; rss: number }>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (!stat) continue;
    const use = uses.get(stat.session) ?? { cpuNanos: 0, memory: 0, workingSet: 0, rss: 0 };
    use.cpuNanos += (stat.ticks * 1e9) / ticksPerSecond;
    use.rss += stat.pages * pageBytes;
    use.memory = use.workingSet = use.rss;
    uses.set(stat.session, use);
  }
  return uses;
}

/** USER_HZ, the same on every Linux of today; and the usual page. */
const ticksPerSecond = 100;
const pageBytes = 4096;

/** False when it is gone. */
export function signalOne(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

interface Stat {
  state: string;
  session: number;
  startedTicks: number;
  /** Of the process and the children it waited for. */
  ticks: number;
  pages: number;
}

function statOf(pid: number): Stat | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name in parentheses may hold anything, parentheses too: fields are counted from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const [state = '', session, startedTicks, pages] = [fields[0], fields[3], fields[19], fields[21]];
  return { state, session: Number(session), startedTicks: Number(startedTicks), ticks, pages: Number(pages) };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
