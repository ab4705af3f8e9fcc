import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { removeCgroup } from '../../executor/runtimes/cgroups.ts';

export const busyboxImage = 'k8s.test/busybox:1';
const pauseImage = 'k8s.test/pause:1';

export const containerdIsHere = ['/usr/bin/containerd', '/usr/bin/ctr', '/bin/busybox', '/usr/lib/cni/bridge'].every(
  existsSync,
);

export interface Containerd {
  socket: string;
  cgroup: string;
  bridge: string;
  directory: string;
  /** kill -9; its shims and the containers below them go on. */
  kill(): Promise<void>;
  /** Starts it again on what it left. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A containerd of its own, with a bridge of its own and two images that are made here; `stop` leaves the machine as it was. */
export async function startContainerd(number: number): Promise<Containerd> {
  mkdirSync('/run/km-test', { recursive: true });
  const directory = mkdtempSync('/run/km-test/c-');
  const storage = mkdtempSync('/dev/shm/km-containerd-');
  const socket = join(directory, 'containerd.sock');
  const bridge = `kmt${number}`;
  const forward = readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();
  writeFileSync(join(directory, 'config.toml'), config(directory, storage));
  mkdirSync(join(directory, 'net.d'));
  writeFileSync(join(directory, 'net.d/10-km.conflist'), JSON.stringify(network(bridge, number, directory)));
  const run = () => spawn('containerd', ['--config', join(directory, 'config.toml')], { stdio: 'ignore' });
  let child = run();
  const cgroup = `/km-test-${process.pid}-${number}`;
  const stop = async () => {
    await stopChild(child);
    endShims(directory);
    execFileSync('sh', [
      '-c',
      `ip link delete ${bridge} 2>/dev/null; grep " ${directory}\\| ${storage}" /proc/self/mounts | cut -d" " -f2 | sort -r | xargs -r -n1 umount -l; true`,
    ]);
    writeFileSync('/proc/sys/net/ipv4/ip_forward', forward);
    removeCgroup(cgroup);
    rmSync(directory, { recursive: true, force: true });
    rmSync(storage, { recursive: true, force: true });
  };
  try {
    await untilReady(socket, child);
    for (const [name, tar] of [
      ['busybox', await busybox()],
      ['pause', await pause()],
    ] as const) {
      writeFileSync(join(directory, `${name}.tar`), tar);
      execFileSync('ctr', ['-a', socket, '-n', 'k8s.io', 'images', 'import', join(directory, `${name}.tar`)], {
        stdio: 'pipe',
      });
    }
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
  return { socket, cgroup, bridge, directory, kill, start, stop };
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

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(hard);
}

/** Shims outlive containerd; those of this one name its socket in their arguments. */
function endShims(directory: string): void {
  const pids = execFileSync(
    'sh',
    ['-c', `grep -la -- ${directory}/ /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3; true`],
    {
      encoding: 'utf8',
    },
  );
  for (const pid of pids.split('\n').filter(Boolean).map(Number)) {
    const comm = `/proc/${pid}/comm`;
    if (existsSync(comm) && readFileSync(comm, 'utf8').startsWith('containerd-shim')) process.kill(pid, 'SIGKILL');
  }
}

const config = (directory: string, storage: string): string => `version = 2
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
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${directory}/net.d"
    max_conf_num = 1
`;

const network = (bridge: string, number: number, directory: string) => ({
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
  ],
});

interface Entry {
  name: string;
  type?: 'file' | 'directory' | 'symlink';
  linkname?: string;
  mode?: number;
  data?: Buffer;
}

async function tar(entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  const chunks: Buffer[] = [];
  archive.on('data', (chunk) => chunks.push(chunk as Buffer));
  const ended = once(archive, 'end');
  for (const { data, ...header } of entries) archive.entry({ ...header, mtime: new Date(0) }, data ?? Buffer.alloc(0));
  archive.finalize();
  await ended;
  return Buffer.concat(chunks);
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** An OCI image layout of one layer. */
async function image(ref: string, files: Entry[], settings: object): Promise<Buffer> {
  const layer = await tar(files);
  const packed = gzipSync(layer, { level: 1 });
  const configuration = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: settings,
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest(layer)}`] },
    }),
  );
  const part = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: `sha256:${digest(bytes)}`,
    size: bytes.length,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: part('application/vnd.oci.image.config.v1+json', configuration),
      layers: [part('application/vnd.oci.image.layer.v1.tar+gzip', packed)],
    }),
  );
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...part('application/vnd.oci.image.manifest.v1+json', manifest),
        annotations: { 'io.containerd.image.name': ref, 'org.opencontainers.image.ref.name': ref },
      },
    ],
  };
  const blob = (bytes: Buffer): Entry => ({ name: `blobs/sha256/${digest(bytes)}`, data: bytes });
  return tar([
    { name: 'oci-layout', data: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { name: 'index.json', data: Buffer.from(JSON.stringify(index)) },
    blob(manifest),
    blob(configuration),
    blob(packed),
  ]);
}

function busybox(): Promise<Buffer> {
  const applets = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
  return image(
    busyboxImage,
    [
      ...['bin', 'etc', 'root', 'tmp', 'var'].map((name): Entry => ({
        name: `${name}/`,
        type: 'directory',
        mode: 0o755,
      })),
      { name: 'bin/busybox', mode: 0o755, data: readFileSync('/bin/busybox') },
      ...applets
        .filter((applet) => applet !== 'busybox')
        .map((applet): Entry => ({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox', mode: 0o777 })),
      { name: 'etc/passwd', data: Buffer.from('root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n') },
      { name: 'etc/group', data: Buffer.from('root:x:0:\nnobody:x:65534:\n') },
    ],
    { Env: ['PATH=/bin'], Cmd: ['sh'] },
  );
}

/** A program that waits and reaps; busybox does it too: its shell, waiting for ever. */
function pause(): Promise<Buffer> {
  return image(
    pauseImage,
    [
      { name: 'bin/', type: 'directory', mode: 0o755 },
      { name: 'bin/busybox', mode: 0o755, data: readFileSync('/bin/busybox') },
    ],
    {
      Env: ['PATH=/bin'],
      Entrypoint: [
        '/bin/busybox',
        'sh',
        '-c',
        'trap "exit 0" TERM INT; while :; do /bin/busybox sleep 3600 & wait $!; done',
      ],
    },
  );
}
