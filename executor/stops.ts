import type { Pod } from '../api/kinds/pod.ts';
import type { Kubelet } from './kubelet.ts';
import { containersOf } from './containers.ts';
import { type Stop, isSidecar, latestOf } from './plan.ts';
import { runHook } from './probes/hook.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';

/** What a container still has after its preStop hook, though the hook took all the time there was, seconds. */
const least = 2;

/**
 * Ends the containers of one pod, each with its preStop hook and its signal within the grace there is; a grace that gets
 * shorter meanwhile is heard.
 */
export class Stops {
  readonly #kubelet: Kubelet;
  readonly #pod: () => Pod;
  /** Seconds that a container has from now on. */
  readonly #grace: () => number;
  /** Hooks under way: by container id, what ends them. */
  readonly #hooks = new Map<string, AbortController>();
  /** Ids of those that are being stopped. */
  readonly #stopping = new Set<string>();

  constructor(kubelet: Kubelet, pod: () => Pod, grace: () => number) {
    this.#kubelet = kubelet;
    this.#pod = pod;
    this.#grace = grace;
  }

  /** Containers first; sidecars when they are gone, the last one first. */
  async all(runtime: RuntimePod | undefined): Promise<void> {
    const running = [...latestOf(runtime).values()].filter((c) => c.state !== 'exited');
    const sidecars = (this.#pod().spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
    await Promise.all(
      running.filter(({ name }) => !sidecars.includes(name)).map((container) => this.one({ container })),
    );
    for (const sidecar of sidecars.reverse()) {
      const container = running.find(({ name }) => name === sidecar);
      if (container) await this.one({ container });
    }
  }

  async one(stop: Stop): Promise<void> {
    this.#stopping.add(stop.container.id);
    try {
      await this.#stop(stop);
    } finally {
      this.#stopping.delete(stop.container.id);
    }
  }

  async #stop({ container, message, graceSeconds }: Stop): Promise<void> {
    const { apiserver, runtime } = this.#kubelet;
    const began = performance.now();
    const grace = Math.min(graceSeconds ?? Infinity, this.#grace());
    const words = message ?? `Stopping container ${container.name}`;
    if (container.state === 'running') apiserver.event(this.#pod(), 'Normal', 'Killing', words, container.name);
    const hooked = grace > 0 && container.state === 'running' && (await this.#preStop(container, grace));
    const left = Math.min(grace - (performance.now() - began) / 1000, this.#grace());
    await runtime.stop(container.id, hooked ? Math.max(least, left) : Math.max(0, left));
  }

  /** The grace has become shorter than `before`: what waits longer is told. */
  async hurry(before: number): Promise<void> {
    const now = this.#grace();
    if (this.#stopping.size === 0 || now >= before) return;
    for (const hook of this.#hooks.values()) setTimeout(() => hook.abort(), now * 1000).unref();
    const { runtime } = this.#kubelet;
    const all = latestOf(await runtime.pod(this.#pod().metadata.uid!));
    const waiting = [...all.values()].filter(
      ({ id, state }) => state === 'running' && this.#stopping.has(id) && !this.#hooks.has(id),
    );
    await Promise.all(waiting.map((c) => runtime.stop(c.id, now)));
  }

  /** True when there was a hook. */
  async #preStop(container: RuntimeContainer, grace: number): Promise<boolean> {
    const spec = containersOf(this.#pod()).find(({ name }) => name === container.name);
    const hook = spec?.lifecycle?.preStop;
    if (!hook) return false;
    const { runtime, apiserver } = this.#kubelet;
    const cut = new AbortController();
    const signal = AbortSignal.any([cut.signal, AbortSignal.timeout(Math.ceil(grace * 1000))]);
    this.#hooks.set(container.id, cut);
    try {
      const podIp = (await runtime.pod(this.#pod().metadata.uid!))?.sandbox.ip ?? '';
      await runHook(hook, { container: spec, containerId: container.id, podIp }, runtime, signal);
    } catch (error) {
      const words = signal.aborted ? 'it did not end within the grace period' : (error as Error).message;
      apiserver.event(this.#pod(), 'Warning', 'FailedPreStopHook', `PreStopHook failed: ${words}`, container.name);
    } finally {
      this.#hooks.delete(container.id);
    }
    return true;
  }
}
