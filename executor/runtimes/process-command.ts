import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pseudoTerminal, quote } from '../../lib/terminal.ts';
import { type ContainerSpec, StartError } from '../runtime.ts';

/** What this machine lets the process runtime do. */
export interface ProcessPowers {
  /** Root on Linux with util-linux: private mounts, other users. */
  mounts: boolean;
  /** It is there, and changes users. */
  setpriv: boolean;
  /** Children die with their parent. */
  pdeathsig: boolean;
}

export function powersOf(platform = process.platform, uid = process.getuid?.()): ProcessPowers {
  const has = (tool: string) => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].some((dir) => existsSync(join(dir, tool)));
  return {
    mounts: platform === 'linux' && uid === 0 && has('unshare') && has('mount') && has('nsenter') && maySetMounts(),
    setpriv: platform === 'linux' && has('setpriv'),
    pdeathsig: platform === 'linux' && has('setpriv'),
  };
}

/** CAP_SYS_ADMIN (21) in the effective set: root in a plain container has it not. */
function maySetMounts(): boolean {
  const line = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return line !== null && ((BigInt(`0x${line[1]!}`) >> 21n) & 1n) === 1n;
}

/** What every command finds; nothing of the executor's own environment, which holds its credentials. */
export const baseEnv = (hostname: string): Record<string, string> => ({
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  HOSTNAME: hostname,
});

/** A command that is not there is told as a runtime with images tells it, not as an exit code of a shell. */
export function commandExists(command: string, path: string, spec: ContainerSpec): boolean {
  const mounted = (file: string) => spec.mounts.some((m) => file.startsWith(m.containerPath));
  return command.includes('/')
    ? existsSync(join(spec.container.workingDir || '/', command)) || existsSync(command) || mounted(command)
    : path.split(':').some((dir) => existsSync(join(dir, command)) || mounted(dir));
}

/** Said when everything is mounted and the root is the container's own: whoever enters it before would be in the machine's. */
const closes = 'exec 3>&-';

/**
 * The argv that becomes one container, the same pid all the way:
 *
 *   setpriv (die with the executor) → unshare (own mounts) → sh (mounts, directory) → setpriv (user) → command
 *
 * Once the volumes are there, if there are any, its shell closes descriptor 3; or, whether there are any or not, it writes its pid and a
 * line's end to the file `ready`, which it opened before: the container may see another file there.
 */
export function containerCommand(
  spec: ContainerSpec,
  argv: string[],
  powers: ProcessPowers,
  directory: { root: string; work: string },
  ready?: string,
): string[] {
  const { container, pod } = spec;
  if (spec.devices.length > 0)
    throw new StartError(
      'CreateContainerError',
      'a command of the machine is shown no block devices: use --runtime cri or --runtime docker',
    );
  const mounts = spec.mounts.map((mount) => ({ ...mount, containerPath: throughLinks(mount.containerPath) }));
  if (mounts.length > 0 && !powers.mounts) {
    throw new StartError(
      'CreateContainerError',
      `volumes of a command of the machine can be mounted only as root on Linux with util-linux; ${mounts.map((m) => m.containerPath).join(', ')} cannot be provided`,
    );
  }
  const user = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  const group = container.securityContext?.runAsGroup ?? pod.spec.securityContext?.runAsGroup;
  const { supplementalGroups = [], fsGroup } = pod.spec.securityContext ?? {};
  const groups = [...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup])];
  const inner = [...setpriv(powers, user, group, groups), ...(container.tty ? pseudoTerminal(argv) : argv)];
  const says = ready ? [`echo $$ >&3; ${closes}`] : mounts.length > 0 ? [closes] : [];
  const start = [...says, `cd -- ${quote(container.workingDir || directory.work)}`, 'exec "$@"'].join('; ');
  const script = [
    'set -e',
    ...(ready ? [`exec 3>${quote(ready)}`] : []),
    ...mountScript(mounts, directory.root),
    needsOwnRoot(mounts) ? `exec chroot "$km_root" /bin/sh -c ${quote(start)} sh "$@"` : start,
  ];
  const shell = ['/bin/sh', '-c', script.join('\n'), 'sh', ...inner];
  return [
    ...(powers.pdeathsig ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []),
    ...(powers.mounts && mounts.length > 0 ? ['unshare', '--mount', '--propagation', 'private', '--'] : []),
    ...shell,
  ];
}

/** A change of user clears the death signal, so it is set again with it. */
function setpriv(
  powers: ProcessPowers,
  user: number | undefined,
  group: number | undefined,
  groups: readonly number[],
): string[] {
  if (user === undefined && group === undefined) return [];
  if (!powers.setpriv || process.getuid?.() !== 0)
    throw new StartError(
      'CreateContainerError',
      'a command of the machine runs as another user only as root with setpriv installed',
    );
  return [
    'setpriv',
    ...(powers.pdeathsig ? ['--pdeathsig=KILL'] : []),
    ...(user === undefined ? [] : [`--reuid=${user}`]),
    `--regid=${group ?? 0}`,
    groups.length > 0 ? `--groups=${groups.join()}` : '--clear-groups',
    '--',
  ];
}

type Mounts = ContainerSpec['mounts'];

/**
 * Volumes appear at their paths by bind mounts in a private mount namespace. A path that this machine does not have is never
 * made on it: under `/` the container gets a root of its own (a tmpfs with the machine's directories bound into it),
 * elsewhere the nearest directory gets an overlay.
 */
function mountScript(mounts: Mounts, directory: string): string[] {
  if (mounts.length === 0) return [];
  const own = needsOwnRoot(mounts);
  const root = own ? '"$km_root"' : '';
  return [...(own ? ownRoot(mounts, directory) : []), ...byDepth(mounts).flatMap((mount) => bind(mount, root))];
}

/**
 * What it says in one run of `mkdir`, `cp` and `mount`: a machine has twenty entries in `/`, and a program for each took longer
 * than everything else of a container's start.
 */
function ownRoot(mounts: Mounts, directory: string): string[] {
  const overlays = [...new Set(mounts.map((m) => nearestDirectory(m.containerPath)))]
    .filter((dir) => dir !== '/')
    .sort();
  const layers = overlays.map((dir, i) => ({ dir, up: `.km/${i}/up`, work: `.km/${i}/work` }));
  const line = (...fields: string[]) => `printf '%s\\n' ${quote(`${fields.map(inFstab).join(' ')} 0 0`)}`;
  return [
    `km_root=${quote(directory)}`,
    'mkdir -p "$km_root"',
    'mount -t tmpfs km "$km_root"',
    'km_mounts=$(',
    '  cd /; set --',
    '  for e in * .[!.]*; do if [ -L "$e" ]; then set -- "$@" "$e"; fi; done',
    '  [ $# = 0 ] || cp -P -- "$@" "$km_root"',
    `  cd "$km_root"; set -- ${layers.map(({ up, work }) => `${up} ${work}`).join(' ')}`,
    '  for e in /* /.[!.]*; do',
    '    if [ -L "$e" ] || [ ! -e "$e" ]; then continue; fi',
    '    if [ -d "$e" ]; then set -- "$@" ".$e"; else : > ".$e"; fi',
    // Such names would have to be written otherwise in a table, and are rare.
    '    case $e in *[[:space:]\\\\#]*) continue ;; esac',
    `    printf '%s %s%s none rbind 0 0\\n' "$e" ${quote(inFstab(directory))} "$e"`,
    '  done',
    '  mkdir -p -- "$@"',
    ...layers.map(({ dir, up, work }) =>
      line(
        ...['km', `${directory}${dir}`, 'overlay'],
        `lowerdir=${dir},upperdir=${directory}/${up},workdir=${directory}/${work}`,
      ),
    ),
    ')',
    'for e in /* /.[!.]*; do',
    '  case $e in *[[:space:]\\\\#]*) if [ ! -L "$e" ] && [ -e "$e" ]; then mount --rbind "$e" "$km_root$e"; fi ;; esac',
    'done',
    `printf '%s\\n' "$km_mounts" > "$km_root/.km-mounts"`,
    'mount -a -T "$km_root/.km-mounts"',
    'rm "$km_root/.km-mounts"',
  ];
}

/** As a field of a table of mounts has it. */
const inFstab = (text: string): string =>
  text.replace(/[\s\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);

function bind({ hostPath, containerPath, readOnly }: Mounts[number], root: string): string[] {
  const target = `${root}${quote(containerPath)}`;
  const isDirectory = statSync(hostPath).isDirectory();
  return [
    isDirectory
      ? `mkdir -p ${target}`
      : `[ -e ${target} ] || { mkdir -p ${root}${quote(dirname(containerPath))}; : > ${target}; }`,
    `mount --rbind ${quote(hostPath)} ${target}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${target}`] : []),
  ];
}

const byDepth = (mounts: Mounts): Mounts =>
  [...mounts].sort((a, b) => a.containerPath.split('/').length - b.containerPath.split('/').length);

export const needsOwnRoot = (mounts: Mounts): boolean => mounts.some((m) => !existsSync(m.containerPath));

/** Where a path of this machine leads: `/var/run` is often a link, and a link's target is not below a root of our own. */
function throughLinks(path: string): string {
  const there = existsSync(path) ? path : nearestDirectory(path);
  return join(realpathSync(there), path.slice(there.length));
}

function nearestDirectory(path: string): string {
  if (existsSync(path)) return '/';
  let dir = dirname(path);
  while (dir !== '/' && !existsSync(dir)) dir = dirname(dir);
  return dir;
}
