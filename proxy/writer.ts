import { spawn } from 'node:child_process';
import { isOfIPv6, type Changes } from './rules.ts';

/** A port whose new rules could not be put in place: its old ones go on. */
export interface Refusal {
  key: string;
  reason: string;
}

/** Puts a plan into effect. One call at a time. */
export interface Writer {
  /**
   * Makes the changes, all at once where the mode can; answers those that were refused.
   * Rejects when nothing can be written at all: nothing has changed then.
   */
  apply(changes: Changes): Promise<Refusal[]>;
  /** Listeners and sockets close. Rules in the kernel stay, so that a restart interrupts nobody. */
  close(): Promise<void>;
  /** Takes everything of ours out of the kernel. */
  cleanup(): Promise<void>;
}

/** A mode's rules of one address family. */
export interface FamilyWriter {
  /** Whether what all Services share is in the kernel. */
  readonly isLaid: boolean;
  apply(changes: Changes): Promise<Refusal[]>;
  cleanup(): Promise<void>;
}

/**
 * Rules of both families; those of IPv6 are laid when there is a Service of it, so that a machine without is left alone. Where it cannot be
 * had, its ports are refused and those of IPv4 served.
 */
export class KernelWriter implements Writer {
  readonly #ipv4: FamilyWriter;
  readonly #ipv6: FamilyWriter;

  constructor(writerOf: (family: 4 | 6) => FamilyWriter) {
    this.#ipv4 = writerOf(4);
    this.#ipv6 = writerOf(6);
  }

  async apply(changes: Changes): Promise<Refusal[]> {
    const [ipv4, ipv6] = [new Map(changes), new Map(changes)];
    for (const key of changes.keys()) (isOfIPv6(key) ? ipv4 : ipv6).delete(key);
    const refused = ipv4.size > 0 || !this.#ipv4.isLaid ? await this.#ipv4.apply(ipv4) : [];
    return [...refused, ...(await this.#applyIPv6(ipv6))];
  }

  async #applyIPv6(changes: Changes): Promise<Refusal[]> {
    const isNothing = !this.#ipv6.isLaid && [...changes.values()].every((port) => !port);
    if (changes.size === 0 || isNothing) return [];
    try {
      return await this.#ipv6.apply(changes);
    } catch (error) {
      const { message: reason } = error as Error;
      return [...changes.keys()].map((key) => ({ key, reason }));
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async cleanup(): Promise<void> {
    // What keeps one from its work need not keep the other.
    const [ipv4] = await Promise.allSettled([this.#ipv4.cleanup()]);
    await this.#ipv6.cleanup();
    if (ipv4.status === 'rejected') throw ipv4.reason;
  }
}

/** What decides how addresses are translated. */
export interface WriterOptions {
  /** Addresses of pods; what comes from elsewhere to a cluster IP is masqueraded. None: nothing is. */
  clusterCidr: readonly string[];
  masqueradeAll: boolean;
  /** Where node ports answer (CIDRs); on every address of the node when it is empty. */
  nodePortAddresses: readonly string[];
  /** The bit of a packet's mark that asks for masquerading, 0x4000 say. */
  masqueradeMark: number;
}

export type Run = (program: string, args: readonly string[], input?: string) => Promise<string>;

/** A program that takes longer hangs; 5,000 Services with 50,000 endpoints are written in seconds. */
const runMs = 60_000;

/** Runs a program, by way of `prefix` (nsenter …) where there is one. Rejects with what it said. */
export const runner =
  (prefix: readonly string[] = []): Run =>
  (program, args, input = '') =>
    new Promise((resolve, reject) => {
      const [command, ...rest] = [...prefix, program, ...args];
      const child = spawn(command!, rest, { stdio: 'pipe', timeout: runMs, killSignal: 'SIGKILL' });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(0, 4000)));
      child.on('error', (cause) => reject(new Error(`cannot run ${program}: ${cause.message}`, { cause })));
      child.on('close', (code, killedBy) => {
        const how =
          code === null ? `was ended by ${killedBy}, at the latest after ${runMs / 1000} s` : `ended with ${code}`;
        if (code === 0) resolve(stdout);
        else reject(new Error(`${program} ${how}: ${stderr.trim()}`));
      });
      // It may end before it has read everything; its exit code tells.
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });

/** Not even what all Services share can be written: no port is to blame. */
export class LayError extends Error {
  override name = 'LayError';

  constructor(cause: unknown) {
    super((cause as Error).message, { cause });
  }
}

/**
 * Writes in one go. Where that is refused, halves are tried, down to the single port that is to blame, so that one port
 * keeps nobody else from changing. Rejects where nothing of anybody can be written.
 */
export async function inParts(changes: Changes, write: (part: Changes) => Promise<void>): Promise<Refusal[]> {
  try {
    await write(changes);
    return [];
  } catch (error) {
    const all = [...changes];
    if (all.length === 0 || error instanceof LayError) throw error;
    if (all.length === 1) return [{ key: all[0]![0], reason: (error as Error).message }];
    const half = all.length >> 1;
    const first = await inParts(new Map(all.slice(0, half)), write);
    return [...first, ...(await inParts(new Map(all.slice(half)), write))];
  }
}
