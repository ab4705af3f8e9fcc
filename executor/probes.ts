import type { Container, Pod, Probe } from '../api/kinds/pod.ts';
import type { Kubelet } from './kubelet.ts';
import { latestOf } from './plan.ts';
import { type Check, check } from './probes/check.ts';
import { Prober } from './probes/prober.ts';
import type { Result } from './probes/tally.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

/** What holds of a container by its probes; without one it runs as well as it can. */
export interface Health {
  isStarted(container: RuntimeContainer): boolean;
  isReady(container: RuntimeContainer): boolean;
  /** The probe by which it has to be ended, and the grace that this gives it, seconds. */
  failed(container: RuntimeContainer): { kind: ProbeKind; graceSeconds: number | undefined } | undefined;
}

/** The state before a probe's first answer. */
const initially: Record<ProbeKind, Result | undefined> = {
  startup: undefined,
  liveness: 'success',
  readiness: 'failure',
};

/**
 * The probes of one pod: as its containers come and go, each of their probes is asked; `changed` is called when something
 * follows from an answer. A container that another executor left running keeps the state that was written for it.
 */
export class Probes implements Health {
  readonly #kubelet: Kubelet;
  readonly #pod: () => Pod;
  readonly #changed: () => void;
  /** By container id. */
  readonly #probers = new Map<string, Map<ProbeKind, Prober>>();

  constructor(kubelet: Kubelet, pod: () => Pod, changed: () => void) {
    this.#kubelet = kubelet;
    this.#pod = pod;
    this.#changed = changed;
  }

  /** Probes what runs and nothing else; in a pod that is ending only readiness still matters. */
  follow(runtime: RuntimePod | undefined, isEnding: boolean): void {
    const running = [...latestOf(runtime).values()].filter((c) => c.state === 'running');
    const ids = new Set(running.map(({ id }) => id));
    for (const id of this.#probers.keys()) if (!ids.has(id)) this.#stop(id);
    for (const container of running) {
      if (!this.#probers.has(container.id) && !isEnding) this.#start(container, runtime!.sandbox.ip);
      if (!isEnding) continue;
      for (const [kind, prober] of this.#probers.get(container.id) ?? []) if (kind !== 'readiness') prober.close();
    }
  }

  isStarted({ id, state }: RuntimeContainer): boolean {
    const startup = this.#probers.get(id)?.get('startup');
    return state === 'running' && (startup === undefined || startup.result === 'success');
  }

  isReady(container: RuntimeContainer): boolean {
    const readiness = this.#probers.get(container.id)?.get('readiness');
    return this.isStarted(container) && (readiness?.result ?? 'success') === 'success';
  }

  failed({ id }: RuntimeContainer): ReturnType<Health['failed']> {
    for (const kind of ['startup', 'liveness'] as const) {
      const prober = this.#probers.get(id)?.get(kind);
      if (prober?.result === 'failure') return { kind, graceSeconds: prober.probe.terminationGracePeriodSeconds };
    }
    return undefined;
  }

  close(): void {
    for (const id of this.#probers.keys()) this.#stop(id);
  }

  #start(container: RuntimeContainer, ip: string): void {
    const spec = [...this.#pod().spec.containers, ...(this.#pod().spec.initContainers ?? [])].find(
      ({ name }) => name === container.name,
    );
    const probes = new Map<ProbeKind, Prober>();
    this.#probers.set(container.id, probes);
    if (!spec) return;
    const wanted = { startup: spec.startupProbe, liveness: spec.livenessProbe, readiness: spec.readinessProbe };
    for (const kind of ['startup', 'liveness', 'readiness'] as const) {
      const probe = wanted[kind];
      if (probe) probes.set(kind, this.#prober(kind, probe, spec, container, ip));
    }
  }

  #prober(kind: ProbeKind, probe: Probe, spec: Container, container: RuntimeContainer, ip: string): Prober {
    const { runtime, apiserver, probeCounts, log } = this.#kubelet;
    const place = {
      container: spec,
      containerId: container.id,
      podIp: this.#pod().spec.hostNetwork ? this.#kubelet.nodeIps[0] : ip,
    };
    const word = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
    const { name: pod = '', namespace = '', uid: pod_uid = '' } = this.#pod().metadata;
    const labels = { probe_type: kind, container: spec.name, pod, namespace, pod_uid };
    const answered = ({ result, output, warning }: Check) => {
      probeCounts.add(labels, result === 'success' ? 'successful' : 'failed');
      if (result === 'success' && !warning) return;
      const [reason, words] = warning ? ['ProbeWarning', 'warning'] : ['Unhealthy', 'failed'];
      apiserver.event(this.#pod(), 'Warning', reason, `${word} probe ${words}: ${output}`, spec.name);
    };
    return new Prober({
      probe,
      startedAt: container.startedAt,
      initial: this.#written(container)[kind] ?? initially[kind],
      isDue: () => {
        if (this.failed(container)) return false; // it is being ended
        const startup = this.#probers.get(container.id)?.get('startup')?.result;
        return kind === 'startup' ? startup !== 'success' : this.isStarted(container);
      },
      check: (signal) => check(probe, place, runtime, signal),
      answered,
      failed: (err) => {
        probeCounts.add(labels, 'unknown');
        log.debug({ err, pod: this.#pod().metadata.name, container: spec.name }, `${kind} probe could not be made`);
      },
      turned: () => this.#changed(),
    });
  }

  /** What the pod's status says of this very container. */
  #written({ id, name }: RuntimeContainer): Partial<Record<ProbeKind, Result>> {
    const { containerStatuses = [], initContainerStatuses = [] } = this.#pod().status ?? {};
    const found = [...containerStatuses, ...initContainerStatuses].find((status) => status.name === name);
    if (!found?.containerID?.endsWith(`//${id}`)) return {};
    return { ...(found.started ? { startup: 'success' } : {}), ...(found.ready ? { readiness: 'success' } : {}) };
  }

  #stop(id: string): void {
    for (const prober of this.#probers.get(id)?.values() ?? []) prober.close();
    this.#probers.delete(id);
  }
}
