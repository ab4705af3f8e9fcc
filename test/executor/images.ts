import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

export const busyboxImage = 'k8s.test/busybox:1';
export const pauseImage = 'k8s.test/pause:1';
export const echoImage = 'k8s.test/echo:1';

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

/** An OCI image layout of one layer, which `docker load` takes too. */
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
  const path = (bytes: Buffer) => `blobs/sha256/${digest(bytes)}`;
  const forDocker = { Config: path(configuration), RepoTags: [ref], Layers: [path(packed)] };
  const blob = (bytes: Buffer): Entry => ({ name: path(bytes), data: bytes });
  return tar([
    { name: 'oci-layout', data: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { name: 'index.json', data: Buffer.from(JSON.stringify(index)) },
    { name: 'manifest.json', data: Buffer.from(JSON.stringify([forDocker])) },
    blob(manifest),
    blob(configuration),
    blob(packed),
  ]);
}

/** With its applets, for root and nobody. */
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

/** What it says unless told otherwise: `entry default args`. */
const echo = (): Promise<Buffer> =>
  image(
    echoImage,
    [
      { name: 'bin/', type: 'directory', mode: 0o755 },
      { name: 'bin/busybox', mode: 0o755, data: readFileSync('/bin/busybox') },
    ],
    { Entrypoint: ['/bin/busybox', 'echo', 'entry'], Cmd: ['default', 'args'] },
  );

/** Writes every image of the tests into a directory, as `<name>.tar`, and answers the paths. */
export async function writeImages(directory: string): Promise<string[]> {
  const images = { busybox: await busybox(), pause: await pause(), echo: await echo() };
  return Object.entries(images).map(([name, bytes]) => {
    const path = join(directory, `${name}.tar`);
    writeFileSync(path, bytes);
    return path;
  });
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
