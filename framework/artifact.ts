import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIPv6 } from 'node:net';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createServer } from '../lib/http.ts';
import type { Logger } from '../lib/log.ts';
import { machineAddress } from '../lib/machine-address.ts';

export interface ArtifactOptions {
  executorArchive: string;
  executorArchivePort: number;
  executorArchiveAddress: string;
  executorCommand: string;
}

export interface Artifact {
  /** What the fetcher of an agent brings and unpacks. */
  uri: string;
  /** Finds the km of the archive. */
  command: string;
}

/** Connections at once, and milliseconds that one may be idle. */
const most = 1024;
const idle = 60_000;

/**
 * The archive that executors are started from, for the fetchers of agents. They show no credentials, and it holds no secret: it
 * is there for everybody, over HTTP, and nothing else is. Its path tells its contents, so that what an agent has cached is never
 * that of another km:
 *
 *   GET, HEAD /<first half of the SHA-256>/km-1.0.0-linux-x64.tar.gz
 *
 * Throws an Error that says what to do where the file, or the port, is not to be had.
 */
export async function serveArtifact(
  { executorArchive: path, executorArchivePort: port, executorArchiveAddress, executorCommand }: ArtifactOptions,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<Artifact> {
  // Held open: when another km takes its place, agents still get what the path says.
  const { file, name, folder } = await openArchive(path);
  const { size } = await file.stat();
  const where = `/${await digestOf(file, size)}/${name}`;
  const server = createServer((request, response) => void answer(request, response));
  server.maxConnections = most;
  server.setTimeout(idle);
  const answer = async ({ method = '', url, socket }: IncomingMessage, response: ServerResponse) => {
    if (url !== where) return response.writeHead(404).end(`km for executors is at ${where}\n`);
    if (method !== 'GET' && method !== 'HEAD') return response.writeHead(405, { allow: 'GET, HEAD' }).end();
    log.info({ agent: socket.remoteAddress, method }, 'an agent fetches km');
    response.writeHead(200, { 'content-type': 'application/gzip', 'content-length': size });
    if (method === 'HEAD') return response.end();
    await pipeline(contentsOf(file, size), response).catch((err: unknown) =>
      log.debug({ err }, 'a fetch was cut short'),
    );
  };
  server.listen(port);
  await once(server, 'listening').catch(async (cause: Error) => {
    await file.close();
    throw new Error(`--executor-archive-port ${port}: ${cause.message}`, { cause });
  });
  signal.addEventListener('abort', () => {
    server.close(() => void file.close());
    server.closeAllConnections();
  });
  const host = executorArchiveAddress || (await machineAddress()) || '127.0.0.1';
  const address = server.address();
  const at = typeof address === 'object' ? address?.port : port;
  return {
    uri: `http://${isIPv6(host) ? `[${host}]` : host}:${at}${where}`,
    command: `export PATH="$PWD/${folder}/bin:$PATH"; ${executorCommand}`,
  };
}

/** The archive of the options and its top folder. Throws an Error that says what to do where it is none, or not to be had. */
export async function openArchive(path: string): Promise<{ file: FileHandle; name: string; folder: string }> {
  const name = basename(path);
  const folder = /^([\w.+-]+)\.tar\.gz$/.exec(name)?.[1];
  if (!folder) throw new Error(`--executor-archive ${path}: expected an archive such as km-1.0.0-linux-x64.tar.gz`);
  const file = await open(path).catch((cause: Error) => {
    throw new Error(`--executor-archive: ${cause.message}; npm run build makes one`, { cause });
  });
  return { file, name, folder };
}

const contentsOf = (file: FileHandle, size: number) =>
  file.createReadStream({ start: 0, end: size - 1, autoClose: false, highWaterMark: 256 * 1024 });

async function digestOf(file: FileHandle, size: number): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(contentsOf(file, size), hash);
  return hash.digest('hex').slice(0, 32);
}
