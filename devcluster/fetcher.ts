/** What the agent puts into a sandbox before an executor starts: files, archives and programs named by URIs. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { URI } from '../mesos/tasks.ts';

const run = promisify(execFile);
const direct = new Agent({ headersTimeout: 60_000, bodyTimeout: 60_000 });

/** One after the other, as Mesos does. Throws an Error that names the URI. */
export async function fetchAll(
  uris: readonly URI[],
  sandbox: string,
  cache: string,
  signal: AbortSignal,
): Promise<void> {
  for (const uri of uris) {
    try {
      await fetchOne(uri, sandbox, cache, signal);
    } catch (error) {
      throw new Error(`Failed to fetch '${uri.value}': ${(error as Error).message}`, { cause: error });
    }
  }
}

async function fetchOne(uri: URI, sandbox: string, cache: string, signal: AbortSignal): Promise<void> {
  const name = uri.output_file ?? basename(pathOf(uri.value));
  if (name === '' || name.split('/').includes('..') || name.startsWith('/'))
    throw new Error(`'${name}' is no name of a file in a sandbox`);
  const target = join(sandbox, name);
  await mkdir(join(target, '..'), { recursive: true });
  if (uri.cache) await copyFile(await cached(uri, cache, signal), target);
  else await download(uri.value, target, signal);
  if (uri.executable) await chmod(target, 0o755);
  else if (uri.extract ?? true) await extract(target, sandbox);
}

const pathOf = (uri: string): string => (URL.canParse(uri) ? decodeURIComponent(new URL(uri).pathname) : uri);

/** Files of caches that are on their way. */
const coming = new Map<string, Promise<void>>();

/** Who asks while it is on its way waits; if it never came, it is his to fetch. */
async function cached(uri: URI, cache: string, signal: AbortSignal): Promise<string> {
  const file = join(cache, createHash('sha256').update(uri.value).digest('hex'));
  for (let before; (before = coming.get(file));) await before.catch(() => undefined);
  if (existsSync(file)) return file;
  const fetching = fetchInto(file, uri, cache, signal);
  coming.set(file, fetching);
  try {
    await fetching;
  } finally {
    coming.delete(file);
  }
  return file;
}

async function fetchInto(file: string, uri: URI, cache: string, signal: AbortSignal): Promise<void> {
  await mkdir(cache, { recursive: true });
  // Mesos asks for the size first.
  if (/^https?:/.test(uri.value)) {
    const head = await request(uri.value, { method: 'HEAD', dispatcher: direct, signal });
    await head.body.dump();
    if (head.statusCode !== 200) throw new Error(`HTTP ${head.statusCode}`);
  }
  const partial = `${file}.${process.hrtime.bigint()}`;
  await download(uri.value, partial, signal);
  await rename(partial, file);
}

async function download(uri: string, target: string, signal: AbortSignal): Promise<void> {
  if (/^https?:/.test(uri)) {
    const answer = await request(uri, { dispatcher: direct, signal });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new Error(`HTTP ${answer.statusCode}`);
    }
    return pipeline(answer.body, createWriteStream(target), { signal });
  }
  if (uri.startsWith('file:')) return copyFile(fileURLToPath(uri), target);
  if (uri.startsWith('/')) return pipeline(createReadStream(uri), createWriteStream(target), { signal });
  throw new Error('only http, https, file and absolute paths are fetched by the devcluster');
}

async function extract(file: string, sandbox: string): Promise<void> {
  if (/\.(tar|tgz|tar\.gz|tbz2|tar\.bz2|txz|tar\.xz)$/.test(file)) await run('tar', ['-xf', file, '-C', sandbox]);
  else if (file.endsWith('.zip')) await run('unzip', ['-o', '-q', file, '-d', sandbox]);
  else if (file.endsWith('.gz')) await run('gzip', ['-d', '-k', '-f', file]);
}
