import type { Container, Pod } from '../api/kinds/pod.ts';
import { type CrashBackoff, duration } from './crash-backoff.ts';
import type { Kubelet } from './kubelet.ts';
import { specHash } from './sandbox.ts';
import type { Waiting } from './start-container.ts';

/** What can fail beside a container's start. */
type Step = 'sandbox' | 'volumes';

/**
 * What went wrong with one pod: how long each thing has to wait until it is tried again, and what the user is told of it
 * meanwhile, as the reason a container waits and as events. All waits are ms.
 */
export class Setbacks {
  readonly #kubelet: Kubelet;
  readonly #pod: () => Pod;
  readonly #failures = new Map<string, { at: number; backoff: CrashBackoff }>();
  readonly #waiting = new Map<string, Waiting>();

  constructor(kubelet: Kubelet, pod: () => Pod) {
    this.#kubelet = kubelet;
    this.#pod = pod;
  }

  /** Why containers wait, by name. */
  get waiting(): ReadonlyMap<string, Waiting> {
    return this.#waiting;
  }

  sandboxFailed(message: string): number {
    this.#event('Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${message}`);
    return this.#failed(this.#key('/sandbox'), this.#kubelet.retries);
  }

  volumesFailed(message: string): number {
    this.#event('Warning', 'FailedMount', message);
    return this.#failed(this.#key('/volumes'), this.#kubelet.retries);
  }

  startFailed(container: Container, waiting: Waiting): number {
    const { backoff, retries } = this.#kubelet;
    this.#waiting.set(container.name, waiting);
    this.#event('Warning', 'Failed', failureWords(container, waiting), container);
    return this.#failed(
      this.#key(`${nameOf(container)}/start`),
      waiting.reason === 'CreateContainerConfigError' ? retries : backoff,
    );
  }

  /** It worked: the next failure is a first one. */
  overcame(step: Step): void {
    this.#failures.delete(this.#key(`/${step}`));
  }

  started(container: Container): void {
    this.#waiting.delete(container.name);
    this.#failures.delete(this.#key(`${nameOf(container)}/start`));
  }

  /** What is left of the wait; 0 when it may be tried. */
  remaining(step: Step): number {
    return this.#remaining(this.#key(`/${step}`));
  }

  /** The same for a container's start; ErrImagePull turns into ImagePullBackOff while it waits. */
  remainingStart(container: Container): number {
    const remaining = this.#remaining(this.#key(`${nameOf(container)}/start`));
    if (remaining > 0) this.#holdBack(container);
    return remaining;
  }

  /** The same for the restart of a container that ended at `endedAt`. */
  remainingRestart(container: Container, endedAt: number): number {
    return this.#kubelet.backoff.remaining(this.#key(nameOf(container)), endedAt, Date.now());
  }

  restarting(container: Container, endedAt: number): void {
    this.#kubelet.backoff.tried(this.#key(nameOf(container)), endedAt, Date.now());
  }

  /** The container waits for its restart: said once for each length of the wait. */
  crashLoops(container: Container): void {
    const { name, namespace, uid } = this.#pod().metadata;
    const wait = duration(this.#kubelet.backoff.current(this.#key(nameOf(container))));
    const pod = `${name!}_${namespace!}(${uid!})`;
    const message = `back-off ${wait} restarting failed container=${container.name} pod=${pod}`;
    if (this.#waiting.get(container.name)?.message === message) return;
    this.#waiting.set(container.name, { reason: 'CrashLoopBackOff', message });
    this.#event(
      'Warning',
      'BackOff',
      `Back-off restarting failed container ${container.name} in pod ${pod}`,
      container,
    );
  }

  /** The pod is gone. */
  forget(): void {
    const prefix = this.#key('');
    this.#kubelet.backoff.forget(prefix);
    this.#kubelet.retries.forget(prefix);
  }

  #failed(key: string, backoff: CrashBackoff): number {
    const now = Date.now();
    backoff.tried(key, now, now);
    this.#failures.set(key, { at: now, backoff });
    return backoff.remaining(key, now, now);
  }

  #remaining(key: string): number {
    const failure = this.#failures.get(key);
    return failure ? failure.backoff.remaining(key, failure.at, Date.now()) : 0;
  }

  #holdBack(container: Container): void {
    const waiting = this.#waiting.get(container.name);
    if (waiting?.reason !== 'ErrImagePull') return;
    const words = `Back-off pulling image "${container.image ?? ''}"`;
    this.#waiting.set(container.name, {
      reason: 'ImagePullBackOff',
      message: `${words}: ErrImagePull: ${waiting.message}`,
    });
    this.#event('Normal', 'BackOff', words, container);
  }

  /** What `nameOf` says of a container, that with `/start`, or `/` and a step: names hold no slash. */
  #key(name: string): string {
    return `${this.#pod().metadata.uid!}/${name}`;
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: Container): void {
    this.#kubelet.apiserver.event(this.#pod(), type, reason, message, container?.name);
  }
}

/** With another image it is another container, which has not failed yet. */
const nameOf = (container: Container): string => `${container.name}/${specHash(container)}`;

const failureWords = ({ image = '' }: Container, { reason, message }: Waiting): string =>
  reason === 'ErrImagePull' ? `Failed to pull image "${image}": ${message}` : `Error: ${message}`;
