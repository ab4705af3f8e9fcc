import { resourcePath } from '../api/kind.ts';
import { hostPortNotes } from '../api/host-ports.ts';
import { annotations } from '../api/kinds/names.ts';
import { Pod } from '../api/kinds/pod.ts';
import { type Stored, splitKey } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { ClaimedVolumeWriter } from './claimed-volumes.ts';
import type { Claims } from './claims.ts';
import type { Task } from './tasks.ts';

/** Pods in the apiserver and the tasks that carry them. Every method throws what the client throws. */
export class Bindings {
  readonly #client: Client;
  readonly #claims: Claims;
  readonly #claimed: ClaimedVolumeWriter;
  readonly #signal: AbortSignal;

  constructor(client: Client, claims: Claims, signal: AbortSignal) {
    this.#client = client;
    this.#claimed = new ClaimedVolumeWriter(client, signal);
    this.#claims = claims;
    this.#signal = signal;
  }

  /** The task has started: its volumes stand, and are its own, and the pod is bound. Answers why it cannot be; undefined when it is. */
  async create(task: Task): Promise<string | undefined> {
    const { namespace, name } = splitKey(task.key);
    const taken = await this.#claimed.write(namespace, task.volumes ?? {});
    if (taken !== undefined) return taken;
    await this.#claims.provide(task.want.volumes, task.node, this.#signal);
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid: task.uid, annotations: taskAnnotations(task) },
      target: { apiVersion: 'v1', kind: 'Node', name: task.node },
    };
    try {
      await this.#client.raw('POST', resourcePath(Pod, namespace, name, 'binding'), binding, this.#signal);
      return undefined;
    } catch (error) {
      if (isNotFound(error)) return 'the pod was deleted';
      if (!isConflict(error)) throw error;
      return (await this.#isBoundAs(task)) ? undefined : (error as Error).message;
    }
  }

  /** A bound pod has a new task. Answers as `create`. */
  async rename(task: Task): Promise<string | undefined> {
    const patch = { metadata: { uid: task.uid, annotations: taskAnnotations(task) } };
    try {
      await this.#client.patch(Pod, splitKey(task.key), patch, {}, this.#signal);
      return undefined;
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return 'the pod was deleted';
      throw error;
    }
  }

  /** The pod of a task, if it is still that one. */
  async read(task: Task): Promise<(Pod & Stored) | undefined> {
    try {
      const pod = await this.#client.get(Pod, splitKey(task.key), this.#signal);
      return pod.metadata.uid === task.uid ? pod : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** The pod ends as Failed; nothing if it is gone meanwhile. One that is being deleted has nobody left to end it. */
  async fail({ metadata }: Pod & Stored, reason: string, message: string): Promise<void> {
    try {
      const status = { phase: 'Failed', reason, message };
      await this.#client.patch(Pod, metadata, { status }, { subresource: 'status' });
      if (metadata.deletionTimestamp) await this.#client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** A binding whose answer was lost with its connection: the pod says itself whose it is. */
  async #isBoundAs(task: Task): Promise<boolean> {
    const pod = await this.read(task);
    return pod?.spec.nodeName === task.node && pod.metadata.annotations?.[annotations.taskId] === task.id;
  }
}

const taskAnnotations = ({ id, agentId, pod, anyPorts }: Task) => ({
  ...(pod ? hostPortNotes(pod, anyPorts) : {}),
  [annotations.taskId]: id,
  [annotations.agentId]: agentId,
});
