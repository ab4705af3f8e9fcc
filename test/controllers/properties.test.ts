import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Deployment } from '../../api/kinds/deployment.ts';
import type { Job, JobStatus } from '../../api/kinds/job.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import type { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import { planJob } from '../../controllers/common/job-plan.ts';
import { jobPod, tracking } from '../../controllers/common/job-pods.ts';
import { planRollout, surgeOf, unavailableOf } from '../../controllers/common/rollout.ts';
import { ordinalOf, planPods } from '../../controllers/common/stateful-pods.ts';
import { running } from './harness.ts';

// What the pure decisions keep, whatever happens to pods and in whatever order it is heard.

const meta = (name: string) => ({ name, uid: name, resourceVersion: '1', namespace: 'default' });
const template = { spec: { containers: [{ name: 'c' }], restartPolicy: 'Never' as const } };

/** Two replica sets and their pods; statuses are as old as the last look at them. */
class Rollout {
  readonly deployment: Deployment;
  readonly fresh: ReplicaSet & Stored;
  readonly old: ReplicaSet & Stored;
  /** Whether each pod is ready. */
  readonly pods = new Map<ReplicaSet, boolean[]>();
  failures = 0;

  constructor(replicas: number, maxSurge: number | string, maxUnavailable: number | string) {
    const strategy = { type: 'RollingUpdate' as const, rollingUpdate: { maxSurge, maxUnavailable } };
    this.deployment = { metadata: { name: 'd' }, spec: { replicas, selector: {}, template, strategy } };
    const set = (name: string, size: number): ReplicaSet & Stored => ({
      metadata: { ...meta(name), creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { replicas: size, selector: {}, template },
      status: { replicas: size, availableReplicas: size },
    });
    [this.fresh, this.old] = [set('fresh', 0), set('old', replicas)];
    this.pods.set(this.fresh, []);
    this.pods.set(
      this.old,
      Array.from({ length: replicas }, () => true),
    );
  }

  podsOf(set: ReplicaSet): boolean[] {
    return this.pods.get(set) ?? [];
  }
  available(): number {
    return [...this.pods.values()].flat().filter(Boolean).length;
  }
  plan(): void {
    for (const { set, replicas } of planRollout(this.deployment, this.fresh, [this.old], false))
      set.spec.replicas = replicas;
  }
  /** What the replica set does: it makes what is missing, and takes those that are not ready first. */
  act(set: ReplicaSet): void {
    const wanted = set.spec.replicas ?? 0;
    const pods = this.podsOf(set).sort((a, b) => Number(b) - Number(a));
    this.pods.set(set, [
      ...pods.slice(0, wanted),
      ...Array.from({ length: Math.max(0, wanted - pods.length) }, () => false),
    ]);
  }
  look(set: ReplicaSet): void {
    const pods = this.podsOf(set);
    set.status = { replicas: pods.length, availableReplicas: pods.filter(Boolean).length };
  }
  change(set: ReplicaSet, from: boolean): void {
    const pods = this.podsOf(set);
    const i = pods.indexOf(from);
    if (i < 0) return;
    pods[i] = !from;
    if (from) this.failures += 1;
    // That a pod has failed is heard before anything is decided; that one is ready may be heard late.
    if (from) this.look(set);
  }
}

const share = fc.oneof(fc.nat({ max: 4 }), fc.constantFrom('0%', '25%', '50%', '100%'));
const rolloutEvent = fc.constantFrom('plan', 'act', 'look', 'ready', 'fail');

test('a rollout never takes pods below its floor nor makes more than its ceiling, whatever the order of events', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      share,
      share,
      fc.array(fc.tuple(rolloutEvent, fc.boolean()), { maxLength: 120 }),
      (replicas, surge, unavailable, events) => {
        const r = new Rollout(replicas, surge, unavailable);
        const floor = replicas - unavailableOf(r.deployment);
        const ceiling = replicas + surgeOf(r.deployment);
        const happen = (event: string, set: ReplicaSet) => {
          if (event === 'plan') r.plan();
          if (event === 'act') r.act(set);
          if (event === 'look') r.look(set);
          if (event === 'ready') r.change(set, false);
          if (event === 'fail') r.change(set, true);
          const wanted = (r.fresh.spec.replicas ?? 0) + (r.old.spec.replicas ?? 0);
          // Said so often, `expect` itself would take a minute.
          if (r.available() < floor - r.failures || wanted > ceiling)
            throw new Error(
              `after ${event} ${r.available()} are available of ${wanted}, between ${floor} and ${ceiling}`,
            );
        };
        for (const [event, isFresh] of events) happen(event, isFresh ? r.fresh : r.old);
        // When nothing fails any more it comes to its end.
        for (let i = 0; i < 30; i++)
          for (const set of [r.fresh, r.old]) {
            for (const event of ['plan', 'act']) happen(event, set);
            for (let pod = 0; pod < ceiling; pod++) happen('ready', set);
            happen('look', set);
          }
        expect([r.fresh.spec.replicas, r.old.spec.replicas, r.available()]).toEqual([replicas, 0, replicas]);
      },
    ),
    { numRuns: 500 },
  ));

test('a stateful set never makes a second pod of an ordinal, and in order it does one thing at a time', () => {
  const pod = fc.record({
    ordinal: fc.nat({ max: 7 }),
    state: fc.constantFrom('ready', 'pending', 'failed', 'leaving'),
    revision: fc.constantFrom('old', 'new'),
  });
  const made = ({ ordinal, state, revision }: { ordinal: number; state: string; revision: string }): Pod & Stored => ({
    metadata: {
      ...meta(`web-${ordinal}`),
      labels: { 'controller-revision-hash': revision },
      ...(state === 'leaving' ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [] },
    status: state === 'ready' ? running() : { phase: state === 'failed' ? ('Failed' as const) : ('Pending' as const) },
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(pod, { selector: ({ ordinal }) => ordinal, maxLength: 8 }),
      fc.nat({ max: 6 }),
      fc.nat({ max: 2 }),
      fc.nat({ max: 6 }),
      fc.boolean(),
      (given, replicas, start, partition, isParallel) => {
        const set: StatefulSet = {
          metadata: { name: 'web' },
          spec: {
            replicas,
            selector: {},
            template,
            ordinals: { start },
            podManagementPolicy: isParallel ? 'Parallel' : 'OrderedReady',
            updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition } },
          },
        };
        const pods = given.map(made);
        const plan = planPods(set, pods, { current: 'old', update: 'new' }, Date.now());
        const ordinals = plan.create.map(({ ordinal }) => ordinal);
        const there = new Set(pods.map((one) => ordinalOf(set, one)));
        expect(new Set(ordinals).size).toBe(ordinals.length);
        for (const ordinal of ordinals) {
          expect(there.has(ordinal)).toBe(false);
          expect(ordinal >= start && ordinal < start + replicas).toBe(true);
        }
        expect(new Set(plan.remove).size).toBe(plan.remove.length);
        for (const { metadata } of plan.remove) expect(metadata.deletionTimestamp).toBeUndefined();
        if (!isParallel) expect(ordinals.length + plan.remove.length).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 1000 },
  );
});

/** A job and its pods; a plan may break off after each of its steps, as a controller that dies would. */
class Work {
  readonly job: Job & Stored;
  pods: (Pod & Stored)[] = [];
  ever = 0;

  constructor(spec: Job['spec']) {
    this.job = { metadata: meta('j'), spec, status: { startTime: timestamp(0) } };
  }

  plan(now: number, steps: number): void {
    const { status, release, create, spare, stop } = planJob(this.job, this.pods, now);
    const all: (() => void)[] = [
      () => (this.job.status = status),
      () => release.forEach((pod) => this.letGo(pod)),
      () => stop.forEach((pod) => this.remove(pod)),
      () => spare.forEach((pod) => (this.letGo(pod), this.remove(pod))),
      () =>
        create.forEach(({ index, ...before }) => {
          const pod = jobPod(this.job, index, before);
          this.pods.push({ ...pod, metadata: { ...pod.metadata, ...meta(`p${this.ever++}`), finalizers: [tracking] } });
        }),
    ];
    for (const step of all.slice(0, steps)) step();
  }
  letGo(pod: Pod & Stored): void {
    pod.metadata.finalizers = [];
    if (pod.metadata.deletionTimestamp) this.pods = this.pods.filter((other) => other !== pod);
  }
  remove(pod: Pod & Stored): void {
    if (pod.metadata.finalizers?.length) pod.metadata.deletionTimestamp = timestamp(0);
    else this.pods = this.pods.filter((other) => other !== pod);
  }
  end(i: number, phase: 'Succeeded' | 'Failed'): void {
    const active = this.pods.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
    const pod = active[i % Math.max(1, active.length)];
    if (pod) pod.status = { phase };
  }
}

const jobEvent = fc.tuple(fc.constantFrom('plan', 'plan', 'succeed', 'fail', 'delete'), fc.nat({ max: 5 }));

test('a job never exceeds its completions nor its parallelism, and counts each end once, wherever its controller dies', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      fc.array(jobEvent, { maxLength: 80 }),
      (completions, parallelism, isIndexed, events) => {
        const completionMode = isIndexed ? 'Indexed' : 'NonIndexed';
        const work = new Work({ completions, parallelism, completionMode, backoffLimit: 10_000, template });
        let succeeded = 0;
        const happen = (event: string, i: number, now: number) => {
          if (event === 'plan') work.plan(now, i);
          if (event === 'succeed') work.end(i, 'Succeeded');
          if (event === 'fail') work.end(i, 'Failed');
          const pod = work.pods[i % Math.max(1, work.pods.length)];
          if (event === 'delete' && pod) work.remove(pod);
          const active = work.pods.filter(
            ({ metadata, status }) => !metadata.deletionTimestamp && !status?.phase?.match(/ed$/),
          );
          const before = succeeded;
          succeeded = work.job.status?.succeeded ?? 0;
          expect(active.length).toBeLessThanOrEqual(parallelism);
          expect(succeeded).toBeGreaterThanOrEqual(before);
          expect(succeeded).toBeLessThanOrEqual(completions);
        };
        // Waits after failures are over when the next thing happens.
        let now = 0;
        for (const [event, i] of events) happen(event, i, (now += 3_600_000));
        for (let i = 0; i < 60; i++) for (const event of ['plan', 'succeed']) happen(event, 5, (now += 3_600_000));
        const types = (status: JobStatus | undefined) => (status?.conditions ?? []).map(({ type }) => type);
        expect([types(work.job.status).includes('Complete'), work.job.status?.succeeded]).toEqual([true, completions]);
      },
    ),
    { numRuns: 300 },
  ));
