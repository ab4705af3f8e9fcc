import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupDriver } from '../../executor/runtime.ts';
import { removeCgroup } from '../../executor/runtimes/cgroups.ts';
import { removeSlice } from '../../executor/runtimes/slices.ts';
import { endShims, stopChild } from './daemons.ts';
import { forwardPackets } from './forwarding.ts';
import { pauseImage, writeImages } from './images.ts';
import { type Place, lines, namesIn } from './leftovers.ts';

export { busyboxImage } from './images.ts';

export const containerdIsHere = ['/usr/bin/containerd', '/usr/bin/ctr', '/bin/busybox', '/usr/lib/cni/bridge'].every(
  existsSync,
);

export interface Containerd extends Place {
  socket: string;
  /** kill -9; its shims and the containers below them go on. */
  kill(): Promise<void>;
  /** Starts it again on what it left. */
  start(): Promise<void>;
  /** What the end of its machine leaves: its disk. No process, and nothing that is in memory; mounts below `directories` go, too. */
  powerOff(...directories: string[]): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A containerd of its own, with a bridge of its own and images that are made here; with `megabytes` on a disk of its own, which can be full,
 * with `netns` in that network namespace, with the cgroup driver `systemd` only where systemd runs. `stop` leaves the machine as it was.
 */
export async function startContainerd(
  number: number,
  megabytes?: number,
  netns?: string,
  driver: CgroupDriver = 'cgroupfs',
): Promise<Containerd> {
  mkdirSync('/run/km-test', { recursive: true });
  const directory = mkdtempSync('/run/km-test/c-');
  const storage = mkdtempSync('/dev/shm/km-containerd-');
  if (megabytes !== undefined) execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'km', storage]);
  const socket = join(directory, 'containerd.sock');
  const bridge = `kmt${number}`;
  const inside = netns === undefined ? [] : ['nsenter', `--net=/run/netns/${netns}`];
  const here = (program: string, ...args: string[]) => execFileSync('env', [...inside, program, ...args]);
  const stopForwarding = netns === undefined ? forwardPackets() : () => undefined;
  writeFileSync(join(directory, 'config.toml'), config(directory, storage, driver));
  mkdirSync(join(directory, 'net.d'));
  writeFileSync(
    join(directory, 'net.d/10-km.conflist'),
    JSON.stringify(network(bridge, number, directory, netns !== undefined)),
  );
  const run = () =>
    spawn('env', [...inside, 'containerd', '--config', join(directory, 'config.toml')], { stdio: 'ignore' });
  let child = run();
  const cgroup = driver === 'systemd' ? `/kmtest${process.pid}x${number}.slice` : `/km-test-${process.pid}-${number}`;
  const removeCgroups = async () => (driver === 'systemd' ? removeSlice(cgroup) : removeCgroup(cgroup));
  const unmountBelow = (...paths: string[]) =>
    here(
      'sh',
      '-c',
      `ip link delete ${bridge} 2>/dev/null; grep "${paths.map((path) => ` ${path}`).join('\\|')}" /proc/self/mounts | cut -d" " -f2 | sort -r | xargs -r -n1 umount -l; true`,
    );
  const stop = async () => {
    await stopChild(child);
    endShims(directory);
    unmountBelow(directory, storage);
    stopForwarding();
    await removeCgroups();
    rmSync(directory, { recursive: true, force: true });
    rmSync(storage, { recursive: true, force: true });
  };
  try {
    await untilReady(socket, child);
    for (const path of await writeImages(directory))
      execFileSync('ctr', ['-a', socket, '-n', 'k8s.io', 'images', 'import', path], { stdio: 'pipe' });
  } catch (error) {
    await stop();
    throw error;
  }
  const kill = async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const start = async () => {
    child = run();
    await untilReady(socket, child);
  };
  const powerOff = async (...directories: string[]) => {
    await kill();
    endShims(directory);
    unmountBelow(directory, `${storage}/`, ...directories.map((path) => `${path}/`));
    await removeCgroups();
    rmSync(join(directory, 'state'), { recursive: true });
  };
  const containers = () => lines('ctr', '-a', socket, '-n', 'k8s.io', 'containers', 'ls', '-q');
  const addresses = () => namesIn(join(directory, 'cni', bridge)).filter((name) => /^\d+\./.test(name));
  return { socket, cgroup, bridge, directory, storage, containers, addresses, kill, start, powerOff, stop };
}

async function untilReady(socket: string, child: ChildProcess): Promise<void> {
  const end = Date.now() + 20_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`containerd ended with ${child.exitCode}`);
    try {
      if (existsSync(socket)) {
        execFileSync('ctr', ['-a', socket, 'version'], { stdio: 'pipe' });
        return;
      }
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error('containerd did not become ready');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const config = (directory: string, storage: string, driver: CgroupDriver): string => `version = 2
root = "${storage}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.devmapper","io.containerd.internal.v1.tracing","io.containerd.tracing.processor.v1.otlp","io.containerd.internal.v1.opt"]
[grpc]
  address = "${directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = ${driver === 'systemd'}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${directory}/net.d"
    max_conf_num = 1
`;

/** Host ports take rules of the kernel: only in a network namespace of the test's own. */
const network = (bridge: string, number: number, directory: string, hasHostPorts: boolean) => ({
  cniVersion: '0.4.0',
  name: bridge,
  plugins: [
    {
      type: 'bridge',
      bridge,
      isGateway: true,
      ipMasq: false,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: `10.89.${number}.0/24` }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: join(directory, 'cni'),
      },
    },
    ...(hasHostPorts ? [{ type: 'portmap', capabilities: { portMappings: true } }] : []),
  ],
});
