import { expect, test } from '@jest/globals';
import { CronJob } from '../../api/kinds/cron-job.ts';
import { Deployment } from '../../api/kinds/deployment.ts';
import { Job } from '../../api/kinds/job.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { PodDisruptionBudget } from '../../api/kinds/pod-disruption-budget.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { deleteCollection, everyVerb } from '../client/every-verb.ts';
import { aroundTests } from './around-tests.ts';
import { type Controllers, deployment, running } from './harness.ts';
import { statusEndpoints } from './status-endpoints.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise; kubelets are played, so pods just run.

let c: Controllers;
aroundTests((started) => void (c = started), running);

const namespace = 'default';
const ref = (name: string) => ({ namespace, name });
const template = (name: string) => ({
  metadata: { labels: { app: name } },
  spec: { containers: [{ name: 'c', image: 'x' }], restartPolicy: 'Never' as const },
});
const cron = (name: string, spec: Partial<CronJob['spec']> = {}): CronJob => ({
  metadata: ref(name),
  spec: { schedule: '@every 1s', jobTemplate: { spec: { template: template(name) } }, ...spec },
});
const jobsOf = async (name: string) =>
  (await c.client.list(Job, { namespace })).items.filter(
    ({ metadata }) => metadata.ownerReferences?.[0]?.name === name && !metadata.deletionTimestamp,
  );

test('CronJob should support CronJob API operations', () =>
  everyVerb(c.client, CronJob, (name) => cron(name, { schedule: '0 0 1 1 *', suspend: true }), {
    lastScheduleTime: '2026-01-01T00:00:00Z',
  }));

test('CronJob should schedule multiple jobs concurrently', async () => {
  const { metadata } = await c.client.create(CronJob, cron('many', { concurrencyPolicy: 'Allow', suspend: true }));
  // A job is named by the minute it is for: this one is of a minute before.
  const owner = { apiVersion: 'batch/v1', kind: 'CronJob', name: 'many', uid: metadata.uid, controller: true };
  const first = await c.client.create(Job, {
    metadata: { ...ref('many-1'), ownerReferences: [owner] },
    spec: { template: template('many') },
  });
  await eventually(async () => expect((await c.client.get(Job, ref('many-1'))).status?.active).toBe(1));
  await c.client.patch(CronJob, metadata, { spec: { suspend: false } });
  await eventually(async () => {
    const jobs = await jobsOf('many');
    expect(jobs.map(({ status }) => status?.active)).toEqual([1, 1]);
    expect(jobs.map(({ metadata: { uid } }) => uid)).toContain(first.metadata.uid);
  });
  await c.client.delete(CronJob, ref('many'));
});

test('CronJob should replace jobs when ReplaceConcurrent', async () => {
  await c.client.create(CronJob, cron('replaces', { concurrencyPolicy: 'Replace' }));
  const [first] = await eventually(async () => {
    const jobs = await jobsOf('replaces');
    expect(jobs).toHaveLength(1);
    return jobs;
  });
  await eventually(async () => {
    const jobs = await jobsOf('replaces');
    expect(jobs).toHaveLength(1);
    expect(jobs[0]?.metadata.uid).not.toBe(first?.metadata.uid);
    expect((await c.client.get(CronJob, ref('replaces'))).status?.active).toHaveLength(1);
  });
  await c.client.delete(CronJob, ref('replaces'));
});

test('Job should delete a job', async () => {
  const spec = { parallelism: 2, completions: 2, template: template('ends') };
  await c.client.create(Job, { metadata: ref('ends'), spec });
  await eventually(async () => expect((await c.client.get(Job, ref('ends'))).status?.active).toBe(2));
  await c.client.delete(Job, ref('ends'), { propagationPolicy: 'Foreground' });
  await eventually(async () => {
    expect(await c.client.get(Job, ref('ends')).then(() => false, isNotFound)).toBe(true);
    expect(await c.podsOf('ends')).toEqual([]);
  });
});

const budget = (name: string, spec: PodDisruptionBudget['spec'] = { minAvailable: 1 }): PodDisruptionBudget => ({
  metadata: { ...ref(name), labels: { app: name } },
  spec: { selector: { matchLabels: { app: name } }, ...spec },
});
const budgetStatus = async (name: string) => (await c.client.get(PodDisruptionBudget, ref(name))).status;

test('DisruptionController should create a PodDisruptionBudget', async () => {
  await c.client.create(PodDisruptionBudget, budget('made'));
  await eventually(async () => expect((await budgetStatus('made'))?.observedGeneration).toBe(1));
  const updated = await c.client.get(PodDisruptionBudget, ref('made'));
  const raised = await c.client.update(PodDisruptionBudget, { ...updated, spec: { ...updated.spec, minAvailable: 2 } });
  expect(raised.spec?.minAvailable).toBe(2);
  await c.client.patch(PodDisruptionBudget, ref('made'), { spec: { minAvailable: '20%' } });
  expect((await c.client.get(PodDisruptionBudget, ref('made'))).spec?.minAvailable).toBe('20%');
  await c.client.delete(PodDisruptionBudget, ref('made'));
  expect(await c.client.get(PodDisruptionBudget, ref('made')).then(() => false, isNotFound)).toBe(true);
});

test('DisruptionController should observe PodDisruptionBudget status updated', async () => {
  await c.client.create(PodDisruptionBudget, budget('seen', { minAvailable: 1 }));
  await c.client.create(Deployment, deployment('seen', 3));
  await eventually(async () =>
    expect(await budgetStatus('seen')).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 2, expectedPods: 3 }),
  );
});

test('DisruptionController should update/patch PodDisruptionBudget status', async () => {
  await c.client.create(PodDisruptionBudget, budget('told'));
  await eventually(async () => expect((await budgetStatus('told'))?.observedGeneration).toBe(1));
  await statusEndpoints(c.client, PodDisruptionBudget, ref('told'), { minAvailable: 7 });
});

test('DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets', async () => {
  await c.client.create(Namespace, { metadata: { name: 'elsewhere' } });
  const labels = { collected: 'yes' };
  const made = ['one', 'two'].map((name) => ({ ...budget(name), metadata: { ...ref(name), labels } }));
  for (const one of made) await c.client.create(PodDisruptionBudget, one);
  const other = { ...budget('three'), metadata: { namespace: 'elsewhere', name: 'three', labels } };
  await c.client.create(PodDisruptionBudget, other);
  const names = async () => {
    const { items } = await c.client.list(PodDisruptionBudget, { labelSelector: 'collected=yes' });
    return items.map(({ metadata }) => metadata.name).sort();
  };
  expect(await names()).toEqual(['one', 'three', 'two']);
  await deleteCollection(c.client, PodDisruptionBudget, 'collected=yes', namespace);
  expect(await names()).toEqual(['three']);
});
