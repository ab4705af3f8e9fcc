import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import type { TestCluster } from './harness.ts';

export const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] !== 'Z';

/** Executor processes of this cluster, told by the sandbox they work in, with their node. */
export function executorsOf({ dir }: TestCluster): { pid: number; node: string }[] {
  return execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('km.ts executor') && !line.includes('sh -c'))
    .map((line) => Number.parseInt(line, 10))
    .flatMap((pid) => {
      const environment = words(pid, 'environ');
      const valueOf = (name: string) =>
        environment.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
      return valueOf('MESOS_DIRECTORY').startsWith(dir) ? [{ pid, node: nodeOfAgent(valueOf('MESOS_SLAVE_ID')) }] : [];
    });
}

/** Processes in the cgroup of a pod whose command line begins like this. */
export const processesOf = (podUid: string, command: string): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && read(pid, 'cgroup').includes(`pod${podUid}`))
    .filter((pid) => words(pid, 'cmdline').join(' ').startsWith(command));

const words = (pid: number, file: string): string[] => read(pid, file).split('\0');

/** Nothing for a process that has ended meanwhile. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** The development Mesos numbers its agents in the order of their names. */
const nodeOfAgent = (agentId: string): string => `agent-${Number(/-S(\d+)$/.exec(agentId)?.[1] ?? -1) + 1}`;
