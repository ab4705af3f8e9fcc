/** What a process and those that it started use of the machine. */
import { readFileSync } from 'node:fs';

/** A process and those that it started. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

const sum = (pid: number, figure: (pid: number) => number): number =>
  family(pid).reduce((total, one) => total + figure(one), 0);

export function residentMegabytes(pid: number): number {
  return sum(pid, (one) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))![1]) / 1024);
}

/** User and system time so far; the kernel counts in hundredths of a second. */
export function processorSeconds(pid: number): number {
  return sum(pid, (one) => {
    const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  });
}
