import type { ContainerUsage, Runtime } from './runtime.ts';

/** What a container uses, and how fast: cores in billionths, once two looks are far enough apart. */
export interface UsageNow extends ContainerUsage {
  nanoCores?: number;
}

/** Looks closer than this, ms, share an answer; a rate is taken over at least as much. */
const shortest = 1_000;
const leastForRate = 5_000;

interface Sample {
  at: number;
  cpuNanos: number;
}

/** The use of every container, for whoever asks: the runtime is asked at most once a second. */
export class UsageMeter {
  readonly #runtime: Runtime;
  readonly #samples = new Map<string, { before: Sample | undefined; latest: Sample }>();
  #asked: { at: number; answer: Promise<UsageNow[]> } | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  now(): Promise<UsageNow[]> {
    const at = Date.now();
    if (!this.#asked || at - this.#asked.at > shortest) {
      const answer = this.#look();
      this.#asked = { at, answer };
      answer.catch(() => (this.#asked = undefined)); // the next one asks again
    }
    return this.#asked.answer;
  }

  async #look(): Promise<UsageNow[]> {
    const usages = await this.#runtime.usage();
    const ids = new Set(usages.map(({ id }) => id));
    for (const id of this.#samples.keys()) if (!ids.has(id)) this.#samples.delete(id);
    return usages.map((usage) => ({ ...usage, ...this.#rate(usage) }));
  }

  #rate({ id, at, cpuNanos }: ContainerUsage): { nanoCores?: number } {
    const sample = { at, cpuNanos };
    const known = this.#samples.get(id) ?? { before: undefined, latest: sample };
    if (at - known.latest.at >= leastForRate) [known.before, known.latest] = [known.latest, sample];
    this.#samples.set(id, known);
    const { before } = known;
    if (!before || at <= before.at) return {};
    return { nanoCores: Math.max(0, Math.round(((cpuNanos - before.cpuNanos) * 1000) / (at - before.at))) };
  }
}
