import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Deployment } from '../../api/kinds/deployment.ts';
import { Job } from '../../api/kinds/job.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Client } from '../../client/client.ts';
import { Informers } from '../../client/informer.ts';
import { lead } from '../../client/lease.ts';
import { options, start } from '../../controllers/index.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { eventually } from '../eventually.ts';
import { deployment, running, startControllers } from './harness.ts';

/** How often the leader is killed: KM_LEADER_KILLS makes it longer. */
const kills = Number(process.env['KM_LEADER_KILLS'] ?? 12);
const controllers = ['deployment', 'replica-set', 'job', 'garbage-collector'];
const lease = { leaseDuration: 1000, renewDeadline: 800, retryPeriod: 50 };

const stopping = new AbortController();
let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (w = await startControllers({ controllers: [] })));
afterAll(async () => {
  stopping.abort();
  await w.stop();
});

/** Stands by and leads until it is killed: its requests break off and the lease stays with the dead. */
async function manager(identity: string, leading: (kill: () => void) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const client = new Client({ server: w.server.url, ca: w.server.ca.pem, token: 'controller-token' });
    const killed = new AbortController();
    let lost: AbortSignal | undefined;
    const all = AbortSignal.any([signal, killed.signal]);
    try {
      const name = 'controllers-under-test';
      const own = `${identity}-${Math.random()}`;
      ({ lost } = await lead({ client: w.client, name, identity: own, log: silent, signal: all, ...lease }));
      const working = AbortSignal.any([all, lost]);
      const { closed } = await start({ ...defaultsOf(options), controllers }, { client, log: silent, signal: working });
      leading(() => killed.abort());
      await closed;
    } catch (error) {
      // On a machine that is busy a lease may run out: another kind of death.
      if (!all.aborted && !lost?.aborted) throw error;
    } finally {
      await client.close();
    }
  }
}

test(
  'managers whose leader is killed again and again make every pod once, and end where they should',
  async () => {
    const ever = new Map<string, Set<string>>();
    const informers = new Informers(w.client, silent);
    informers.of(Pod).on(({ type, object: { metadata } }) => {
      const app = metadata.labels?.['app'] ?? '';
      if (type === 'added') ever.set(app, (ever.get(app) ?? new Set()).add(metadata.uid));
    });
    await informers.start(w.signal);
    await w.runPods((pod) => (pod.metadata.labels?.['app']?.startsWith('job') ? { phase: 'Succeeded' } : running(pod)));

    let led = 0;
    const killLater = (kill: () => void) => {
      led += 1;
      if (led <= kills) void delay(50 + ((led * 137) % 400)).then(kill);
    };
    const managers = ['one', 'other'].map((identity) => manager(identity, killLater, stopping.signal));
    const names = Array.from({ length: kills }, (_, i) => i);
    for (const i of names) {
      await w.client.create(Deployment, deployment(`web-${i}`, 5));
      const template = { metadata: { labels: { app: `job-${i}` } }, spec: deployment('j', 1).spec.template.spec };
      await w.client.create(Job, {
        metadata: { name: `job-${i}`, namespace: 'default' },
        spec: {
          completions: 4,
          parallelism: 2,
          template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } },
        },
      });
      const before = led;
      await eventually(() => expect(led).toBeGreaterThan(Math.min(before, kills)), 60_000);
    }
    await eventually(async () => {
      const { items } = await w.client.list(Deployment, { namespace: 'default' });
      expect(items.map(({ status }) => status?.availableReplicas)).toEqual(names.map(() => 5));
      const { items: jobs } = await w.client.list(Job, { namespace: 'default' });
      expect(jobs.map(({ status }) => status?.succeeded)).toEqual(names.map(() => 4));
    }, 60_000);
    expect(led).toBeGreaterThanOrEqual(kills);
    for (const i of names) expect([i, ever.get(`web-${i}`)?.size, ever.get(`job-${i}`)?.size]).toEqual([i, 5, 4]);
    stopping.abort();
    await Promise.all(managers);
  },
  60_000 + kills * 5000,
);
