const first = 10_000;
const longest = 300_000;

/**
 * How long a container that keeps failing has to wait: nothing before its first restart, then 10 s, doubling to 5 min.
 * One that ran for 10 minutes starts over. Kept in memory only, as a kubelet does. All times are ms since the epoch.
 */
export class CrashBackoff {
  readonly #entries = new Map<string, { wait: number; at: number }>();
  readonly #first: number;

  constructor(firstWait = first) {
    this.#first = firstWait;
  }

  /** What is left of the wait after a failure at `failedAt`; 0 when it may be tried again. */
  remaining(key: string, failedAt: number, now: number): number {
    const entry = this.#entries.get(key);
    if (!entry || failedAt - entry.at > 2 * longest) return 0;
    // A clock that was put back since makes no wait longer than it is.
    return Math.max(0, Math.min(entry.wait, failedAt + entry.wait - now));
  }

  /** The whole wait that applies at present, for words to the user. */
  current(key: string): number {
    return this.#entries.get(key)?.wait ?? 0;
  }

  /** It is tried again now, after a failure at `failedAt`: the next wait is longer. */
  tried(key: string, failedAt: number, now: number): void {
    const entry = this.#entries.get(key);
    const fresh = !entry || failedAt - entry.at > 2 * longest;
    this.#entries.set(key, { wait: fresh ? this.#first : Math.min(longest, entry.wait * 2), at: now });
  }

  /** Forgets every key that begins so: the pod is gone. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
}

/** `10s`, `1m20s`, `5m0s`: as Go writes durations. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
