import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import type { CallLaunchContainer, ContainerSessionCall, ResponseWaitContainer } from '../../mesos/agent.ts';
import {
  type ContainerInput,
  type ContainerSession,
  attachContainerInput,
  openContainerSession,
} from '../../mesos/container-io.ts';
import { MesosError } from '../../mesos/errors.ts';
import { type OperatorOptions, askAgent } from '../../mesos/operator.ts';
import type { ContainerID, ResourceStatistics } from '../../mesos/types.ts';

/** What the agent's containerizer can do, by its flags. */
export interface Containerizer {
  version: string;
  /** It makes containers of Docker images. */
  images: boolean;
  /** Its containers have mounts of their own, and directories of the machine in them. */
  hostPaths: boolean;
  /** They have limits of their own. */
  limits: boolean;
  /** They have process ids of their own. */
  pids: boolean;
}

/** A nested container as the agent shows it. */
export interface Shown {
  pid: number | undefined;
  statistics: ResourceStatistics | undefined;
}

const again = 500;

/** The agent that our executor runs on, as far as containers below ours go. */
export class MesosAgent {
  readonly #options: OperatorOptions;
  /** Of our executor. */
  readonly #parent: ContainerID;

  constructor(options: OperatorOptions, containerId: string) {
    this.#options = options;
    this.#parent = { value: containerId };
  }

  /** Throws MesosError. Where executors may not see the agent's flags (ACL view_flags), it is taken for the plainest. */
  async containerizer(log: Logger): Promise<Containerizer> {
    const { get_flags } = await askAgent(this.#options, { type: 'GET_FLAGS' }).catch((err: unknown) => {
      if (!(err instanceof MesosError && err.code === 'forbidden')) throw err;
      log.warn(
        { err },
        'the agent does not show its flags to executors: pods are commands of the machine, without limits',
      );
      return { get_flags: { flags: [] } };
    });
    const { get_version } = await askAgent(this.#options, { type: 'GET_VERSION' });
    const flag = (name: string) => get_flags.flags?.find((one) => one.name === name)?.value ?? '';
    const isolation = flag('isolation').split(',');
    return {
      version: get_version.version_info.version,
      images: flag('image_providers').split(',').includes('DOCKER') && isolation.includes('docker/runtime'),
      hostPaths: isolation.includes('filesystem/linux') && isolation.includes('volume/host_path'),
      limits: isolation.some((name) => name.startsWith('cgroups/')),
      pids: isolation.includes('namespaces/pid'),
    };
  }

  async launch(id: string, what: Omit<CallLaunchContainer, 'container_id'>): Promise<void> {
    await askAgent(this.#options, {
      type: 'LAUNCH_CONTAINER',
      launch_container: { container_id: this.#idOf(id), ...what },
    });
  }

  /** A command whose container ends with the connection: below ours, or in one of our containers. */
  session(id: string, inside: string | undefined, what: ContainerSessionCall): Promise<ContainerSession> {
    const container_id = inside === undefined ? this.#idOf(id) : { value: id, parent: this.#idOf(inside) };
    return openContainerSession(this.#options, { container_id, ...what });
  }

  input(id: string, inside?: string): ContainerInput {
    const container = inside === undefined ? this.#idOf(id) : { value: id, parent: this.#idOf(inside) };
    return attachContainerInput(this.#options, container);
  }

  /** How it ended; undefined when the agent knows nothing of it. An agent that is away is waited for. */
  async ended(id: string, inside: string | undefined, signal: AbortSignal): Promise<ResponseWaitContainer | undefined> {
    const container_id = inside === undefined ? this.#idOf(id) : { value: id, parent: this.#idOf(inside) };
    for (;;)
      try {
        const options = { ...this.#options, headersTimeout: 0, signal };
        return (await askAgent(options, { type: 'WAIT_CONTAINER', wait_container: { container_id } })).wait_container;
      } catch (error) {
        signal.throwIfAborted();
        if (isMissing(error)) return undefined;
        if (error instanceof MesosError && !error.retryable) throw error;
        await delay(again, signal);
      }
  }

  /** False when there is nothing to signal. */
  async kill(id: string, signal: number): Promise<boolean> {
    try {
      const container_id = this.#idOf(id);
      await askAgent(this.#options, { type: 'KILL_CONTAINER', kill_container: { container_id, signal } });
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** With its sandbox. Absent is fine, alone or with the executor's container. */
  async remove(id: string, inside?: string): Promise<void> {
    const container_id = inside === undefined ? this.#idOf(id) : { value: id, parent: this.#idOf(inside) };
    try {
      await askAgent(this.#options, { type: 'REMOVE_CONTAINER', remove_container: { container_id } });
    } catch (error) {
      if (!(error instanceof MesosError && error.message.endsWith('Unknown root container'))) throw error;
    }
  }

  /** Those directly below our executor's, by id. */
  async containers(): Promise<Map<string, Shown>> {
    const { get_containers } = await askAgent(this.#options, {
      type: 'GET_CONTAINERS',
      get_containers: { show_nested: true },
    });
    const found = new Map<string, Shown>();
    for (const { container_status, resource_statistics } of get_containers.containers ?? []) {
      const { container_id, executor_pid } = container_status ?? {};
      if (container_id?.parent?.value === this.#parent.value && !container_id.parent.parent)
        found.set(container_id.value, { pid: executor_pid, statistics: resource_statistics });
    }
    return found;
  }

  #idOf(value: string): ContainerID {
    return { value, parent: this.#parent };
  }
}

/** Nobody is there any more to be attached to: Mesos has no status of its own for that. */
export const isOver = (error: unknown): boolean =>
  error instanceof MesosError &&
  (error.status === 404 || (error.status === 500 && /Unknown container|I\/O switchboard/.test(error.message)));

const isMissing = (error: unknown): boolean => error instanceof MesosError && error.status === 404;
