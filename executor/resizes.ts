import type { Container, Pod, ResourceRequirements } from '../api/kinds/pod.ts';
import { formatBytes, formatMilli, milli, quantity } from '../api/quantity.ts';
import { equal } from '../lib/equal.ts';
import type { Kubelet } from './kubelet.ts';
import { type Stop, latestOf } from './plan.ts';
import { makePodCgroup, widenPodCgroup } from './pod-cgroups.ts';
import { containerResources, podLimits } from './resources.ts';
import type { PodLimits, RuntimePod } from './runtime.ts';

/** How a resize stands, where it is not done: the condition that says so. */
export interface ResizeState {
  type: 'PodResizePending' | 'PodResizeInProgress';
  reason: 'Infeasible' | 'Error';
  message: string;
}

type Granted = ReadonlyMap<string, ResourceRequirements>;

/** Cpu in thousandths, memory in bytes. */
interface Sum {
  cpu: number;
  memory: number;
}

/**
 * Cpu and memory of one pod, which may be changed while it runs. A Mesos task cannot grow, so the requests of the containers
 * together stay within what they were when the pod came; limits are free.
 */
export class Resizes {
  readonly #kubelet: Kubelet;
  /** What each container may have, by name. */
  readonly #granted = new Map<string, ResourceRequirements>();
  /** What runs has, by container id. */
  readonly #applied = new Map<string, ResourceRequirements>();
  /** What the pod as a whole has. */
  #limits: PodLimits | undefined;
  #most: Sum | undefined;
  #state: ResizeState | undefined;

  constructor(kubelet: Kubelet) {
    this.#kubelet = kubelet;
  }

  get state(): ResizeState | undefined {
    return this.#state;
  }

  get granted(): Granted {
    return this.#granted;
  }

  get applied(): Granted {
    return this.#applied;
  }

  /** The container as it may be started. */
  start(container: Container): Container {
    const resources = this.#granted.get(container.name);
    return resources ? { ...container, resources } : container;
  }

  /** Changes what runs to what the pod asks for now; answers the containers that have to be started anew for it. */
  async follow(pod: Pod, runtime: RuntimePod | undefined): Promise<Stop[]> {
    this.#grant(pod);
    const running = [...latestOf(runtime).values()].filter((c) => c.state === 'running');
    const ids = new Set(running.map(({ id }) => id));
    for (const id of this.#applied.keys()) if (!ids.has(id)) this.#applied.delete(id);
    const stops: Stop[] = [];
    const { cgroupParent } = this.#kubelet;
    const whole = withResources(pod, this.#granted);
    const isStale = cgroupParent !== '' && !equal(podLimits(whole), this.#limits);
    if (isStale && this.#limits) await widenPodCgroup(pod, cgroupParent);
    for (const container of running) {
      const spec = resizable(pod).find(({ name }) => name === container.name);
      const wanted = this.#granted.get(container.name);
      if (!spec || !wanted) continue;
      const has = this.#applied.get(container.id) ?? written(pod, container.name, container.id) ?? wanted;
      this.#applied.set(container.id, has);
      if (equal(has, wanted)) continue;
      if (needsRestart(spec, has, wanted))
        stops.push({ container, message: `Container ${container.name} resize requires restart` });
      else await this.#apply(pod, { ...spec, resources: wanted }, container.id);
    }
    // With its containers at their new limits the pod as a whole may have its own.
    if (isStale && stops.length === 0 && !this.#state) {
      try {
        await makePodCgroup(whole, cgroupParent);
        this.#limits = podLimits(whole);
      } catch (error) {
        this.#state = { type: 'PodResizeInProgress', reason: 'Error', message: (error as Error).message };
      }
    }
    return stops;
  }

  #grant(pod: Pod): void {
    const containers = resizable(pod);
    const before = (c: Container) => this.#granted.get(c.name) ?? allocated(pod, c) ?? c.resources ?? {};
    this.#most ??= sumOf(containers.map(before));
    const asked = sumOf(containers.map(({ resources = {} }) => resources));
    const fits = asked.cpu <= this.#most.cpu && asked.memory <= this.#most.memory;
    const { cpu, memory } = this.#most;
    const message = `the pod's Mesos task has cpu ${formatMilli(cpu)} and memory ${formatBytes(memory)}, and a task cannot grow`;
    this.#state = fits ? undefined : { type: 'PodResizePending', reason: 'Infeasible', message };
    for (const c of containers) this.#granted.set(c.name, fits ? (c.resources ?? {}) : before(c));
  }

  async #apply(pod: Pod, container: Container, id: string): Promise<void> {
    const { runtime, allocatable } = this.#kubelet;
    try {
      await runtime.resize(id, containerResources(pod, container, allocatable.memory));
      this.#applied.set(id, container.resources ?? {});
    } catch (error) {
      this.#state = { type: 'PodResizeInProgress', reason: 'Error', message: (error as Error).message };
    }
  }
}

const withResources = (pod: Pod, granted: Granted): Pod => {
  const given = (c: Container): Container => ({ ...c, resources: granted.get(c.name) ?? c.resources ?? {} });
  const { containers, initContainers } = pod.spec;
  const inits = initContainers ? { initContainers: initContainers.map(given) } : {};
  return { ...pod, spec: { ...pod.spec, containers: containers.map(given), ...inits } };
};

const resizable = ({ spec }: Pod): Container[] => [
  ...spec.containers,
  ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
];

const statusOf = ({ status = {} }: Pod, name: string) =>
  [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find((c) => c.name === name);

const allocated = (pod: Pod, { name, resources }: Container): ResourceRequirements | undefined => {
  const requests = statusOf(pod, name)?.allocatedResources;
  return requests ? { ...resources, requests } : undefined;
};

/** What an earlier executor says that this very container has. */
function written(pod: Pod, name: string, id: string): ResourceRequirements | undefined {
  const found = statusOf(pod, name);
  return found?.containerID?.endsWith(`//${id}`) ? found.resources : undefined;
}

const sumOf = (all: readonly ResourceRequirements[]): Sum => ({
  cpu: all.reduce((sum, { requests }) => sum + milli(requests?.cpu ?? '0'), 0),
  memory: all.reduce((sum, { requests }) => sum + quantity(requests?.memory ?? '0'), 0),
});

function needsRestart(
  { resizePolicy = [] }: Container,
  has: ResourceRequirements,
  wanted: ResourceRequirements,
): boolean {
  const changes = (name: string) =>
    has.limits?.[name] !== wanted.limits?.[name] || has.requests?.[name] !== wanted.requests?.[name];
  return resizePolicy.some(
    ({ resourceName, restartPolicy }) => restartPolicy === 'RestartContainer' && changes(resourceName),
  );
}
