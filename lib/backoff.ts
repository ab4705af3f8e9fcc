/** Who ran for so long before failing (milliseconds) did not fail at starting: his backoff begins anew. */
export const healthyMs = 30_000;

export interface BackoffOptions {
  /** First wait, milliseconds. */
  first: number;
  /** Longest wait, milliseconds. */
  max: number;
  /** Growth per failure; 2 unless told. */
  factor?: number;
}

/**
 * Truncated exponential backoff with equal jitter: `next()` gives the wait before the next try
 * (between half of the step and the whole of it), `reset()` after a success.
 */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = { factor: 2, ...options };
    this.#random = random;
  }

  next(): number {
    const { first, max, factor } = this.#options;
    const step = Math.min(max, first * factor ** this.#failures);
    this.#failures += 1;
    return step / 2 + (step / 2) * this.#random();
  }

  reset(): void {
    this.#failures = 0;
  }
}
