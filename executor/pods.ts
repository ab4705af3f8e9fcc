import type { Pod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import type { Kubelet } from './kubelet.ts';
import { latestOf } from './plan.ts';
import { removePodCgroup } from './pod-cgroups.ts';
import { type Ending, PodWorker } from './pod-worker.ts';
import type { RuntimeContainer, RuntimePod } from './runtime.ts';
import { Stragglers } from './stragglers.ts';

/** Events come from the runtime, but one may be lost: everybody looks again this often, ms. */
const lookAgain = 60_000;

/**
 * The pods of this node. The apiserver says which there should be, Mesos which of them may start; each has a worker.
 *
 *   bound(pod)  ──▶ ┐
 *   admit(uid)  ──▶ ├─ worker of the pod ──▶ Runtime
 *   end(uid)    ──▶ ┘        └──▶ status, events, reports
 */
export class Pods {
  readonly #kubelet: Kubelet;
  readonly #workers = new Map<string, PodWorker>();
  readonly #admitted = new Set<string>();
  /** Ended here, though their objects are still to be seen. */
  readonly #finished = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #stragglers: Stragglers;
  readonly #gone: (uid: string) => void;

  /** `gone` is told of each pod of which nothing is left here. */
  constructor(kubelet: Kubelet, gone: (uid: string) => void = () => undefined) {
    this.#kubelet = kubelet;
    this.#gone = gone;
    kubelet.runtime.onChange((uid) => this.#workers.get(uid)?.wake());
    kubelet.sources.onChange((uid) => this.#workers.get(uid)?.refresh());
    this.#timer = setInterval(() => this.#workers.forEach((worker) => worker.wake()), lookAgain);
    this.#stragglers = new Stragglers((uids) => this.#endStragglers(uids), kubelet.log);
  }

  /** A pod bound to this node, as it is now. */
  bound(pod: Pod): void {
    const uid = pod.metadata.uid!;
    if (this.#finished.has(uid)) return;
    const worker = this.#workers.get(uid);
    if (worker) worker.update(pod);
    else this.#add(pod);
  }

  /** Its object is gone. */
  lost(uid: string): void {
    this.#finished.delete(uid);
    this.#admitted.delete(uid);
    this.#workers.get(uid)?.lost();
  }

  has(uid: string): boolean {
    return this.#workers.has(uid);
  }

  /** A task carries it: it may start as soon as it is bound. */
  admit(uid: string): void {
    this.#admitted.add(uid);
    this.#finished.delete(uid);
    this.#workers.get(uid)?.admit();
  }

  /** No task carries it any more; what runs goes on. */
  dismiss(uid: string): void {
    this.#admitted.delete(uid);
  }

  end(uid: string, ending: Ending): void {
    this.#admitted.delete(uid);
    this.#workers.get(uid)?.end(ending);
  }

  /** Ends a pod because of what it uses: it fails as `Evicted`, with these words. */
  evict(uid: string, message: string): void {
    this.#workers.get(uid)?.evict(message);
  }

  /**
   * Ends what the runtime has of ours and the apiserver does not know. To be called once all bound pods
   * are known; `volumes` are uids of pods that have some here.
   */
  async sweep(volumes: readonly string[] = []): Promise<void> {
    for (const pod of await this.#kubelet.runtime.pods()) this.#endStranger(pod);
    // The machine was started anew: of some pods only their volumes are left.
    for (const uid of volumes)
      if (!this.#workers.has(uid)) this.#add(stranger({ uid, namespace: '', name: '', containers: [] })).lost();
  }

  find(namespace: string, name: string): Pod | undefined {
    for (const { pod } of this.#workers.values())
      if (pod.metadata.name === name && pod.metadata.namespace === namespace) return pod;
    return undefined;
  }

  /** Where the volumes of a pod are on this machine, by name. */
  volumePaths(uid: string): ReadonlyMap<string, string> {
    return this.#workers.get(uid)?.volumePaths ?? new Map();
  }

  list(): Pod[] {
    return [...this.#workers.values()].map(({ pod }) => pod);
  }

  /** What the runtime has of a container: its newest try, or with `previous` the newest that ended before it. */
  async container(uid: string, name: string, previous = false): Promise<RuntimeContainer | undefined> {
    const runtime = await this.#kubelet.runtime.pod(uid);
    const newest = latestOf(runtime).get(name);
    if (!previous || !newest) return newest;
    const older = (runtime?.containers ?? []).filter((c) => c.name === name && c.attempt < newest.attempt);
    return older.sort((a, b) => b.attempt - a.attempt)[0];
  }

  /** Those whose sandbox is ready. */
  async running(): Promise<Pod[]> {
    const ready = (await this.#kubelet.runtime.pods()).filter(({ sandbox }) => sandbox.ready);
    const uids = new Set(ready.map(({ uid }) => uid));
    return this.list().filter(({ metadata }) => uids.has(metadata.uid!));
  }

  /** How many sandboxes are ready, and how many containers are in each state. */
  async counts(): Promise<{ pods: number; containers: Record<string, number> }> {
    const found = await this.#kubelet.runtime.pods();
    const states = Map.groupBy(
      found.flatMap(({ containers }) => containers),
      ({ state }) => state,
    );
    const containers = Object.fromEntries([...states].map(([state, all]) => [state, all.length]));
    return { pods: found.filter(({ sandbox }) => sandbox.ready).length, containers };
  }

  async sandbox(uid: string): Promise<RuntimePod['sandbox'] | undefined> {
    return (await this.#kubelet.runtime.pod(uid))?.sandbox;
  }

  /** Leaves every pod as it is. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#stragglers.close();
    await Promise.all([...this.#workers.values()].map((worker) => worker.close()));
  }

  #endStranger(pod: RuntimePod): void {
    if (this.#workers.has(pod.uid)) return;
    this.#kubelet.log.info({ pod: pod.name, namespace: pod.namespace }, 'ending a pod that is no longer wanted here');
    this.#add(stranger(pod)).lost();
  }

  async #endStragglers(uids: readonly string[]): Promise<void> {
    const { runtime, cgroupParent } = this.#kubelet;
    const found = new Map((await runtime.pods()).map((pod) => [pod.uid, pod]));
    for (const uid of uids) {
      const pod = found.get(uid);
      if (pod) this.#endStranger(pod);
      else if (cgroupParent && !this.#workers.has(uid)) await removePodCgroup(uid, cgroupParent);
    }
  }

  #add(pod: Pod): PodWorker {
    const uid = pod.metadata.uid!;
    const worker = new PodWorker(this.#kubelet, pod, (isAbsent) => {
      this.#workers.delete(uid);
      if (!isAbsent) this.#finished.add(uid);
      this.#gone(uid);
      this.#stragglers.ended(uid);
    });
    this.#workers.set(uid, worker);
    this.#kubelet.log.debug({ pod: keyOf(pod) }, 'pod came to this node');
    if (this.#admitted.has(uid)) worker.admit();
    else worker.wake();
    return worker;
  }
}

/** Enough of a pod to end what is left of it. */
const stranger = ({ uid, namespace, name, containers }: Omit<RuntimePod, 'sandbox'>): Pod => ({
  metadata: { uid, namespace, name },
  spec: { containers: [...new Set(containers.map((c) => c.name))].map((container) => ({ name: container })) },
});
