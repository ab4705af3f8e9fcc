import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { arch, release } from 'node:os';

/** What this machine is; a file that is not there gives an empty text. */
export interface MachineInfo {
  machineId: string;
  bootId: string;
  kernel: string;
  osImage: string;
  architecture: string;
}

export interface MachineReadings {
  memoryAvailable: number;
  /** Shares between 0 and 1. */
  diskFree: number;
  pidsUsed: number;
}

export function machineInfo(): MachineInfo {
  const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' };
  return {
    machineId: text('/etc/machine-id').trim(),
    bootId: text('/proc/sys/kernel/random/boot_id').trim(),
    kernel: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(text('/etc/os-release'))?.[1] ?? process.platform,
    architecture: architectures[arch()] ?? arch(),
  };
}

export async function machineReadings(directory: string): Promise<MachineReadings> {
  const disk = await statfs(directory);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(text('/proc/meminfo'))?.[1];
  const threads = /\/(\d+) /.exec(text('/proc/loadavg'))?.[1];
  const most = Number(text('/proc/sys/kernel/pid_max')) || Infinity;
  return {
    memoryAvailable: available === undefined ? Infinity : Number(available) * 1024,
    diskFree: disk.blocks === 0 ? 1 : disk.bavail / disk.blocks,
    pidsUsed: Number(threads ?? 0) / most,
  };
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
