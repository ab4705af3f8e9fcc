import { kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { isAlreadyExists, isNotFound } from '../api/status.ts';
import { prefix } from '../api/kinds/names.ts';
import type { Client } from '../client/client.ts';
import type { Launch } from './effects.ts';
import type { KnownTask } from './tasks.ts';

/**
 * A record of an older km says nothing of ports, since its pods have none of those, and names the agent that all its tasks
 * are on beside them.
 */
type Recorded = Pick<KnownTask, 'id' | 'key' | 'uid' | 'rebound' | 'volumes'> &
  Partial<Pick<KnownTask, 'anyPorts' | 'agentId' | 'node'>>;

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

// Only names and data are needed here; what the kind means to the apiserver stands in api/kinds/config-map.ts.
const ConfigMap = kind<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});

const namespace = 'kube-system';
const launchLabel = `${prefix}launch`;

/** The name of a new record, unlike every other; two classes of pods keep theirs side by side. */
export const launchName = (isRevocable: boolean, now: number, serial: number): string =>
  `${isRevocable ? 'revocable-launch' : 'launch'}-${now.toString(36)}-${serial.toString(36)}`;

/**
 * What the framework must not forget, kept in the apiserver: its FrameworkID, and a record of the launches that leave
 * together, from before their ACCEPTs until all their pods are bound or given back.
 */
export class Records {
  readonly #client: Client;
  readonly #framework: string;

  constructor(client: Client, frameworkName: string) {
    this.#client = client;
    this.#framework = frameworkName;
  }

  get #idName(): string {
    return `km-framework-${this.#framework.toLowerCase()}`;
  }

  async frameworkId(signal?: AbortSignal): Promise<string> {
    try {
      const { data } = await this.#client.get(ConfigMap, { namespace, name: this.#idName }, signal);
      return data?.frameworkId ?? '';
    } catch (error) {
      if (isNotFound(error)) return '';
      throw error;
    }
  }

  async keepFrameworkId(frameworkId: string, signal?: AbortSignal): Promise<void> {
    const ref = { namespace, name: this.#idName };
    try {
      await this.#client.create(ConfigMap, { metadata: ref, data: { frameworkId } }, {}, signal);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      await this.#client.patch(ConfigMap, ref, { data: { frameworkId } }, {}, signal);
    }
  }

  /** One record of all these launches. */
  async write(record: string, launches: readonly Launch[]): Promise<void> {
    const known = launches.flatMap(({ agent, tasks }) =>
      tasks.map(({ id, key, uid, rebound, anyPorts, volumes }): Recorded => {
        return { id, key, uid, rebound, anyPorts, volumes, agentId: agent.facts.id, node: agent.name };
      }),
    );
    await this.#client.create(ConfigMap, {
      metadata: { namespace, name: record, labels: { [launchLabel]: this.#framework } },
      data: { tasks: JSON.stringify(known) },
    });
  }

  async erase(record: string): Promise<void> {
    try {
      await this.#client.delete(ConfigMap, { namespace, name: record });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Launches that were under way when the last one of us ended. */
  async underWay(signal?: AbortSignal): Promise<KnownTask[]> {
    const { items } = await this.#client.list(
      ConfigMap,
      { namespace, labelSelector: `${launchLabel}=${this.#framework}` },
      signal,
    );
    return items.flatMap(({ metadata: { name }, data }) => {
      const tasks = JSON.parse(data?.tasks ?? '[]') as Recorded[];
      return tasks.map((task) => ({
        ...task,
        anyPorts: task.anyPorts ?? [],
        node: task.node ?? data?.node ?? '',
        agentId: task.agentId ?? data?.agentId ?? '',
        stage: 'launching' as const,
        record: name,
        pod: undefined,
      }));
    });
  }
}
