import type { Runtime, RuntimePod } from './runtime.ts';

/**
 * What the runtime has, asked for by many workers at once: those who ask while an answer is on its way share the next
 * one, so that each sees a state no older than its question and the runtime is asked one thing at a time.
 */
export class RuntimeView {
  readonly #runtime: Runtime;
  #asking: Promise<Map<string, RuntimePod>> | undefined;
  #next: Promise<Map<string, RuntimePod>> | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** By pod uid. */
  pods(): Promise<Map<string, RuntimePod>> {
    if (!this.#asking) return (this.#asking = this.#ask().finally(() => (this.#asking = undefined)));
    this.#next ??= this.#asking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.pods();
      });
    return this.#next;
  }

  async #ask(): Promise<Map<string, RuntimePod>> {
    return new Map((await this.#runtime.pods()).map((pod) => [pod.uid, pod]));
  }
}
