import { readFileSync } from 'node:fs';
import type { Container, Pod, PodSpec, PodStatus } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { asWritten, recordOf } from '../../executor/log-record.ts';
import type { TestKubelet } from './kubelet-for-tests.ts';
import { aPod, collect, eventually } from './pods-for-tests.ts';

/** A scratch volume, and where containers have it. */
export const scratch = { volumes: [{ name: 'w', emptyDir: {} }] };
export const onScratch = { volumeMounts: [{ name: 'w', mountPath: '/w' }] };
export const never: Partial<PodSpec> = { restartPolicy: 'Never' };

export interface PodRuns {
  readonly kubelet: TestKubelet;
  /** A container `c` whose shell runs that. */
  sh(script: string, more?: Partial<Container>): Container;
  /** A pod that may start; its containers are the first one and those of the spec. */
  run(container: Partial<Container>, spec?: Partial<PodSpec>, metadata?: Pod['metadata']): Pod;
  until(pod: Pod, what: string, is: (status: PodStatus) => unknown): Promise<PodStatus>;
  running(pod: Pod): Promise<PodStatus>;
  ended(pod: Pod, phase?: 'Succeeded' | 'Failed'): Promise<PodStatus>;
  /** What a shell in its container says, on both streams. */
  ask(pod: Pod, script: string, container?: string): Promise<string>;
  log(pod: Pod, container?: string): Promise<string>;
  /** Runs a script to its end and answers what it wrote; the pod ends with it. */
  outputOf(
    script: string,
    container?: Partial<Container>,
    spec?: Partial<PodSpec>,
    metadata?: Pod['metadata'],
  ): Promise<string>;
  /** As the apiserver deletes it; resolves when its object goes. */
  remove(pod: Pod, seconds: number): Promise<unknown>;
  /** Resolves when an event says so. */
  told(words: RegExp): Promise<string>;
  /** Ends it, and does not wait. */
  end(pod: Pod): void;
  /** Ends every pod, and does not wait. */
  endAll(): void;
}

/** Pods of a test kubelet, run and looked at. */
export function podRuns(kubelet: () => TestKubelet, image: string): PodRuns {
  const runs: PodRuns = {
    get kubelet() {
      return kubelet();
    },
    sh: (script, more = {}) => ({ name: 'c', image, command: ['sh', '-c', script], ...more }),
    run(container, spec = {}, metadata = {}) {
      const main = { name: 'c', image, command: ['sleep', '1000'], ...container };
      const made = aPod(
        {},
        { terminationGracePeriodSeconds: 1, ...spec, containers: [main, ...(spec.containers ?? [])] },
      );
      const pod = { ...made, metadata: { ...made.metadata, ...metadata } };
      kubelet().pods.bound(pod);
      kubelet().pods.admit(pod.metadata.uid!);
      return pod;
    },
    until: async (pod, what, is) => {
      const wanted = () => {
        const status = kubelet().status(pod);
        return status && is(status) ? status : undefined;
      };
      try {
        return await eventually(wanted, what, 30_000);
      } catch (error) {
        const last = JSON.stringify([kubelet().status(pod), kubelet().apiserver.events.slice(-10)]);
        throw new Error(`${(error as Error).message}; status and last events: ${last}`, { cause: error });
      }
    },
    running: (pod) => runs.until(pod, 'every container to be ready', (s) => s.containerStatuses?.every((c) => c.ready)),
    ended: (pod, phase = 'Succeeded') => runs.until(pod, phase, (s) => s.phase === phase),
    async ask(pod, script, container = 'c') {
      const found = await eventually(
        () =>
          kubelet()
            .pods.container(pod.metadata.uid!, container)
            .then((c) => (c?.state === 'running' ? c : undefined)),
        `${container} to run`,
        30_000,
      );
      const done = await collect((r) => kubelet().runtime.exec(found.id, { command: ['sh', '-c', script], ...r }));
      return done.stdout.toString() + done.stderr.toString();
    },
    async log(pod, container = 'c') {
      const { logPath } = (await kubelet().pods.container(pod.metadata.uid!, container))!;
      const lines = readFileSync(logPath, 'utf8').split('\n');
      const records = lines.flatMap((line) => recordOf(Buffer.from(line)) ?? []);
      return Buffer.concat(records.map(asWritten)).toString();
    },
    async outputOf(script, container = {}, spec = {}, metadata = {}) {
      const pod = runs.run(runs.sh(script, container), { ...never, ...spec }, metadata);
      await runs.ended(pod);
      const said = await runs.log(pod);
      runs.end(pod);
      return said;
    },
    remove(pod, seconds) {
      const deletionTimestamp = timestamp(Date.now() + seconds * 1000);
      const metadata = { ...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: seconds };
      kubelet().pods.bound({ ...pod, metadata });
      return eventually(() => kubelet().apiserver.removed.includes(pod.metadata.uid!), 'the removal', 30_000);
    },
    told: (words) => eventually(() => kubelet().apiserver.events.find((e) => words.test(e)), String(words), 20_000),
    end: ({ metadata }) => kubelet().pods.end(metadata.uid!, { graceSeconds: 0, remove: true }),
    endAll() {
      for (const pod of kubelet().pods.list()) runs.end(pod);
    },
  };
  return runs;
}
