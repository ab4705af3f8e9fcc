import { constants } from 'node:fs';
import { chmod, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Container, Pod } from '../api/kinds/pod.ts';
import { containersOf } from './containers.ts';
import { asWritten, recordOf } from './log-record.ts';
import { readPlain } from './plain-file.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';

/** Bytes of one container's message, of all messages of a pod, and of a message taken from a log; lines of the last. */
const longest = 4096;
const longestOfPod = 12 * 1024;
const longestFromLog = 2048;
const linesFromLog = 80;

/**
 * What containers leave behind when they end: each has a file of its own for it, mounted where its spec says. Kept below
 * the pod's volumes, in a directory that no container can write to, so that none can put a link in its place.
 */
export class LastWords {
  readonly #directory: () => string;
  readonly #known = new Map<string, string>();

  /** `directory` is that of the pod's volumes. */
  constructor(directory: () => string) {
    this.#directory = directory;
  }

  /** By container id. */
  get words(): ReadonlyMap<string, string> {
    return this.#known;
  }

  /** An empty file for one try of a container. */
  async fileFor(container: string, attempt: number): Promise<string> {
    const path = this.#path(container, attempt);
    await mkdir(dirname(path), { recursive: true, mode: 0o750 });
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW);
    await file.close();
    await chmod(path, 0o666); // whatever user the container runs as
    return path;
  }

  /** Reads what has ended since the last time. */
  async read(pod: Pod, runtime: RuntimePod | undefined): Promise<void> {
    const specs = containersOf(pod);
    const most = Math.min(longest, Math.floor(longestOfPod / Math.max(1, specs.length)));
    for (const container of runtime?.containers ?? []) {
      if (container.state !== 'exited' || this.#known.has(container.id)) continue;
      this.#known.set(container.id, await this.#wordsOf(container, specs, most));
    }
    const ids = new Set(runtime?.containers.map(({ id }) => id));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
  }

  async #wordsOf(container: RuntimeContainer, specs: readonly Container[], most: number): Promise<string> {
    const left = textOf(await readPlain(this.#path(container.name, container.attempt), most));
    const policy = specs.find(({ name }) => name === container.name)?.terminationMessagePolicy;
    if (left !== '' || policy !== 'FallbackToLogsOnError' || container.exitCode === 0) return left;
    return lastLines(container.logPath);
  }

  #path(container: string, attempt: number): string {
    return join(this.#directory(), 'last-words', `${container}-${attempt}`);
  }
}

const textOf = (bytes: Buffer | undefined): string => bytes?.toString('utf8') ?? '';

/** The text of the last lines of a log. */
async function lastLines(path: string): Promise<string> {
  const window = 4 * longestFromLog + linesFromLog * 64;
  const text = textOf(await readPlain(path, window, (size) => Math.max(0, size - window)));
  const lines = text.trimEnd().split('\n').slice(-linesFromLog);
  // The first one may be cut.
  const shown = lines.flatMap((line) => recordOf(Buffer.from(line)) ?? []).map(asWritten);
  return Buffer.concat(shown).subarray(-longestFromLog).toString('utf8');
}
