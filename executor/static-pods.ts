import { Pod, isMirrorPod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import type { Client } from '../client/client.ts';
import type { Informer } from '../client/informer.ts';
import { run } from '../client/reconcile.ts';
import type { Logger } from '../lib/log.ts';
import { Manifests, type ManifestsOptions } from './manifests.ts';
import { hashOf, mirrorPods } from './mirror-pods.ts';
import type { Pods } from './pods.ts';
import type { RuntimePod } from './runtime.ts';
import type { StatusWriter } from './status-writer.ts';
import type { TaskEvent } from './tasks.ts';

export interface StaticPodsOptions extends Omit<ManifestsOptions, 'found'> {
  client: Client;
  /** The pods of this node as the apiserver has them. */
  informer: Informer<Pod>;
  pods: Pods;
  statuses: StatusWriter;
  tell(event: TaskEvent): void;
  log: Logger;
}

/**
 * Pods from manifests of this machine, which run without the apiserver and without a task of Mesos.
 *
 *   directory, URL ─▶ manifests.ts ─▶ wanted ─▶ Pods (one of a name at a time: the old one ends first)
 *                                        │
 *                                        └────▶ mirror-pods.ts ─▶ apiserver, with the status written to the mirror
 */
export class StaticPods {
  readonly #options: StaticPodsOptions;
  #wanted: ReadonlyMap<string, Pod> = new Map();
  /** Uid of what runs by each name, or is being ended. */
  readonly #running = new Map<string, string>();
  #add: (key: string) => void = () => undefined;

  constructor(options: StaticPodsOptions) {
    this.#options = options;
  }

  /** `left` is what an earlier executor left running. Resolves when the manifests are read and their pods are known. */
  async start(left: readonly RuntimePod[], signal: AbortSignal): Promise<{ closed: Promise<void> }> {
    const { client, nodeName, informer, statuses, log } = this.#options;
    for (const pod of left) this.#running.set(keyOf({ metadata: pod }), pod.uid);
    const mirrors = mirrorPods({
      client,
      nodeName,
      wanted: (key) => this.#wanted.get(key),
      found: (key) => informer.get(key),
      subscribe: (add) => {
        this.#add = add;
        for (const pod of informer.list()) if (isMirrorPod(pod)) add(keyOf(pod));
        for (const key of this.#wanted.keys()) add(key);
      },
      made: ({ metadata }) => statuses.again(metadata.uid!),
    });
    const manifests = new Manifests({ ...this.#options, found: (pods) => this.#follow(pods) });
    const reading = await manifests.start(signal);
    const mirroring = run(mirrors, { log, signal });
    return { closed: Promise.all([reading.closed, mirroring]).then(() => undefined) };
  }

  /** The mirror of a pod is there, changed or gone. */
  mirrored(mirror: Pod, isGone: boolean): void {
    const key = keyOf(mirror);
    this.#add(key);
    const pod = this.#wanted.get(key);
    if (isGone || !pod || hashOf(mirror) !== pod.metadata.uid || this.#running.get(key) !== pod.metadata.uid) return;
    this.#options.pods.bound({ ...pod, ...(mirror.status ? { status: mirror.status } : {}) });
  }

  /** Nothing of a pod is left here: the next one of its name may start. */
  ended(uid: string): void {
    const [key] = [...this.#running].find(([, running]) => running === uid) ?? [];
    if (key === undefined) return;
    this.#running.delete(key);
    const next = this.#wanted.get(key);
    if (next) this.#run(key, next);
  }

  #follow(found: ReadonlyMap<string, Pod>): void {
    const before = this.#wanted;
    this.#wanted = found;
    for (const [key, { metadata }] of before)
      if (found.get(key)?.metadata.uid !== metadata.uid) {
        this.#options.pods.lost(metadata.uid!);
        this.#add(key);
      }
    for (const [key, pod] of found) {
      const running = this.#running.get(key);
      const isLeft = running === pod.metadata.uid && !this.#options.pods.has(running!);
      if (running === undefined || isLeft) this.#run(key, pod);
      this.#add(key);
    }
  }

  #run(key: string, pod: Pod): void {
    const { pods, informer, tell } = this.#options;
    const uid = pod.metadata.uid!;
    const mirror = informer.get(key);
    const status = mirror && hashOf(mirror) === uid ? mirror.status : undefined;
    this.#running.set(key, uid);
    tell({ type: 'static', uid });
    pods.bound({ ...pod, ...(status ? { status } : {}) });
    pods.admit(uid);
  }
}
