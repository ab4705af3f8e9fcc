import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../api/kinds/pod.ts';
import { isTerminal } from '../api/kinds/pod.ts';
import { delay } from '../lib/delay.ts';
import { equal } from '../lib/equal.ts';
import { removeDead } from './dead-containers.ts';
import type { Kubelet } from './kubelet.ts';
import { LastWords } from './last-words.ts';
import { type Start, planPod } from './plan.ts';
import { Probes } from './probes.ts';
import { refuseOwnUsers, whyNotHere } from './rejection.ts';
import type { Addresses, RuntimePod } from './runtime.ts';
import { runtimeHandler } from './runtime-handler.ts';
import { Resizes } from './resizes.ts';
import { makePodCgroup, removePodCgroup } from './pod-cgroups.ts';
import { logDirectory, sandboxSpec, specHash } from './sandbox.ts';
import { Setbacks } from './setbacks.ts';
import { type SandboxNow, podFacts, startContainer, waitingFor } from './start-container.ts';
import { reportEnd, reportStatus, withWritten } from './status-report.ts';
import type { Failure } from './status.ts';
import { Stops } from './stops.ts';
import { prepareVolumes, removeVolumes } from './volumes.ts';
import { VolumeError } from './volumes/volume.ts';

/** Why a pod is being ended. */
export interface Ending {
  graceSeconds: number | undefined;
  /** Remove its object too, as if it had been deleted. */
  remove: boolean;
}

/** Volumes are brought up to date this often, ms. */
const refresh = 60_000;
const retry = 1_000;
/** What an evicted pod has, seconds. */
const evictionGrace = 1;
/** How long the end of a pod waits for the apiserver, to take its last status and then to remove it, ms: an outage must not keep Mesos from learning of it. */
const patience = 5_000;

/**
 * Brings one pod from what it is to what it should be, one step at a time: woken by changes of the pod, of the runtime and
 * by timers, it looks at both afresh, acts, and writes the status. Only one step runs at a time.
 */
export class PodWorker {
  readonly #kubelet: Kubelet;
  #pod: Pod;
  /** A Mesos task carries it: its containers may be started. */
  #admitted = false;
  /** It was looked at since: whether it may run here is asked once. */
  #looked = false;
  /** Its object is gone from the apiserver. */
  #absent = false;
  #ending: Ending | undefined;
  #eviction: Failure | undefined;
  readonly #setbacks: Setbacks;
  readonly #probes: Probes;
  readonly #stops: Stops;
  readonly #resizes: Resizes;
  readonly #lastWords = new LastWords(() => this.#volumeDirectory());
  /** Of performance.now(). */
  #refreshedAt = -Infinity;
  #volumePaths: ReadonlyMap<string, string> = new Map();
  #dirty = false;
  #isRunning = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = 0;
  #step = new AbortController();
  #finished = false;
  #closed = false;
  readonly #onFinished: (isAbsent: boolean) => void;

  /** `onFinished` is told whether the pod's object is gone from the apiserver too. */
  constructor(kubelet: Kubelet, pod: Pod, onFinished: (isAbsent: boolean) => void) {
    this.#kubelet = kubelet;
    this.#pod = pod;
    const current = () => this.#pod;
    this.#setbacks = new Setbacks(kubelet, current);
    this.#resizes = new Resizes(kubelet);
    this.#probes = new Probes(kubelet, current, () => this.wake());
    this.#stops = new Stops(kubelet, current, () => this.#grace());
    this.#onFinished = onFinished;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** Volume name → where it is on this machine; those that were never made ready are missing. */
  get volumePaths(): ReadonlyMap<string, string> {
    return this.#volumePaths;
  }

  update(pod: Pod): void {
    const before = this.#grace();
    const { labels, annotations } = this.#pod.metadata;
    this.#pod = pod;
    // The downward API shows them.
    if (!equal(labels, pod.metadata.labels) || !equal(annotations, pod.metadata.annotations))
      this.#refreshedAt = -Infinity;
    if (pod.metadata.deletionTimestamp !== undefined) this.#hurry(before);
    this.wake();
  }

  admit(): void {
    this.#admitted = true;
    this.wake();
  }

  end(ending: Ending): void {
    const before = this.#grace();
    // One that came to its end by itself is told as such: whoever wants to know how it ended still has to find it.
    const remove = ending.remove && !isTerminal(withWritten(this.#kubelet, this.#pod));
    this.#ending = { ...ending, remove: remove || (this.#ending?.remove ?? false) };
    this.#hurry(before);
    this.wake();
  }

  /** It uses more than it may, or than the machine has. */
  evict(message: string): void {
    if (this.#eviction || isTerminal(this.#pod)) return;
    const before = this.#grace();
    this.#eviction = { reason: 'Evicted', message, disrupts: true };
    this.#kubelet.apiserver.event(this.#pod, 'Warning', 'Evicted', message);
    this.#hurry(before);
    this.wake();
  }

  /** The object is gone: nobody waits for a status, and nothing may go on. */
  lost(): void {
    const before = this.#grace();
    this.#absent = true;
    this.#hurry(before);
    this.wake();
  }

  /** What its volumes are made of has changed. */
  refresh(): void {
    this.#refreshedAt = -Infinity;
    this.wake();
  }

  wake(): void {
    this.#dirty = true;
    if (!this.#isRunning && !this.#finished && !this.#closed) this.#running = this.#run();
  }

  /** Stops looking after the pod, and leaves it as it is. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#probes.close();
    clearTimeout(this.#timer);
    this.#step.abort(new Error('the executor is stopping'));
    await this.#running;
  }

  get #isEnding(): boolean {
    return this.#absent || this.#ending !== undefined || this.#pod.metadata.deletionTimestamp !== undefined;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#dirty && !this.#finished && !this.#closed) {
        this.#dirty = false;
        await this.#turn();
      }
    } finally {
      this.#isRunning = false; // with the last look at #dirty: a wake after it starts anew
    }
  }

  async #turn(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#step.signal.aborted) this.#step = new AbortController();
    try {
      await this.#sync();
    } catch (err) {
      if (this.#closed || (this.#step.signal.aborted && this.#dirty)) return;
      this.#warn(err, 'pod could not be brought forward; trying again');
      this.#wakeIn(retry);
    }
  }

  #warn(err: unknown, what: string): void {
    const { name, namespace } = this.#pod.metadata;
    this.#kubelet.log.warn({ err, pod: name, namespace }, what);
  }

  /** The soonest of a turn counts. */
  #wakeIn(ms: number): void {
    const at = performance.now() + Math.max(0, ms);
    if (this.#closed || (this.#timer && this.#wakeAt <= at)) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(() => this.wake(), Math.max(0, ms));
  }

  async #sync(): Promise<void> {
    await this.#follow(await this.#kubelet.runtime.pod(this.#pod.metadata.uid!));
  }

  async #follow(runtime: RuntimePod | undefined): Promise<void> {
    this.#probes.follow(runtime, this.#isEnding);
    if (this.#isEnding) return this.#end(runtime);
    if (!this.#admitted) return;
    if (this.#eviction && !isTerminal(this.#pod)) return this.#fail(runtime, this.#eviction);
    const isNew = !this.#looked;
    this.#looked = true;
    if (isNew && !runtime && !isTerminal(this.#pod)) {
      const rejection = whyNotHere(this.#kubelet, this.#pod);
      if (rejection) return this.#reject(rejection);
    }
    const plan = planPod(this.#pod, runtime, {
      hashOf: specHash,
      remaining: (container, endedAt) => this.#setbacks.remainingRestart(container, endedAt),
      health: this.#probes,
    });
    if (!plan.done && plan.sandbox === undefined && plan.stop.length === 0)
      plan.stop.push(...(await this.#resizes.follow(this.#pod, runtime)));
    if (plan.stop.length > 0) {
      if (!isTerminal(this.#pod)) await this.#publish(runtime); // what has ended is not told later because others take their time
      await Promise.all(plan.stop.map((stop) => this.#stops.one(stop)));
      return this.#again();
    }
    if (plan.done) return this.#done(runtime);
    for (const { container } of plan.waiting) this.#setbacks.crashLoops(container);
    this.#wakeIn(Math.min(refresh, this.#untilDeadline(), ...plan.waiting.map(({ remaining }) => remaining)));
    if (this.#untilDeadline() <= 0) return this.#overDeadline(runtime);
    if (plan.sandbox !== undefined) return this.#createSandbox(plan.sandbox, runtime);
    await this.#publish(runtime);
    if (await this.#startAll(plan.start, runtime!)) this.#again();
    else await this.#publish(runtime);
    await removeDead(this.#kubelet.runtime, runtime!);
  }

  /** Something was done: look at it right away. */
  #again(): void {
    this.#dirty = true;
  }

  async #createSandbox(attempt: number, old: RuntimePod | undefined): Promise<void> {
    const { runtime } = this.#kubelet;
    await this.#publish(old);
    const remaining = this.#setbacks.remaining('sandbox');
    if (remaining > 0) return this.#wakeIn(remaining);
    if (old) {
      const message = 'Pod sandbox changed, it will be killed and re-created.';
      this.#kubelet.apiserver.event(this.#pod, 'Normal', 'SandboxChanged', message);
    }
    let made: { id: string } & Addresses;
    try {
      if (old) await runtime.stopSandbox(old.sandbox.id);
      const { cgroupParent, podMaxPids } = this.#kubelet;
      const refused = cgroupParent ? await makePodCgroup(this.#pod, cgroupParent, podMaxPids) : undefined;
      if (refused)
        this.#warn(refused, 'the pod has no limits as a whole, only its containers have: its cgroup cannot be made');
      refuseOwnUsers(this.#pod, runtime);
      const handler = await runtimeHandler(this.#kubelet, this.#pod);
      const spec = sandboxSpec(this.#pod, attempt, this.#kubelet, handler);
      made = await runtime.createSandbox(spec, this.#step.signal);
      this.#setbacks.overcame('sandbox');
    } catch (error) {
      if (this.#step.signal.aborted) throw error;
      return this.#wakeIn(this.#setbacks.sandboxFailed((error as Error).message));
    }
    if (old) return this.#again();
    const { uid, namespace = 'default', name } = this.#pod.metadata;
    const sandbox = { ...made, ready: true, createdAt: Date.now(), attempt };
    await this.#follow({ uid: uid!, namespace, name: name!, sandbox, containers: [] }); // what a look would find
  }

  /** True when a container was started. */
  async #startAll(starts: readonly Start[], runtime: RuntimePod): Promise<boolean> {
    const { sandbox } = runtime;
    const now = performance.now();
    if (starts.length === 0 && now - this.#refreshedAt < refresh) return false;
    this.#refreshedAt = now;
    const volumes = await this.#volumes(sandbox);
    if (!volumes) return false;
    const results = await Promise.all(starts.map((start) => this.#start(start, sandbox, volumes)));
    return results.includes(true);
  }

  async #volumes(sandbox: SandboxNow): Promise<Map<string, string> | undefined> {
    const remaining = this.#setbacks.remaining('volumes');
    if (remaining > 0) {
      this.#wakeIn(remaining);
      return undefined;
    }
    const directory = this.#volumeDirectory();
    this.#kubelet.sources.follow(this.#pod);
    try {
      const volumes = await prepareVolumes(this.#pod, directory, podFacts(this.#kubelet, this.#pod, sandbox));
      this.#setbacks.overcame('volumes');
      this.#volumePaths = volumes;
      return volumes;
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error;
      this.#wakeIn(this.#setbacks.volumesFailed(error.message));
      return undefined;
    }
  }

  async #start(start: Start, sandbox: SandboxNow, volumes: ReadonlyMap<string, string>): Promise<boolean> {
    const { container, endedAt } = start;
    const remaining = this.#setbacks.remainingStart(container);
    if (remaining > 0) {
      this.#wakeIn(remaining);
      return false;
    }
    if (endedAt !== undefined) this.#setbacks.restarting(container, endedAt);
    try {
      const directory = this.#volumeDirectory();
      const place = { pod: this.#pod, sandbox, volumes, directory, lastWords: this.#lastWords };
      await startContainer(
        this.#kubelet,
        place,
        { ...start, container: this.#resizes.start(container) },
        this.#step.signal,
      );
      this.#setbacks.started(container);
      return true;
    } catch (error) {
      const waiting = this.#step.signal.aborted ? undefined : waitingFor(error);
      if (!waiting) throw error;
      this.#kubelet.log.debug(
        { err: error, pod: this.#pod.metadata.name, container: container.name },
        'container could not be started',
      );
      // Half way through it is looked at, so that the user sees that it waits.
      this.#wakeIn(this.#setbacks.startFailed(container, waiting) / 2);
      // The runtime may have kept a container that never ran: then that is what is restarted, with its own backoff.
      return waiting.reason === 'RunContainerError' || waiting.reason === 'PostStartHookError';
    }
  }

  async #publish(
    runtime: RuntimePod | undefined,
    ended = false,
    failure?: Failure,
    silent = this.#isEnding,
  ): Promise<void> {
    await this.#lastWords.read(this.#pod, runtime);
    reportStatus(this.#kubelet, this.#pod, {
      runtime,
      waiting: this.#setbacks.waiting,
      health: this.#probes,
      resizes: this.#resizes,
      lastWords: this.#lastWords.words,
      ended,
      failure,
      absent: this.#absent,
      silent,
    });
  }

  /**
   * The pod came to its end by itself: users are told at once. Then its address is given back, while its containers stay to be looked at;
   * Mesos, which gives to others what it had, is told after that.
   */
  async #done(runtime: RuntimePod | undefined): Promise<void> {
    if (runtime?.sandbox.ready) {
      if (!isTerminal(this.#pod)) await this.#publish(runtime, true, undefined, true);
      await this.#kubelet.runtime.stopSandbox(runtime.sandbox.id);
      return this.#again();
    }
    if (isTerminal(this.#pod)) reportEnd(this.#kubelet, this.#pod, runtime);
    else await this.#publish(runtime, true);
  }

  #untilDeadline(): number {
    const { activeDeadlineSeconds } = this.#pod.spec;
    const startTime = this.#kubelet.statuses.latest(this.#pod.metadata.uid!)?.startTime ?? this.#pod.status?.startTime;
    if (activeDeadlineSeconds === undefined || startTime === undefined) return Infinity;
    return Date.parse(startTime) + activeDeadlineSeconds * 1000 - Date.now();
  }

  async #overDeadline(runtime: RuntimePod | undefined): Promise<void> {
    const failure = {
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    };
    this.#kubelet.apiserver.event(this.#pod, 'Normal', failure.reason, failure.message);
    return this.#fail(runtime, failure);
  }

  /** It may not run here at all. */
  async #reject(failure: Failure): Promise<void> {
    this.#kubelet.apiserver.event(this.#pod, 'Warning', failure.reason, failure.message);
    return this.#fail(undefined, failure);
  }

  /** The pod fails as a whole. */
  async #fail(runtime: RuntimePod | undefined, failure: Failure): Promise<void> {
    await this.#stops.all(runtime);
    const { uid } = this.#pod.metadata;
    const now = await this.#kubelet.runtime.pod(uid!);
    await this.#publish(now, true, failure);
    this.#pod = { ...this.#pod, status: { ...this.#pod.status, ...this.#kubelet.statuses.latest(uid!)! } };
    this.#again();
  }

  /** Deleted, killed or lost: stop it within its grace, say how it ended, leave nothing. */
  async #end(found: RuntimePod | undefined): Promise<void> {
    const { runtime, statuses, apiserver, report } = this.#kubelet;
    const { uid } = this.#pod.metadata;
    await this.#stops.all(found);
    const ended = await runtime.pod(uid!);
    const remove = (this.#ending?.remove ?? false) || this.#pod.metadata.deletionTimestamp !== undefined;
    if (!this.#absent && !isTerminal(this.#pod)) await this.#publish(ended, remove);
    await soon(statuses.flush(uid!));
    const { phase = 'Failed' } = statuses.latest(uid!) ?? this.#pod.status ?? {};
    if (ended) await runtime.removeSandbox(ended.sandbox.id);
    await this.#kubelet.csi?.release(uid!);
    await removeVolumes(this.#pod, this.#volumeDirectory());
    rmSync(logDirectory(this.#pod, this.#kubelet.logs), { recursive: true, force: true });
    if (this.#kubelet.cgroupParent) await removePodCgroup(uid!, this.#kubelet.cgroupParent);
    const removing = remove && !this.#absent ? apiserver.removePod(this.#pod) : Promise.resolve();
    // Whoever hears that the last task is gone may end this executor, and then nobody would remove the object.
    await soon(removing.catch(() => undefined));
    report(uid!, { phase, gone: true });
    await removing;
    this.#finished = true;
    this.#probes.close();
    clearTimeout(this.#timer);
    statuses.forget(uid!);
    this.#setbacks.forget();
    this.#kubelet.sources.forget(uid!);
    this.#kubelet.probeCounts.forget(uid!);
    this.#onFinished(this.#absent);
  }

  /** Seconds that a container has from now on. */
  #grace(): number {
    const { deletionTimestamp, deletionGracePeriodSeconds } = this.#pod.metadata;
    const usual = this.#pod.spec.terminationGracePeriodSeconds ?? 30;
    const evicted = this.#eviction ? evictionGrace : undefined;
    const wanted = [evicted, this.#ending?.graceSeconds, deletionGracePeriodSeconds].filter((s) => s !== undefined);
    const left =
      deletionTimestamp === undefined ? [] : [Math.max(1, (Date.parse(deletionTimestamp) - Date.now()) / 1000)];
    return Math.max(0, this.#absent ? 1 : Math.min(wanted.length > 0 ? Infinity : usual, ...wanted, ...left));
  }

  /** What is under way gives way to the end; a stop that waits already waits no longer than it now should. */
  #hurry(before: number): void {
    this.#step.abort(new Error('the pod is being ended'));
    this.#stops
      .hurry(before)
      .catch((err: unknown) => this.#kubelet.log.warn({ err }, 'containers could not be stopped sooner'));
  }

  #volumeDirectory(): string {
    return join(this.#kubelet.volumes, this.#pod.metadata.uid!);
  }
}

/** Waits, but not for ever. */
async function soon(work: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([work, delay(patience, late.signal).catch(() => undefined)]);
  late.abort();
}
