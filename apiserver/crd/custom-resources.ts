import type { Kind } from '../../api/kind.ts';
import { cleanupFinalizer, CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import type { Condition } from '../../api/meta.ts';
import { isNotFound, unlessNotFound } from '../../api/status.ts';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import { self } from '../auth/user.ts';
import { serverWrites } from '../call.ts';
import { withCondition } from '../conditions.ts';
import type { KindTable } from '../kinds.ts';
import type { Registry } from '../registry.ts';
import { deleteObject } from '../verbs/delete.ts';
import type { WebhookCaller } from '../webhooks/caller.ts';
import { converter } from './conversion.ts';
import { customKinds } from './custom-kind.ts';
import { isEstablished, judgeNames } from './names.ts';

type Crd = Readonly<CustomResourceDefinition>;

const options = serverWrites(self);
const cleanup = {
  ...options,
  gracePeriodSeconds: undefined,
  propagation: undefined,
  uid: undefined,
  resourceVersion: undefined,
};
const lookAgainMs = 1000;

/**
 * Serves what CustomResourceDefinitions declare.
 *
 *   definition changes ─▶ names judged, conditions written ─▶ established: kinds into the table, a cache into the feed
 *   definition deleted ─▶ its objects deleted ─▶ finalizer off ─▶ kinds and cache go
 */
export class CustomResources {
  readonly #registry: Registry;
  readonly #kinds: KindTable;
  readonly #webhooks: WebhookCaller;
  readonly #log: Logger;
  /** By the definition's name: what is served, and of which state of it. */
  readonly #served = new Map<string, { state: string; kinds: readonly Kind[] }>();
  #wake: () => void = () => undefined;

  constructor(registry: Registry, kinds: KindTable, webhooks: WebhookCaller, log: Logger) {
    this.#registry = registry;
    this.#webhooks = webhooks;
    this.#kinds = kinds;
    this.#log = log;
  }

  /** Resolves when every kind that is established already is served; then follows until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#serve();
    void this.#follow(signal);
  }

  get #definitions(): Crd[] {
    return this.#registry.feed
      .cache(CustomResourceDefinition)
      .list()
      .map(({ object }) => object as Crd);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let changed = true;
    const note = () => {
      changed = true;
      this.#wake();
    };
    const cache = this.#registry.feed.cache(CustomResourceDefinition);
    const subscribe = () => void cache.follow({ events: note, lost: () => (subscribe(), note()) });
    subscribe();
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      if (!changed) await this.#sleep(signal);
      changed = false;
      try {
        await this.#serve();
        await this.#judge();
        if (await this.#cleanUp()) changed ||= await this.#sleep(signal, lookAgainMs);
      } catch (err) {
        if (signal.aborted) return;
        this.#log.warn({ err }, 'custom resource definitions could not be brought in order; trying again');
        await delay(lookAgainMs, signal).catch(() => undefined);
        changed = true;
      }
    }
  }

  /** Until something changes, or for so long. Always true: look again. */
  #sleep(signal: AbortSignal, ms?: number): Promise<true> {
    if (signal.aborted) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.#wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** Brings the table of kinds in step with the definitions. */
  async #serve(): Promise<void> {
    const definitions = this.#definitions.filter(isEstablished);
    const names = new Set(definitions.map(({ metadata }) => metadata.name!));
    for (const [name, { kinds }] of this.#served)
      if (!names.has(name)) {
        this.#served.delete(name);
        this.#kinds.replace(kinds, []);
        if (kinds[0]) this.#registry.feed.drop(kinds[0]);
      }
    for (const definition of definitions) await this.#serveOne(definition);
  }

  async #serveOne(definition: Crd): Promise<void> {
    const { name, uid, generation, deletionTimestamp } = definition.metadata;
    const state = `${uid}/${generation}/${deletionTimestamp}`;
    const known = this.#served.get(name!);
    if (known?.state === state) return;
    const kinds = customKinds(definition, converter(definition.spec.conversion, this.#webhooks));
    if (!known && kinds[0]) await this.#registry.feed.add(kinds[0]);
    this.#kinds.replace(
      known?.kinds ?? [],
      kinds.filter((kind) => isServed(definition, kind)),
    );
    this.#served.set(name!, { state, kinds });
  }

  async #judge(): Promise<void> {
    const all = this.#definitions;
    for (const definition of all) {
      if (definition.metadata.deletionTimestamp || !judgeNames(definition, all, Date.now())) continue;
      await this.#write(definition, (current) => {
        const verdict = judgeNames(current, all, Date.now());
        return verdict ? { ...current, status: { ...current.status, ...verdict } } : current;
      });
    }
  }

  async #write(
    { metadata }: Crd,
    change: (current: CustomResourceDefinition) => CustomResourceDefinition,
  ): Promise<void> {
    const kind = CustomResourceDefinition as Kind<never> as Kind;
    await this.#registry
      .update(kind, metadata.name!, 'server', options, (current) => change(current as CustomResourceDefinition))
      .catch(unlessNotFound);
  }

  /** Deletes the objects of definitions that are being deleted; true while some are still there. */
  async #cleanUp(): Promise<boolean> {
    let isWaiting = false;
    for (const definition of this.#definitions) {
      const { deletionTimestamp, finalizers, name } = definition.metadata;
      if (!deletionTimestamp || !finalizers?.includes(cleanupFinalizer)) continue;
      const kind = this.#served.get(name!)?.kinds[0];
      const left = kind ? await this.#deleteObjects(kind) : 0;
      if (left > 0) isWaiting = true;
      await this.#write(definition, (current) => (left > 0 ? terminating(current, left) : released(current)));
    }
    return isWaiting;
  }

  async #deleteObjects(kind: Kind): Promise<number> {
    await this.#registry.feed.fresh();
    const entries = this.#registry.feed.cache(kind).list();
    let left = 0;
    for (const { key, object } of entries) {
      if (object.metadata.deletionTimestamp) left += 1;
      else
        try {
          const { gone } = await deleteObject(this.#registry, kind, key, cleanup);
          if (!gone) left += 1;
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
    }
    return left;
  }
}

const isServed = ({ spec }: Crd, { version }: Kind): boolean =>
  spec.versions.some(({ name, served }) => name === version && served);

function terminating(definition: CustomResourceDefinition, left: number): CustomResourceDefinition {
  const message = `CustomResource deletion is in progress: ${left} left`;
  const next: Condition = { type: 'Terminating', status: 'True', reason: 'InstanceDeletionInProgress', message };
  const conditions = withCondition(definition.status?.conditions, next, Date.now());
  return { ...definition, status: { ...definition.status, conditions } };
}

function released(definition: CustomResourceDefinition): CustomResourceDefinition {
  const finalizers = definition.metadata.finalizers?.filter((name) => name !== cleanupFinalizer) ?? [];
  const { finalizers: _before, ...metadata } = definition.metadata;
  return { ...definition, metadata: finalizers.length > 0 ? { ...metadata, finalizers } : metadata };
}
