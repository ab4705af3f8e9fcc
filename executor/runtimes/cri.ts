import { existsSync, renameSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Duplex, PassThrough } from 'node:stream';
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
import { Changes, type ChangesOptions } from './changes.ts';
import { isLate, wordsOf } from '../grpc.ts';
import { cgroupDriverOf } from './cri-cgroup-driver.ts';
import { type CriClient, connectCri } from './cri-client.ts';
import { containerConfig, linuxResources, sandboxConfig } from './cri-config.ts';
import { labels } from './labels.ts';
import { CriExits } from './cri-exits.ts';
import { CriImages } from './cri-images.ts';
import { CriPods, type Sandbox } from './cri-pods.ts';
import { type CriStats, usageOf } from './cri-usage.ts';
import { streamCommand, streamPort } from './cri-streams.ts';
import { logLimits, setAside } from './log-rotation.ts';

export interface CriRuntimeOptions {
  /** `unix:///run/containerd/containerd.sock`. */
  socket: string;
  /** Marks our pods; two executors on one runtime must differ in it. */
  owner: string;
  /** Address of pods on the node's network. */
  nodeIp: string;
  /** Size at which a container's log is set aside, bytes, and how often that is looked at, ms. */
  maxLogBytes?: number;
  logCheck?: number;
  log: Logger;
}

interface Named {
  runtime_name: string;
  runtime_version: string;
}
/** Of the runtime itself: RuntimeReady, NetworkReady. */
interface Condition {
  type: string;
  status: boolean;
  reason: string;
  message: string;
}

interface ExecSync {
  stdout: Buffer;
  stderr: Buffer;
  exit_code: number;
}

/** A command without a limit of its own: a hook, which the grace of its pod bounds. */
const longestCommand = 24 * 3_600_000;
const longestOutput = 16 * 1024;
const stopTries = 5;
const soon = { timeoutMs: 10_000 };

/**
 * Pods on a runtime that speaks CRI v1 (containerd, CRI-O). Containers and sandboxes belong to the runtime and outlive
 * the executor; labels tell the next one which are its own.
 */
export class CriRuntime implements Runtime {
  readonly name: string;
  readonly isolates = true;
  readonly cgroupDriver: CgroupDriver | undefined;
  readonly #version: string;
  readonly #options: CriRuntimeOptions;
  readonly #cri: CriClient;
  readonly images: CriImages;
  readonly #pods: CriPods;
  readonly #changes: Changes;
  readonly #rotating: NodeJS.Timeout;

  /** Rejects when nothing that speaks CRI v1 answers at the socket. */
  static async open(options: CriRuntimeOptions): Promise<CriRuntime> {
    const cri = connectCri(options.socket);
    try {
      const version = await cri.runtime<Named>('Version', {}, soon);
      return new CriRuntime(options, cri, version, await cgroupDriverOf(cri));
    } catch (error) {
      cri.close();
      throw new Error(`no container runtime answers at ${options.socket}: ${wordsOf(error)}`, { cause: error });
    }
  }

  private constructor(options: CriRuntimeOptions, cri: CriClient, named: Named, cgroupDriver?: CgroupDriver) {
    this.name = named.runtime_name;
    this.#version = named.runtime_version;
    this.cgroupDriver = cgroupDriver;
    this.#options = options;
    this.#cri = cri;
    this.#pods = new CriPods(cri, options);
    this.images = new CriImages(cri, this.name, this.#version);
    const events: ChangesOptions['events'] = (listener, failed) => {
      const exits = new CriExits((containerId) => this.#pods.isOver(containerId), listener);
      const following = cri.events((ended) => {
        listener();
        if (ended !== undefined) exits.ended(ended);
      }, failed);
      const cancel = () => {
        exits.close();
        following.cancel();
      };
      return { cancel };
    };
    this.#changes = new Changes({ events, list: () => this.pods(), log: options.log });
    this.#rotating = setInterval(() => void this.#rotateLogs(), options.logCheck ?? 10_000);
  }

  version(): Promise<RuntimeVersion> {
    return Promise.resolve({ containerRuntimeVersion: `${this.name}://${this.#version}` });
  }

  async unready(): Promise<string | undefined> {
    try {
      const { status } = await this.#cri.runtime<{ status: { conditions: Condition[] } }>('Status', {}, soon);
      const bad = status.conditions.filter((one) => !one.status);
      const words = bad.map(({ type, reason, message }) => `${type}=false reason:${reason} message:${message}`);
      return words.length > 0 ? `container runtime is not ready: ${words.join(', ')}` : undefined;
    } catch (error) {
      return `container runtime is down: ${wordsOf(error)}`;
    }
  }

  async setPodCidr(cidr: string): Promise<void> {
    await this.#cri.runtime('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: cidr } } });
  }

  pods(): Promise<RuntimePod[]> {
    return this.#pods.all();
  }

  pod(uid: string): Promise<RuntimePod | undefined> {
    return this.#pods.one(uid);
  }

  async createSandbox(spec: SandboxSpec, signal?: AbortSignal): Promise<{ id: string } & Addresses> {
    const config = sandboxConfig(spec, this.#options.owner);
    const { pod_sandbox_id: id } = await this.#cri
      .runtime<{ pod_sandbox_id: string }>(
        'RunPodSandbox',
        { config, runtime_handler: spec.runtimeHandler },
        signal ? { signal } : {},
      )
      .catch((error: unknown) => {
        throw new StartError('FailedCreatePodSandBox', wordsOf(error), { cause: error });
      });
    return { id, ...(await this.#pods.addressesOf(id)) };
  }

  async stopSandbox(id: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#cri.orMissing('StopPodSandbox', { pod_sandbox_id: id });
        return;
      } catch (error) {
        // containerd now and then answers that its shim's connection is closed, right after an exit: it has only to be asked again.
        if (tries === stopTries) throw error;
        await delay(100 * tries);
      }
    }
  }

  async removeSandbox(id: string): Promise<void> {
    const status = await this.#cri.orMissing<{ status: Sandbox }>('PodSandboxStatus', { pod_sandbox_id: id });
    if (!status) return;
    const filter = {
      label_selector: { [labels.owner]: this.#options.owner, [labels.podUid]: status.status.metadata.uid },
    };
    const { items } = await this.#cri.runtime<{ items: Sandbox[] }>('ListPodSandbox', { filter });
    const old = items.filter((s) => s.metadata.attempt <= status.status.metadata.attempt);
    for (const sandbox of old) {
      await this.stopSandbox(sandbox.id);
      await this.#cri.orMissing('RemovePodSandbox', { pod_sandbox_id: sandbox.id });
    }
  }

  async usage(): Promise<ContainerUsage[]> {
    const filter = { label_selector: { [labels.owner]: this.#options.owner } };
    const { stats } = await this.#cri.runtime<{ stats: CriStats[] }>('ListContainerStats', { filter });
    const running = new Map([...this.#pods.containers].filter((c) => c.state === 'running').map((c) => [c.id, c]));
    return stats.flatMap((one) => usageOf(one, running.get(one.attributes.id)) ?? []);
  }

  async resize(containerId: string, resources: ContainerSpec['resources']): Promise<boolean> {
    await this.#cri
      .runtime('UpdateContainerResources', { container_id: containerId, linux: linuxResources(resources) })
      .catch((error: unknown) => {
        throw new Error(wordsOf(error), { cause: error });
      });
    return true;
  }

  async start(spec: ContainerSpec, signal?: AbortSignal): Promise<{ id: string }> {
    const { owner } = this.#options;
    const options = signal ? { signal } : {};
    const { container_id } = await this.#cri
      .runtime<{ container_id: string }>(
        'CreateContainer',
        {
          pod_sandbox_id: spec.sandboxId,
          config: containerConfig(spec, owner),
          sandbox_config: sandboxConfig(spec.sandbox, owner),
        },
        options,
      )
      .catch((error: unknown) => {
        throw new StartError('CreateContainerError', wordsOf(error), { cause: error });
      });
    await this.#cri.runtime('StartContainer', { container_id }, options).catch((error: unknown) => {
      throw new StartError('RunContainerError', wordsOf(error), { cause: error });
    });
    return { id: container_id };
  }

  async stop(containerId: string, graceSeconds: number): Promise<void> {
    await this.#cri.orMissing(
      'StopContainer',
      { container_id: containerId, timeout: Math.ceil(graceSeconds) },
      graceSeconds * 1000 + 120_000,
    );
  }

  async remove(containerId: string): Promise<void> {
    await this.#cri.orMissing('RemoveContainer', { container_id: containerId });
  }

  onChange(listener: (podUid: string) => void): void {
    this.#changes.listen(listener);
  }

  async exec(containerId: string, { command, ...streams }: ExecRequest): Promise<Exec> {
    const { url } = await this.#cri.runtime<{ url: string }>('Exec', {
      container_id: containerId,
      cmd: command,
      ...wanted(streams),
    });
    const asked = streams.stdin ?? streams.stdout ?? streams.stderr;
    return streamCommand(url, asked ? streams : { ...streams, stdout: new PassThrough().resume() });
  }

  async run(
    containerId: string,
    command: string[],
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Ran | 'late'> {
    const timeout = timeoutMs === undefined ? 0 : Math.max(1, Math.ceil(timeoutMs / 1000));
    const request = { container_id: containerId, cmd: command, timeout };
    try {
      const {
        stdout,
        stderr,
        exit_code: exitCode,
      } = await this.#cri.runtime<ExecSync>('ExecSync', request, {
        timeoutMs: timeoutMs === undefined ? longestCommand : timeoutMs + 5_000,
        signal,
      });
      const output = Buffer.concat([stdout, stderr]).subarray(0, longestOutput);
      return { exitCode, output: output.toString('utf8') };
    } catch (error) {
      if (isLate(error)) return 'late';
      signal.throwIfAborted();
      throw new Error(wordsOf(error), { cause: error });
    }
  }

  async attach(containerId: string, streams: Omit<ExecRequest, 'command'>): Promise<Exec> {
    const { url } = await this.#cri.runtime<{ url: string }>('Attach', {
      container_id: containerId,
      ...wanted(streams),
    });
    return streamCommand(url, streams);
  }

  async connect(sandboxId: string, port: number): Promise<Duplex> {
    const { url } = await this.#cri.runtime<{ url: string }>('PortForward', {
      pod_sandbox_id: sandboxId,
      port: [port],
    });
    return streamPort(url, port);
  }

  /** Leaves every container running. */
  async close(): Promise<void> {
    clearInterval(this.#rotating);
    await this.#changes.close();
    this.#cri.close();
  }

  /** The runtime writes logs but does not bound them. */
  async #rotateLogs(): Promise<void> {
    for (const { id, state, logPath } of this.#pods.containers) {
      if (state !== 'running' || !logPath) continue;
      const found = await stat(logPath).catch(() => undefined);
      if (!found || found.size < (this.#options.maxLogBytes ?? logLimits.maxBytes)) continue;
      const aside = setAside(logPath, logLimits.keep);
      await this.#cri.runtime('ReopenContainerLog', { container_id: id }).catch((err: unknown) => {
        if (!existsSync(logPath)) renameSync(aside, logPath); // it writes on in the old file, so that has to keep the name
        this.#options.log.debug({ err, container: id }, 'container log could not be rotated');
      });
    }
  }
}

/** At least one stream has to be asked for. */
const wanted = ({ stdin, stdout, stderr, tty }: Omit<ExecRequest, 'command'>) => ({
  tty,
  stdin: stdin !== undefined,
  stdout: stdout !== undefined || (stdin === undefined && stderr === undefined),
  stderr: stderr !== undefined && !tty,
});
