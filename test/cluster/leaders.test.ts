import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DaemonSet } from '../../api/kinds/daemon-set.ts';
import { Deployment } from '../../api/kinds/deployment.ts';
import { Job } from '../../api/kinds/job.ts';
import { Lease } from '../../api/kinds/lease.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { Informers } from '../../client/informer.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { type EtcdProcess, startEtcd } from '../apiserver/etcd-process.ts';
import { deployment, running, startControllers } from '../controllers/harness.ts';
import { eventually } from '../eventually.ts';

const namespace = 'default';
const minute = 60_000;
const nodes = 3;
/** How often the leader is killed, each time after something new was declared: KM_LEADER_KILLS=60 is for longer runs. */
const rounds = Number(process.env['KM_LEADER_KILLS'] ?? 8);

let etcd: EtcdProcess;
let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  etcd = await startEtcd();
  w = await startControllers({ controllers: [] }, { etcdServers: [etcd.url] });
}, minute);
afterAll(async () => {
  await w.stop();
  await etcd.stop();
}, minute);

/** Controller managers, as many as told; whoever dies is followed by another. */
class Managers {
  kills = 0;
  readonly #kubeconfig: string;
  readonly #all = new Set<ChildProcess>();
  readonly #leading = new Set<ChildProcess>();
  #isEnding = false;

  constructor(kubeconfig: string, count: number) {
    this.#kubeconfig = kubeconfig;
    for (let i = 0; i < count; i += 1) this.#start();
  }

  #start(): void {
    const times = ['lease-duration=3s', 'renew-deadline=2500ms', 'retry-period=100ms'].map(
      (t) => `--leader-elect-${t}`,
    );
    // No kubelet renews anything here.
    const flags = ['--kubeconfig', this.#kubeconfig, ...times, '--node-monitor-grace-period=10m'];
    const child = spawn(process.execPath, ['cli/km.ts', 'controller-manager', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#all.add(child);
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('"controllers are working"')) this.#leading.add(child);
    });
    child.once('exit', () => {
      this.#all.delete(child);
      this.#leading.delete(child);
      if (!this.#isEnding) this.#start();
    });
  }

  /** SIGKILL for whoever works, each second, until `count` have died. */
  async killEverySecond(count: number, signal: AbortSignal): Promise<void> {
    while (this.kills < count && !signal.aborted) {
      await delay(1000, signal).catch(() => undefined);
      for (const leader of signal.aborted ? [] : this.#leading)
        if (leader.kill('SIGKILL')) {
          this.#leading.delete(leader);
          this.kills += 1;
        }
    }
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(
      [...this.#all].map((child) => {
        child.kill('SIGKILL');
        return once(child, 'exit');
      }),
    );
  }
}

const podSpec = { containers: [{ name: 'c', image: 'x:1' }] };
const template = (app: string, spec: object = {}) => ({
  metadata: { labels: { app } },
  spec: { ...podSpec, ...spec },
});

/** What is declared in each round, and how many pods of each app there shall ever have been. */
async function declare(round: number): Promise<[app: string, pods: number][]> {
  const app = (kind: string) => `${kind}-${round}`;
  const meta = (kind: string) => ({ name: app(kind), namespace });
  const selector = (kind: string) => ({ matchLabels: { app: app(kind) } });
  await w.client.create(Deployment, deployment(app('web'), 6));
  await w.client.create(Job, {
    metadata: meta('job'),
    spec: { completions: 5, parallelism: 2, template: template(app('job'), { restartPolicy: 'Never' }) },
  });
  await w.client.create(StatefulSet, {
    metadata: meta('db'),
    spec: { replicas: 3, serviceName: 'db', selector: selector('db'), template: template(app('db')) },
  });
  await w.client.create(DaemonSet, {
    metadata: meta('ds'),
    spec: { selector: selector('ds'), template: template(app('ds')) },
  });
  // What was declared before changes, too: as many again come new.
  if (round > 0) await w.client.patch(Deployment, { namespace, name: `web-${round - 1}` }, { spec: { replicas: 9 } });
  return [
    [app('web'), round < rounds - 1 ? 9 : 6],
    [app('job'), 5],
    [app('db'), 3],
    [app('ds'), nodes],
  ];
}

test(
  'controller managers whose leader is killed each second make no pod twice, and end where they should',
  async () => {
    const kubeconfig = join(w.server.dir, 'controller-manager.kubeconfig');
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        'current-context': 'km',
        contexts: [{ name: 'km', context: { cluster: 'km', user: 'km' } }],
        clusters: [
          {
            name: 'km',
            cluster: {
              server: w.server.url,
              'certificate-authority-data': Buffer.from(w.server.ca.pem).toString('base64'),
            },
          },
        ],
        users: [{ name: 'km', user: { token: 'controller-token' } }],
      }),
    );
    for (let i = 0; i < nodes; i += 1)
      await w.client.create(Node, {
        metadata: { name: `node-${i}` },
        status: { conditions: [{ type: 'Ready', status: 'True' }] },
      });
    /** Every pod that ever was, by app. */
    const ever = new Map<string, Set<string>>();
    const informers = new Informers(w.client, silent);
    informers.of(Pod).on(({ type, object: { metadata } }) => {
      const app = metadata.labels?.['app'] ?? '';
      if (type === 'added') ever.set(app, (ever.get(app) ?? new Set()).add(metadata.uid));
    });
    await informers.start(w.signal);
    await w.runPods((pod) => (pod.metadata.labels?.['app']?.startsWith('job') ? { phase: 'Succeeded' } : running(pod)));

    const managers = new Managers(kubeconfig, 2);
    const wanted: [string, number][] = [];
    const over = new AbortController();
    try {
      const killing = managers.killEverySecond(rounds, over.signal);
      for (let round = 0; round < rounds; round += 1) {
        wanted.push(...(await declare(round)));
        await eventually(() => expect(managers.kills).toBeGreaterThan(round), 2 * minute);
      }
      await killing;
      await eventually(async () => {
        const each = Array.from({ length: rounds }, (_, i) => i);
        const list = async <T>(items: Promise<{ items: T[] }>) => (await items).items;
        const sets = await list(w.client.list(StatefulSet, { namespace }));
        expect(sets.map(({ status }) => status?.readyReplicas)).toEqual(each.map(() => 3));
        const daemons = await list(w.client.list(DaemonSet, { namespace }));
        expect(daemons.map(({ status }) => status?.numberReady)).toEqual(each.map(() => nodes));
        const jobs = await list(w.client.list(Job, { namespace }));
        expect(jobs.map(({ status }) => status?.succeeded)).toEqual(each.map(() => 5));
        const webs = await list(w.client.list(Deployment, { namespace }));
        const replicas = new Map(webs.map(({ metadata, status }) => [metadata.name, status?.availableReplicas]));
        for (const round of each)
          expect([round, replicas.get(`web-${round}`)]).toEqual([round, round < rounds - 1 ? 9 : 6]);
      }, minute);
      // Not one more than was declared: nothing was made twice and taken back.
      expect(wanted.map(([app]) => [app, ever.get(app)?.size])).toEqual(wanted);
      const replicaSets = await w.client.list(ReplicaSet, { namespace });
      expect(replicaSets.items).toHaveLength(rounds);
      const { spec } = await w.client.get(Lease, { namespace: 'kube-system', name: 'km-controller-manager' });
      // Whoever follows the last one may not have had to do anything yet.
      expect(spec?.leaseTransitions).toBeGreaterThanOrEqual(managers.kills - 1);
    } finally {
      over.abort();
      await managers.stop();
    }
  },
  3 * minute + rounds * 15_000,
);
