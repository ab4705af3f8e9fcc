import { accessSync, constants, existsSync, readFileSync, statSync, statfsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { type Logger } from '../../lib/log.ts';
import { type KernelMode, checkKernel } from '../../proxy/index.ts';
import { onPath } from '../on-path.ts';
import { type Finding, error, warning } from './findings.ts';
import type { Needs, Program } from './needs.ts';

const reason = (cause: unknown): string => (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
const isRoot = (): boolean => process.getuid?.() === 0;

/** What the machine itself lacks: root, programs, sockets, room, cgroups, rules of the kernel. */
export async function checkMachine(needs: Needs, log: Logger): Promise<Finding[]> {
  const { root, programs = [], sockets = [], directories = [], rules, containers } = needs;
  return [
    ...(root && !isRoot() ? [error['root-missing'](root.why, root.instead)] : []),
    ...programs.filter(({ name }) => !onPath(name)).map(missing),
    ...(await Promise.all(sockets.map(checkSocket))).flat(),
    ...directories.flatMap(checkDirectory),
    ...(containers ? checkCgroups() : []),
    ...(rules ? await checkRules(rules, containers === true, log) : []),
  ];
}

const missing = ({ name, from, why, required }: Program): Finding =>
  required ? error['program-missing'](name, why, from) : warning['program-useful'](name, why, from);

function checkSocket({ path, flag }: { path: string; flag: string }): Promise<Finding[]> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const end = (findings: Finding[]) => {
      socket.destroy();
      resolve(findings);
    };
    socket.setTimeout(3000, () => end([error['socket-silent'](path, flag, 'no answer in 3 s')]));
    socket.once('connect', () => end([]));
    socket.once('error', (cause) => end([error['socket-silent'](path, flag, reason(cause))]));
  });
}

const least = 100 * 2 ** 20;
const enough = 2 ** 30;

function checkDirectory({ path, flag }: { path: string; flag: string }): Finding[] {
  let there = resolve(path);
  while (!existsSync(there)) there = dirname(there);
  try {
    accessSync(there, constants.W_OK);
  } catch (cause) {
    return [error['directory-readonly'](there, flag, reason(cause))];
  }
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  if (free < least) return [error['disk-full'](there, free, flag)];
  return free < enough ? [warning['disk-low'](there, free, flag)] : [];
}

/** Where the kernel lists the controllers that it has: https://man7.org/linux/man-pages/man7/cgroups.7.html */
function checkCgroups(): Finding[] {
  const at = '/sys/fs/cgroup';
  const unified = join(at, 'cgroup.controllers');
  const has = existsSync(unified)
    ? (name: string) => readFileSync(unified, 'utf8').trim().split(' ').includes(name)
    : (name: string) => existsSync(join(at, name, 'cgroup.procs'));
  const lacking = ['cpu', 'memory', 'pids'].filter((name) => !has(name));
  return lacking.length > 0 ? [error['cgroup-missing'](lacking.join(', '))] : [];
}

async function checkRules(mode: KernelMode, onBridge: boolean, log: Logger): Promise<Finding[]> {
  const program = mode === 'nftables' ? 'nft' : 'iptables-restore';
  const refused =
    isRoot() && onPath(program)
      ? await checkKernel(mode, log).then(
          () => [],
          (cause: Error) => [error['kernel-rules'](mode, cause.message)],
        )
      : [];
  const isOff = (file: string) => !existsSync(file) || readFileSync(file, 'utf8').trim() === '0';
  return [
    ...refused,
    ...(isOff('/proc/sys/net/ipv4/ip_forward') ? [warning['forwarding-off']('net.ipv4.ip_forward')] : []),
    ...(onBridge && isOff('/proc/sys/net/bridge/bridge-nf-call-iptables') ? [warning['bridge-unfiltered']()] : []),
  ];
}

/** A file that an option names. */
export interface Named {
  path: string;
  flag: string;
}

const secret = /PRIVATE KEY|client-key-data|^\s*token:/m;

/** Files that cannot be read, and secrets that everybody can. */
export function checkFiles(files: readonly Named[]): Finding[] {
  return files.flatMap(({ path, flag }) => {
    try {
      const isSecret = /secret|token/.test(flag) || secret.test(readFileSync(path, 'utf8'));
      accessSync(path, constants.R_OK);
      return isSecret && (statSync(path).mode & 0o004) !== 0 ? [warning['file-exposed'](path, flag)] : [];
    } catch (cause) {
      return [error['file-unreadable'](path, flag, reason(cause))];
    }
  });
}
