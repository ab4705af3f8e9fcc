import { setTimeout as wait } from 'node:timers/promises';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { isConflict, isNotFound } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';
import { Informer } from '../../client/informer.ts';
import { silent } from '../../lib/log.ts';
import { askMaster } from '../../mesos/operator.ts';
import type { Task } from '../../mesos/tasks.ts';
import { seeded } from '../../scheduler/index.ts';
import { eventually } from '../eventually.ts';
import type { ElectedCluster } from './elected.ts';

export const agents = 40;
/** Only these are ever declared gone, and no volume is on them: what it holds would be gone, too. */
const doomed = ['simulated-1', 'simulated-2'];
const sets = 6;
/** Pods of one set at most: of all of them some thousand. */
const crowd = 340;
const namespace = 'default';

const podSpec = (more: object = {}) => ({
  terminationGracePeriodSeconds: 0,
  tolerations: ['unreachable', 'not-ready'].map((why) => ({
    key: `node.kubernetes.io/${why}`,
    operator: 'Exists' as const,
    effect: 'NoExecute' as const,
    tolerationSeconds: 1,
  })),
  containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m', memory: '16Mi' } } }],
  ...more,
});

const setNamed = (name: string): ReplicaSet => ({
  metadata: { name, namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { set: name } },
    template: { metadata: { labels: { set: name } }, spec: podSpec() },
  },
});

/** Its pods come side by side, and its claims go with them. */
const keeper: StatefulSet = {
  metadata: { name: 'keeper', namespace },
  spec: {
    replicas: 0,
    serviceName: 'keeper',
    podManagementPolicy: 'Parallel',
    persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' },
    selector: { matchLabels: { set: 'keeper' } },
    template: {
      metadata: { labels: { set: 'keeper' } },
      spec: podSpec({
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: doomed }] },
              ],
            },
          },
        },
      }),
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'data' },
        spec: {
          accessModes: ['ReadWriteOnce'],
          storageClassName: 'mesos',
          resources: { requests: { storage: '64Mi' } },
        },
      },
    ],
  },
};

const live = new Set(['TASK_STAGING', 'TASK_STARTING', 'TASK_RUNNING', 'TASK_KILLING']);
const uidOf = ({ task_id }: Task): string => task_id.value.split('.')[1] ?? '';

/** What the master has right now; nothing while there is none. */
export async function liveTasks(elected: ElectedCluster): Promise<Task[]> {
  const { get_tasks } = await askMaster({ url: elected.leader ?? '' }, { type: 'GET_TASKS' });
  return (get_tasks.tasks ?? []).filter(({ state }) => live.has(state));
}

/**
 * Pods that have more than one task. A launch on an agent that cannot be reached is made anew elsewhere, and comes back with
 * the agent for as long as it takes to kill it: tasks of such agents do not count.
 */
export function doubled(tasks: readonly Task[], wasAway: ReadonlySet<string>): string[] {
  const counted = tasks.filter(({ agent_id }) => !wasAway.has(hostOf(agent_id.value)));
  return [...Map.groupBy(counted, uidOf).values()]
    .filter((of) => of.length > 1)
    .map((of) => of.map(({ task_id }) => task_id.value).join(' and '));
}

/** The development Mesos numbers its agents in the order of their names. */
const hostOf = (agentId: string): string => `simulated-${Number(/-S(\d+)$/.exec(agentId)?.[1]) + 1}`;

/** Wishes that change and things that break, in an order that the seed decides. What it did is in `diary`. */
export class Chaos {
  readonly diary: string[] = [];
  /** Pods that each set shall have. */
  readonly wanted = new Map<string, number>();
  readonly #elected: ElectedCluster;
  readonly #random: () => number;
  /** Agents that were out of reach at some time. */
  readonly wasAway = new Set<string>();
  readonly #lost = new Set<string>();
  readonly #crashed = new Set<string>();
  readonly #gone = new Set<string>();
  #isMasterDead = false;

  constructor(elected: ElectedCluster, seed: number) {
    this.#elected = elected;
    this.#random = seeded(seed);
  }

  async begin(): Promise<void> {
    const { client } = this.#elected.cluster;
    for (let i = 0; i < sets; i++) {
      await client.create(ReplicaSet, setNamed(`crowd-${i}`));
      this.wanted.set(`crowd-${i}`, 0);
    }
    await client.create(StatefulSet, keeper);
    this.wanted.set('keeper', 0);
  }

  /** What kubelets do for pods that are to go, the ones that are cut off excepted; simulated agents have none. */
  async playKubelets(signal: AbortSignal): Promise<void> {
    const { client } = this.#elected.cluster;
    const pods = new Informer(client, Pod, {}, silent);
    await pods.start(signal);
    while (!signal.aborted) {
      const leaving = [...pods.list()].filter(
        ({ metadata, spec }) => metadata.deletionTimestamp && spec.nodeName && !this.#lost.has(spec.nodeName),
      );
      await Promise.all(leaving.map(({ metadata }) => remove(client, metadata)));
      await wait(100);
    }
  }

  /** Two wishes and one fault. */
  async step(): Promise<void> {
    await this.#scale(`crowd-${this.#upTo(sets)}`, this.#upTo(crowd));
    await (this.#upTo(3) === 0 ? this.#scale('keeper', this.#upTo(8)) : this.#deleteSome());
    const [name, action] = this.#pick(this.#faults);
    const began = performance.now();
    await action();
    this.diary.push(`${name} (${Math.round(performance.now() - began)} ms)`);
    await wait(this.#upTo(1500));
  }

  /** Everything is whole again, with a new leader: to that one agents say again what nobody has acknowledged yet. */
  async calm(): Promise<void> {
    await this.#fault({ fault: 'disturbUpdates', copies: 1, delay: 0 });
    await this.#killLeader();
    await this.#startMasters();
    for (const agent of this.#lost) await this.#fault({ fault: 'returnAgent', agent });
    this.#lost.clear();
    for (const agent of this.#crashed) await this.#fault({ fault: 'restartAgent', agent });
  }

  readonly #faults: readonly (readonly [string, () => Promise<void>])[] = [
    ['nothing', () => Promise.resolve()],
    ['the scheduler is killed', () => this.#killScheduler()],
    ['the leading master is killed', () => this.#killLeader()],
    ['an agent is cut off', () => this.#lose()],
    ['an agent is cut off', () => this.#lose()],
    ['an agent is back', () => this.#return()],
    ['an agent crashes', () => this.#crash()],
    ['an agent is started again', () => this.#restart()],
    ['an agent is declared gone', () => this.#declareGone()],
    ['updates are lost', () => this.#fault({ fault: 'disturbUpdates', copies: 0, delay: 0 })],
    ['updates come twice', () => this.#fault({ fault: 'disturbUpdates', copies: 2, delay: 0 })],
    ['updates come late', () => this.#fault({ fault: 'disturbUpdates', copies: 1, delay: 700 })],
    ['updates come as they should', () => this.#fault({ fault: 'disturbUpdates', copies: 1, delay: 0 })],
    ['the stream breaks', () => this.#fault({ fault: 'dropStreams' })],
  ];

  #upTo(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#upTo(list.length)]!;
  }

  async #scale(name: string, replicas: number): Promise<void> {
    this.diary.push(`${name} shall have ${replicas}`);
    this.wanted.set(name, replicas);
    const { client } = this.#elected.cluster;
    const ref = { namespace, name };
    if (name === 'keeper') await client.patch(StatefulSet, ref, { spec: { replicas } });
    else await client.patch(ReplicaSet, ref, { spec: { replicas } });
  }

  async #deleteSome(): Promise<void> {
    const { client } = this.#elected.cluster;
    const { items } = await client.list(Pod, { namespace });
    const every = 5 + this.#upTo(10);
    const victims = items.filter((_, i) => i % every === 0);
    this.diary.push(`${victims.length} pods are deleted`);
    await Promise.all(victims.map(({ metadata }) => remove(client, metadata)));
  }

  /** Where none leads yet, there is one soon. */
  #fault(order: object): Promise<void> {
    return eventually(() => this.#elected.fault(order), 20_000);
  }

  #killScheduler(): Promise<void> {
    const { pid } = this.#elected.cluster.servers.get('scheduler') ?? {};
    try {
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    } catch {
      // It was killed a moment ago, and is not back yet.
    }
    return Promise.resolve();
  }

  async #killLeader(): Promise<void> {
    await this.#startMasters();
    this.#isMasterDead = true;
    await this.#elected.killLeader();
  }

  async #startMasters(): Promise<void> {
    if (!this.#isMasterDead) return;
    for (const master of [0, 1, 2]) await this.#fault({ fault: 'startMaster', master });
    this.#isMasterDead = false;
  }

  #whole(): string[] {
    const all = Array.from({ length: agents }, (_, i) => `simulated-${i + 1}`);
    return all.filter((agent) => ![this.#lost, this.#crashed, this.#gone].some((broken) => broken.has(agent)));
  }

  async #lose(): Promise<void> {
    const agent = this.#pick(this.#whole());
    this.#lost.add(agent);
    this.wasAway.add(agent);
    await this.#fault({ fault: 'loseAgent', agent });
  }

  async #return(): Promise<void> {
    if (this.#lost.size === 0) return;
    const agent = this.#pick([...this.#lost]);
    this.#lost.delete(agent);
    await this.#fault({ fault: 'returnAgent', agent });
  }

  async #crash(): Promise<void> {
    const agent = this.#pick(this.#whole());
    this.#crashed.add(agent);
    this.wasAway.add(agent);
    await this.#fault({ fault: 'crashAgent', agent });
  }

  async #restart(): Promise<void> {
    if (this.#crashed.size === 0) return;
    const agent = this.#pick([...this.#crashed]);
    this.#crashed.delete(agent);
    await this.#fault({ fault: 'restartAgent', agent });
  }

  async #declareGone(): Promise<void> {
    const agent = this.#whole().find((one) => doomed.includes(one));
    if (agent === undefined) return;
    const id = await eventually(async () => {
      const { get_agents } = await askMaster({ url: this.#elected.leader ?? '' }, { type: 'GET_AGENTS' });
      const found = get_agents.agents?.find(({ agent_info }) => agent_info.hostname === agent)?.agent_info.id;
      if (!found) throw new Error(`${agent} is not there yet`);
      return found;
    }, 20_000);
    this.#gone.add(agent);
    const call = { type: 'MARK_AGENT_GONE' as const, mark_agent_gone: { agent_id: id } };
    await eventually(() => askMaster({ url: this.#elected.leader ?? '' }, call), 20_000);
  }
}

async function remove(client: Client, { namespace, name, uid }: Stored['metadata']): Promise<void> {
  const options = { gracePeriodSeconds: 0, preconditions: { uid } };
  await client.delete(Pod, { namespace, name }, options).catch((error: unknown) => {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  });
}

export const taskOf = ({ metadata }: Pod & Stored): string | undefined => metadata.annotations?.[annotations.taskId];
