import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@grpc/grpc-js';
import type { CSINodeDriver } from '../../api/kinds/csi-node.ts';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import type { CsiState } from './csi-node.ts';
import { type Call, connect, services, unary, wordsOf } from '../grpc.ts';

/** A CSI driver whose node service answers here. */
export interface CsiPlugin {
  name: string;
  node: Call;
  /** `STAGE_UNSTAGE_VOLUME` … */
  can: ReadonlySet<string>;
  about: CSINodeDriver;
  /** Where it sees the node: `topology.kubernetes.io/zone` … */
  topology: Record<string, string>;
}

export interface CsiPluginsOptions {
  /** Where plugins put their sockets of registration. */
  directory: string;
  /** All drivers that are registered, each time they have changed. */
  changed(state: CsiState): void;
  log: Logger;
}

interface Known extends CsiPlugin {
  client: Client;
}
interface PluginInfo {
  type: string;
  name: string;
  endpoint: string;
  supported_versions: string[];
}
interface NodeInfo {
  node_id: string;
  max_volumes_per_node: number;
  accessible_topology: { segments: Record<string, string> } | null;
}

const lookAgain = 10_000;
const timeoutMs = 10_000;
const registration = services(new URL('registration.proto', import.meta.url), 'pluginregistration').Registration!;
const csiNode = services(new URL('csi.proto', import.meta.url), 'csi.v1').Node!;

/**
 * The CSI drivers of this node: each puts a socket into a directory, over which it is asked who it is and told whether it
 * was taken. Its socket gone, so is the driver. https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
 */
export class CsiPlugins {
  readonly #options: CsiPluginsOptions;
  /** By the name of the socket. */
  readonly #known = new Map<string, Known>();
  #wake = new AbortController();
  #watcher: FSWatcher | undefined;
  /** Said already. */
  #isDeaf = false;

  constructor(options: CsiPluginsOptions) {
    this.#options = options;
  }

  /** Resolves when those that are there already are registered, or were asked in vain. */
  async start(signal: AbortSignal): Promise<{ closed: Promise<void> }> {
    await this.#look(signal);
    return { closed: this.#follow(signal) };
  }

  find(name: string): CsiPlugin | undefined {
    return [...this.#known.values()].find((plugin) => plugin.name === name);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(lookAgain, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined);
      this.#wake = new AbortController();
      if (!signal.aborted) await this.#look(signal);
    }
    for (const { client } of this.#known.values()) client.close();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { directory, log } = this.#options;
    try {
      await mkdir(directory, { recursive: true, mode: 0o750 });
      this.#watch(signal);
      const entries = await readdir(directory, { withFileTypes: true });
      const sockets = entries.filter((entry) => entry.isSocket()).map(({ name }) => name);
      const gone = [...this.#known.keys()].filter((name) => !sockets.includes(name));
      for (const name of gone) this.#forget(name);
      const fresh = sockets.filter((name) => !this.#known.has(name));
      const came = await Promise.all(fresh.map((name) => this.#register(name, signal)));
      if (gone.length > 0 || came.includes(true)) this.#tell();
      this.#isDeaf = false;
    } catch (err) {
      if (!signal.aborted) log[this.#isDeaf ? 'debug' : 'warn']({ err, directory }, 'CSI drivers cannot be looked for');
      this.#isDeaf = true;
    }
  }

  #watch(signal: AbortSignal): void {
    if (this.#watcher) return;
    const watcher = watch(this.#options.directory, { signal }, () => this.#wake.abort());
    this.#watcher = watcher.on('error', () => {
      watcher.close();
      this.#watcher = undefined;
    });
  }

  #forget(socket: string): void {
    const plugin = this.#known.get(socket);
    this.#known.delete(socket);
    plugin?.client.close();
    this.#options.log.info({ driver: plugin?.name }, 'a CSI driver has left');
  }

  /** True when it was taken. What does not answer is asked again at the next look. */
  async #register(socket: string, signal: AbortSignal): Promise<boolean> {
    const { directory, log } = this.#options;
    const client = connect(registration, join(directory, socket));
    const ask = unary(client, registration);
    try {
      const info = await ask<PluginInfo>('GetInfo', {}, { timeoutMs, signal });
      if (info.type !== 'CSIPlugin') return false;
      const error = await this.#take(socket, info, signal).catch(wordsOf);
      await ask('NotifyRegistrationStatus', { plugin_registered: !error, error: error ?? '' }, { timeoutMs, signal });
      if (error) log.warn({ driver: info.name, why: error }, 'a CSI driver cannot be used');
      else log.info({ driver: info.name }, 'a CSI driver is registered');
      return !error;
    } catch (err) {
      log.debug({ err, socket }, 'a plugin does not answer; trying again');
      return false;
    } finally {
      client.close();
    }
  }

  /** Answers what is wrong with it. */
  async #take(socket: string, info: PluginInfo, signal: AbortSignal): Promise<string | undefined> {
    const { name, endpoint, supported_versions: versions } = info;
    if (!versions.some((version) => /^v?1(\.|$)/.test(version)))
      return `driver ${name} speaks CSI ${versions.join(', ')}; this node needs version 1`;
    if (this.find(name)) return `another driver is registered as ${name}`;
    const client = connect(csiNode, endpoint);
    try {
      const node = unary(client, csiNode);
      const about = await node<NodeInfo>('NodeGetInfo', {}, { timeoutMs, signal });
      const { capabilities } = await node<{ capabilities: { rpc: { type: string } | null }[] }>(
        'NodeGetCapabilities',
        {},
        { timeoutMs, signal },
      );
      const can = new Set(capabilities.map(({ rpc }) => rpc?.type ?? ''));
      this.#known.set(socket, {
        name,
        client,
        node,
        can,
        about: driverOf(name, about),
        topology: about.accessible_topology?.segments ?? {},
      });
      return undefined;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  #tell(): void {
    const all = [...this.#known.values()];
    const topology = Object.assign({}, ...all.map((plugin) => plugin.topology)) as Record<string, string>;
    this.#options.changed({ drivers: all.map(({ about }) => about), topology });
  }
}

const driverOf = (
  name: string,
  { node_id, max_volumes_per_node: most, accessible_topology: at }: NodeInfo,
): CSINodeDriver => ({
  name,
  nodeID: node_id,
  topologyKeys: Object.keys(at?.segments ?? {}),
  ...(most > 0 ? { allocatable: { count: most } } : {}),
});
