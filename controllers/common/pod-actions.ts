import type { Kind } from '../../api/kind.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { type KubeObject, type Stored, keyOf } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import type { Informer } from '../../client/informer.ts';
import type { World } from '../../client/reconcile.ts';
import { controllerReference } from './ownership.ts';
import { OwnWrites } from './own-writes.ts';

type StoredPod = Pod & Stored;

/** Makes and deletes pods for the owners of one kind, tells it in events, and remembers what the cache does not show yet. */
export class PodActions<O extends KubeObject> {
  readonly #world: World;
  readonly #kind: Kind<O>;
  readonly #own: OwnWrites<Pod>;

  constructor(world: World, kind: Kind<O>, pods: Informer<Pod>) {
    this.#world = world;
    this.#kind = kind;
    this.#own = new OwnWrites(pods, world.now);
  }

  /** True when the cache shows everything that was done for this owner. */
  settled(owner: O & Stored): boolean {
    return this.#own.seen(keyOf(owner));
  }

  async create(owner: O & Stored, pod: Pod, signal: AbortSignal): Promise<StoredPod> {
    pod.metadata.ownerReferences = [controllerReference(this.#kind, owner)];
    try {
      const created = await this.#world.client.create(Pod, pod, {}, signal);
      this.#own.note(keyOf(owner), created);
      this.tell(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
      return created;
    } catch (error) {
      if (!isNotFound(error))
        this.tell(owner, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
      throw error;
    }
  }

  async remove(owner: O & Stored, pod: StoredPod, signal: AbortSignal): Promise<void> {
    try {
      await this.#world.client.delete(Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } }, signal);
      this.#own.noteDeleted(keyOf(owner), pod);
      this.tell(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Objects of a list come without their kind; events name it. */
  tell(owner: O & Stored, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { apiVersion, kind } = this.#kind;
    this.#world.events.record({ apiVersion, kind, metadata: owner.metadata }, type, reason, message);
  }
}
