import { writeFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import {
  type Addresses,
  type CgroupDriver,
  type ContainerSpec,
  type ContainerUsage,
  type Exec,
  type ExecRequest,
  type Ran,
  type Runtime,
  type RuntimePod,
  type RuntimeVersion,
  type SandboxSpec,
  StartError,
} from '../runtime.ts';
import { Changes } from './changes.ts';
import { connectDocker, isMissing, orGone, wordsOf } from './docker-client.ts';
import {
  type DockerPlace,
  containerOptions,
  dockerLabels,
  dockerResources,
  pauseOptions,
  sandboxType,
} from './docker-config.ts';
import { followEvents } from './docker-events.ts';
import { DockerImages } from './docker-images.ts';
import { type Found, addressesIn, foundIn, podsOf } from './docker-pods.ts';
import { attachToContainer, execInContainer, isOf, runInContainer } from './docker-streams.ts';
import { WrittenBytes, usageOf } from './docker-usage.ts';
import { labels } from './labels.ts';
import { logLimits } from './log-rotation.ts';
import { dial, dialIn } from './netns-dial.ts';
import { lowestOomScore } from './security.ts';

export interface DockerRuntimeOptions {
  /** `unix:///var/run/docker.sock`. */
  host: string;
  /** Marks our pods; two executors on one Docker must differ in it. */
  owner: string;
  /** Address of pods on the node's network. */
  nodeIp: string;
  /** Docker's network for the others. */
  network: string;
  /** The image of sandboxes. */
  pauseImage: string;
  /** Size at which Docker begins a new log file of a container, bytes. */
  maxLogBytes?: number;
  log: Logger;
}

/**
 * Pods on the Docker Engine of this machine. A container that only waits (`pause`) has the network, the IPC and, where they
 * are shared, the processes of a pod; the others join it. All containers belong to Docker and outlive the executor; labels tell the
 * next one which are its own. Logs are Docker's own files.
 */
export class DockerRuntime implements Runtime {
  readonly name = 'docker';
  readonly isolates = true;
  readonly cgroupDriver: CgroupDriver | undefined;
  readonly #docker: Docker;
  readonly #options: DockerRuntimeOptions;
  readonly #version: string;
  readonly #place: DockerPlace;
  readonly images: DockerImages;
  readonly #changes: Changes;
  readonly #written: WrittenBytes;
  /** An exited container never changes again, a running one not until it exits: asked once per state. */
  #found = new Map<string, Found>();

  /** Rejects when no Docker answers there. */
  static async open(options: DockerRuntimeOptions): Promise<DockerRuntime> {
    const docker = connectDocker(options.host);
    try {
      const info: { ServerVersion: string; CgroupDriver: string } = await docker.info();
      return new DockerRuntime(options, docker, info.ServerVersion, info.CgroupDriver);
    } catch (error) {
      throw new Error(`no Docker answers at ${options.host}: ${wordsOf(error)}`, { cause: error });
    }
  }

  private constructor(options: DockerRuntimeOptions, docker: Docker, version: string, cgroupDriver: string) {
    const { owner, network, pauseImage, log } = options;
    this.#docker = docker;
    this.#options = options;
    this.#version = version;
    // Without root it has `none`.
    this.cgroupDriver = cgroupDriver === 'systemd' || cgroupDriver === 'cgroupfs' ? cgroupDriver : undefined;
    this.images = new DockerImages(docker, pauseImage);
    this.#written = new WrittenBytes(docker, this.#ours);
    this.#place = {
      ...{ owner, network, pauseImage },
      takesCgroupParent: this.cgroupDriver !== undefined,
      lowestOomScore: lowestOomScore(),
      maxLogBytes: options.maxLogBytes ?? logLimits.maxBytes,
    };
    if (!this.#place.takesCgroupParent)
      log.warn(
        { cgroupDriver },
        'this Docker puts containers into no cgroup that it is told, so neither what Mesos gave nor the limits of a pod bound them together',
      );
    this.#changes = new Changes({
      events: (listener, ended) => followEvents(docker, this.#ours, listener, ended),
      list: () => this.pods(),
      log,
    });
  }

  version(): Promise<RuntimeVersion> {
    return Promise.resolve({ containerRuntimeVersion: `docker://${this.#version}` });
  }

  async unready(): Promise<string | undefined> {
    const over = new AbortController();
    const late = delay(10_000, over.signal).then(() => {
      throw new Error('it does not answer');
    });
    try {
      await Promise.race([this.#docker.ping(), late]);
      return undefined;
    } catch (error) {
      return `Docker is down: ${(error as Error).message}`;
    } finally {
      over.abort();
    }
  }

  async pods(): Promise<RuntimePod[]> {
    const found = await this.#find(this.#ours);
    // What was only created may turn out not to start, and does not change its state by that.
    this.#found = new Map([...found].filter(([key]) => !key.endsWith(' created')));
    return podsOf([...found.values()]);
  }

  async pod(uid: string): Promise<RuntimePod | undefined> {
    const found = await this.#find([...this.#ours, `${labels.podUid}=${uid}`]);
    return podsOf([...found.values()])[0];
  }

  /** By id and state. */
  async #find(label: string[]): Promise<Map<string, Found>> {
    const listed = await this.#docker.listContainers({ all: true, filters: { label } });
    const found = new Map<string, Found>();
    await Promise.all(
      listed.map(async ({ Id: id, State }) => {
        const key = `${id} ${State}`;
        const known = this.#found.get(key) ?? (await this.#inspect(id));
        if (known) found.set(key, known);
      }),
    );
    return found;
  }

  async createSandbox(spec: SandboxSpec, signal?: AbortSignal): Promise<{ id: string } & Addresses> {
    try {
      await this.images.pull(this.#options.pauseImage, 'IfNotPresent', [], signal);
      const pause = await this.#docker.createContainer(pauseOptions(spec, this.#place));
      try {
        await pause.start();
        const info = await pause.inspect();
        if (spec.dns) await writeFile(info.ResolvConfPath, resolvConf(spec.dns));
        return { id: pause.id, ...addressesIn(info, this.#options.nodeIp) };
      } catch (error) {
        await orGone(pause.remove({ force: true, v: true }));
        throw error;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw new StartError('FailedCreatePodSandBox', wordsOf(error), { cause: error });
    }
  }

  async stopSandbox(id: string): Promise<void> {
    const containers = await this.#containersIn(id);
    await Promise.all(containers.map(({ Id }) => this.stop(Id, 0)));
    await this.stop(id, 0);
  }

  /** With earlier ones of the same pod. One whose own container is lost may have left others. */
  async removeSandbox(id: string): Promise<void> {
    const listed = await this.#docker.listContainers({ all: true, filters: { label: this.#ours } });
    const known = listed.find(({ Id, Labels }) => Id === id || Labels[dockerLabels.sandboxId] === id)?.Labels;
    if (!known) return;
    const old = listed.filter(
      ({ Labels }) =>
        Labels[labels.podUid] === known[labels.podUid] &&
        Number(Labels[dockerLabels.sandboxAttempt]) <= Number(known[dockerLabels.sandboxAttempt]),
    );
    const [sandboxes, containers] = [true, false].map((is) =>
      old.filter(({ Labels }) => (Labels[dockerLabels.type] === sandboxType) === is),
    );
    for (const ones of [containers, sandboxes]) await Promise.all((ones ?? []).map(({ Id }) => this.remove(Id)));
  }

  async start(spec: ContainerSpec): Promise<{ id: string }> {
    let container: Docker.Container;
    try {
      container = await this.#docker.createContainer(containerOptions(spec, this.#place));
    } catch (error) {
      throw new StartError('CreateContainerError', wordsOf(error), { cause: error });
    }
    await container.start().catch((error: unknown) => {
      throw new StartError('RunContainerError', wordsOf(error), { cause: error });
    });
    return { id: container.id };
  }

  async stop(containerId: string, graceSeconds: number): Promise<void> {
    await orGone(this.#docker.getContainer(containerId).stop({ t: Math.ceil(graceSeconds) }));
  }

  /** With the volumes that its image asked for. */
  async remove(containerId: string): Promise<void> {
    await orGone(this.#docker.getContainer(containerId).remove({ force: true, v: true }));
  }

  async usage(): Promise<ContainerUsage[]> {
    const running = [...this.#found.values()].flatMap(({ pod, container }) =>
      container?.state === 'running' ? [{ uid: pod.uid, ...container }] : [],
    );
    const written = this.#written.latest();
    const uses = await Promise.all(
      running.map(async ({ uid, id, name, startedAt }) => {
        const use = await this.#stats(id);
        const disk = written.get(id);
        return use ? [{ id, podUid: uid, name, startedAt, ...use, ...(disk === undefined ? {} : { disk }) }] : [];
      }),
    );
    return uses.flat();
  }

  async resize(containerId: string, resources: ContainerSpec['resources']): Promise<boolean> {
    await this.#docker
      .getContainer(containerId)
      .update(dockerResources(resources, true))
      .catch((error: unknown) => {
        throw new Error(wordsOf(error), { cause: error });
      });
    return true;
  }

  onChange(listener: (podUid: string) => void): void {
    this.#changes.listen(listener);
  }

  exec(containerId: string, request: ExecRequest): Promise<Exec> {
    return execInContainer(this.#docker.getContainer(containerId), request);
  }

  run(
    containerId: string,
    command: string[],
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Ran | 'late'> {
    return runInContainer(this.#docker.getContainer(containerId), command, timeoutMs, signal);
  }

  attach(containerId: string, streams: Omit<ExecRequest, 'command'>): Promise<Exec> {
    return attachToContainer(this.#docker.getContainer(containerId), streams);
  }

  /** To its loopback address, where we see its processes; else to the pod's own. */
  async connect(sandboxId: string, port: number): Promise<Duplex> {
    const info = await this.#docker.getContainer(sandboxId).inspect();
    if (!info.State.Running) throw new Error('the pod is gone');
    if (info.HostConfig.NetworkMode === 'host') return dial(port);
    if (isOf(info.State.Pid, sandboxId)) return dialIn(info.State.Pid, port);
    return dial(port, addressesIn(info, this.#options.nodeIp).ip);
  }

  async close(): Promise<void> {
    await this.#changes.close();
  }

  get #ours(): string[] {
    return [`${labels.owner}=${this.#options.owner}`];
  }

  #containersIn(sandboxId: string): Promise<Docker.ContainerInfo[]> {
    const label = [...this.#ours, `${dockerLabels.sandboxId}=${sandboxId}`];
    return this.#docker.listContainers({ all: true, filters: { label } });
  }

  async #inspect(id: string): Promise<Found | undefined> {
    try {
      const info = await this.#docker.getContainer(id).inspect();
      return foundIn(info, await this.images.reference(info.Image), this.#options.nodeIp);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw new Error(wordsOf(error), { cause: error });
    }
  }

  async #stats(id: string): Promise<ReturnType<typeof usageOf>> {
    try {
      return usageOf(await this.#docker.getContainer(id).stats({ stream: false, 'one-shot': true }));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw new Error(wordsOf(error), { cause: error });
    }
  }
}

/** In the order in which containerd writes it. */
const resolvConf = ({ nameservers, searches, options }: NonNullable<SandboxSpec['dns']>): string =>
  [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
