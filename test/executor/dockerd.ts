import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Docker from 'dockerode';
import { removeCgroup } from '../../executor/runtimes/cgroups.ts';
import { eventually } from '../eventually.ts';
import { endShims, stopChild } from './daemons.ts';
import { forwardPackets } from './forwarding.ts';
import { writeImages } from './images.ts';
import type { Place } from './leftovers.ts';

export const dockerIsHere = ['/usr/sbin/dockerd', '/usr/bin/containerd', '/bin/busybox'].every(existsSync);

export interface Dockerd extends Place {
  /** As DOCKER_HOST. */
  host: string;
  docker: Docker;
  /** Where images and containers are. */
  storage: string;
  /** kill -9; its containers go on. */
  kill(): Promise<void>;
  /** Starts it again on what it left. */
  start(): Promise<void>;
  /** What the end of its machine leaves: its disk. No process, and nothing that is in memory; mounts below `directories` go, too. */
  powerOff(...directories: string[]): Promise<void>;
  stop(): Promise<void>;
}

/** A Docker of its own, with a bridge of its own, no rules in this machine's tables, and images that are made here; `stop` leaves the machine as it was. */
export async function startDockerd(number: number): Promise<Dockerd> {
  mkdirSync('/run/km-test', { recursive: true });
  const directory = mkdtempSync('/run/km-test/d-');
  const storage = mkdtempSync('/dev/shm/km-docker-');
  const socket = join(directory, 'docker.sock');
  const bridge = `kmd${number}`;
  const cgroup = `/km-test-docker-${process.pid}-${number}`;
  const settings = {
    ...{ 'data-root': storage, 'exec-root': join(directory, 'exec'), pidfile: join(directory, 'docker.pid') },
    ...{ hosts: [`unix://${socket}`], 'storage-driver': 'overlay2', bridge },
    ...{ iptables: false, ip6tables: false, 'ip-forward': false, 'live-restore': true },
    ...{ 'exec-opts': ['native.cgroupdriver=cgroupfs'], 'cgroup-parent': cgroup },
  };
  writeFileSync(join(directory, 'daemon.json'), JSON.stringify(settings));
  // As a Docker does that may change what is not its own: pods reach each other through Services.
  const stopForwarding = forwardPackets();
  sh(`ip link add ${bridge} type bridge && ip addr add 10.87.${number}.1/24 dev ${bridge} && ip link set ${bridge} up`);
  const docker = new Docker({ socketPath: socket });
  const run = (): ChildProcess => {
    const log = openSync(join(directory, 'log'), 'a');
    return spawn('dockerd', ['--config-file', join(directory, 'daemon.json')], { stdio: ['ignore', log, log] });
  };
  let child = run();
  const untilReady = () =>
    eventually(async () => {
      if (child.exitCode !== null) throw new Error(readFileSync(join(directory, 'log'), 'utf8').slice(-2000));
      await docker.ping();
    }, 20_000);
  const kill = async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const stop = async () => {
    for (const { Id } of await docker.listContainers({ all: true }).catch(() => []))
      await docker.getContainer(Id).remove({ force: true, v: true });
    await stopChild(child);
    endShims(directory);
    // What a Docker that could not be asked has left running.
    sh(`find /sys/fs/cgroup -path "*${cgroup}/*" -name cgroup.procs -exec cat {} + | sort -u | xargs -r kill -9; true`);
    sh(`ip link delete ${bridge} 2>/dev/null; true`);
    unmountBelow(directory, storage);
    stopForwarding();
    removeCgroup(cgroup);
    rmSync(directory, { recursive: true, force: true });
    rmSync(storage, { recursive: true, force: true });
  };
  try {
    await untilReady();
    for (const path of await writeImages(directory)) await once((await docker.loadImage(path)).resume(), 'end');
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ host: `unix://${socket}`, docker, cgroup, bridge, directory, storage, stop },
    containers: async () => (await docker.listContainers({ all: true })).map(({ Id }) => Id),
    kill,
    async powerOff(...directories) {
      await kill();
      endShims(directory);
      unmountBelow(directory, `${storage}/`, ...directories.map((path) => `${path}/`));
      removeCgroup(cgroup);
      rmSync(join(directory, 'exec'), { recursive: true });
    },
    async start() {
      // Its containerd dies with it; until somebody has buried that, its pid would seem to be alive.
      rmSync(join(directory, 'exec/containerd/containerd.pid'), { force: true });
      child = run();
      await untilReady();
    },
  };
}

const unmountBelow = (...paths: string[]): Buffer =>
  sh(
    `grep "${paths.map((path) => ` ${path}`).join('\\|')}" /proc/self/mounts | cut -d" " -f2 | sort -r | xargs -r -n1 umount -l; true`,
  );

const sh = (script: string): Buffer => execFileSync('sh', ['-c', script]);
