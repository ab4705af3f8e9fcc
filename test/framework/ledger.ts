import { expect } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import type { Effect } from '../../framework/effects.ts';
import type { State } from '../../framework/state.ts';
import type { Call } from '../../mesos/scheduler.ts';
import type { TaskInfo, TaskState, TaskStatus } from '../../mesos/tasks.ts';
import type { Resource } from '../../mesos/types.ts';
import { makePod } from '../scheduler/builders.ts';
import { makeOffer, ports, register, scalar, statusOf, subscribed } from './builders.ts';

interface ModelTask {
  id: string;
  uid: string;
  agent: string;
  /** What it is, and not yet told; each is told until it is acknowledged, then comes the next. */
  told: TaskStatus[];
  isOver: boolean;
  /** It was out of reach, and counts no more: a pod may have been given another. */
  wasAway: boolean;
}

const isOver = (state: TaskState) => !['TASK_STARTING', 'TASK_RUNNING', 'TASK_UNREACHABLE'].includes(state);
const hex = (uuid: Uint8Array) => Buffer.from(uuid).toString('hex');

/** A master and an apiserver that keep their own books of what State says and is told; `check` finds where they differ from its. */
export class Ledger {
  readonly state: State = subscribed();
  readonly offers = new Map<string, readonly Resource[]>();
  readonly tasks = new Map<string, ModelTask>();
  readonly pods = new Map<string, Pod>();
  /** Agents on which ours runs: it comes with the first task, and stays. */
  readonly #executors = new Set<string>();
  /** Acknowledgements that wait for something to be written down, and what is to be done for it; in order for each pod. */
  readonly #work: { uid: string; ack: Call | undefined; act: (isRefused: boolean) => Effect[] }[] = [];
  /** Statuses that were told, by uuid: how often they were acknowledged. */
  readonly #acknowledged = new Map<string, number>();
  #now = 0;

  passes(ms: number): void {
    this.#now += ms;
    this.#carryOut(this.state.tick(this.#now));
  }

  offer(agent: string, size: number): void {
    const first = 31_000 + 100 * this.offers.size;
    const resources = [scalar('cpus', size), scalar('mem', size * 512), ports(first, first + size)];
    const offer = { ...makeOffer(agent, { executor: this.#executors.has(agent) }), resources };
    this.offers.set(offer.id.value, resources);
    this.#carryOut(this.state.offered([offer], this.#now));
    register(this.state);
  }

  rescind(k: number): void {
    const id = nth([...this.offers.keys()], k);
    if (id === undefined) return;
    this.offers.delete(id);
    this.#carryOut(this.state.rescinded(id, this.#now));
  }

  reserve(agent: string, size: number): void {
    const containers = [{ name: 'c', resources: { requests: { cpu: `${size * 300}m`, memory: `${size * 100}Mi` } } }];
    const pod = makePod(`p${this.pods.size}`, { containers });
    this.pods.set(pod.metadata.uid!, pod);
    this.state.reserve(pod, `host-${agent}`);
  }

  launch(isRecorded: boolean): void {
    for (const launch of this.state.takeLaunches(this.#now))
      this.#carryOut(
        isRecorded
          ? this.state.recorded(launch, this.#now)
          : this.state.notRecorded(launch, 'the apiserver is away', this.#now),
      );
  }

  /** The task becomes something else. Of one that Mesos never started nothing is to be acknowledged. */
  becomes(k: number, state: TaskState): void {
    const task = nth(this.#live(), k);
    if (!task) return;
    const before = task.told.at(-1)?.state;
    if (state === 'TASK_DROPPED' && before !== undefined) return;
    this.#becomes(task, state, state !== 'TASK_DROPPED');
  }

  /** Says what is next of a task; again, where that was not acknowledged. */
  tell(k: number): void {
    const [status] =
      nth(
        [...this.tasks.values()].filter(({ told }) => told.length > 0),
        k,
      )?.told ?? [];
    if (status) this.#tell(status);
  }

  /** The apiserver answers what it was asked longest ago for some pod. */
  write(k: number, isRefused: boolean): void {
    const firsts = [...Map.groupBy(this.#work, ({ uid }) => uid).values()].map(([first]) => first!);
    const work = nth(firsts, k);
    if (!work) return;
    this.#work.splice(this.#work.indexOf(work), 1);
    this.#carryOut(work.act(isRefused));
    this.state.acknowledged(work.ack);
    if (work.ack) this.#take(work.ack);
  }

  delete(k: number): void {
    const uid = nth([...this.pods.keys()], k);
    if (uid === undefined) return;
    this.pods.delete(uid);
    this.#carryOut(this.state.podGone(uid, this.#now));
  }

  loses(agent: string): void {
    this.state.agentLost(agent, this.#now);
    for (const task of this.#live().filter((one) => one.agent === agent)) {
      task.wasAway = true;
      this.#tell(told(task.id, agent, 'TASK_UNREACHABLE', false));
    }
  }

  returns(agent: string): void {
    for (const task of this.#live().filter((one) => one.agent === agent && one.wasAway))
      this.#tell(told(task.id, agent, 'TASK_RUNNING', false));
  }

  reconnects(): void {
    this.offers.clear();
    this.#carryOut(this.state.disconnected(this.#now));
    this.#carryOut(this.state.subscribed('f-0001', this.#now));
  }

  /** Everybody does what is left to do, and nobody wants anything new. */
  settles(): void {
    this.#carryOut(this.state.want([], this.#now));
    for (let i = 0; i < 300; i++) {
      this.launch(true);
      for (const agent of new Set([...this.tasks.values()].map((task) => task.agent))) this.returns(agent);
      for (const task of this.#live())
        if (!task.told.length && !this.#isStarted(task)) this.#becomes(task, 'TASK_RUNNING');
      this.tell(i);
      this.write(i, false);
      this.passes(1000);
    }
  }

  /** At any time. */
  check(): void {
    for (const node of this.state.nodes)
      for (const amount of Object.values(node.free)) expect(amount).toBeGreaterThanOrEqual(0);
    const counted = this.#live().filter(({ wasAway }) => !wasAway);
    for (const [uid, all] of Map.groupBy(counted, (task) => task.uid))
      expect([uid, all.map(({ id }) => id)]).toEqual([uid, [expect.any(String)]]);
  }

  /** Once everything has settled. */
  checkEnd(): void {
    expect([...this.offers.keys()]).toEqual([]);
    expect(this.#work).toEqual([]);
    expect([...this.#acknowledged].filter(([, times]) => times !== 1)).toEqual([]);
    expect([...this.state.tasks.all()].map(({ id }) => id).sort()).toEqual(
      this.#live()
        .map(({ id }) => id)
        .sort(),
    );
    for (const { uid } of this.#live()) expect([...this.pods.keys()]).toContain(uid);
  }

  #live(): ModelTask[] {
    return [...this.tasks.values()].filter((task) => !task.isOver);
  }

  readonly #started = new Set<string>();
  #isStarted({ id }: ModelTask): boolean {
    return this.#started.has(id);
  }

  #becomes(task: ModelTask, state: TaskState, isOfAgent = true): void {
    const states: TaskState[] = state === 'TASK_RUNNING' && !this.#isStarted(task) ? ['TASK_STARTING', state] : [state];
    this.#started.add(task.id);
    for (const one of states) task.told.push(told(task.id, task.agent, one, isOfAgent));
    task.isOver = isOver(state);
  }

  #tell(status: TaskStatus): void {
    if (status.uuid) this.#acknowledged.set(hex(status.uuid), this.#acknowledged.get(hex(status.uuid)) ?? 0);
    else {
      const task = this.tasks.get(status.task_id.value);
      if (task?.told[0] === status) task.told.shift();
    }
    this.#carryOut(this.state.updated(status, this.#now));
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.do === 'call') this.#take(effect.call);
      else if (effect.do === 'bind') {
        const { task, ack } = effect;
        const act = (isRefused: boolean) =>
          isRefused || !this.pods.has(task.uid)
            ? this.state.bindFailed(task, 'the pod is gone')
            : this.state.bound(task, this.#now);
        this.#work.push({ uid: task.uid, ack, act });
      } else if (effect.do === 'ended') {
        const { task, ack } = effect;
        const act = (hasEnded: boolean): Effect[] => {
          const pod = this.pods.get(task.uid);
          if (pod && !hasEnded)
            return this.state.addHomeless({ ...pod, spec: { ...pod.spec, nodeName: task.node } }, this.#now);
          this.state.podEnded(task.uid);
          return [];
        };
        this.#work.push({ uid: task.uid, ack, act });
      }
    }
  }

  #take(call: Call): void {
    if (call.type === 'DECLINE') this.#spend(call.decline.offer_ids ?? []);
    else if (call.type === 'ACCEPT') {
      const had = this.#spend(call.accept.offer_ids ?? []);
      const launched = (call.accept.operations ?? []).flatMap(({ launch }) => launch?.task_infos ?? []);
      const taken = launched.flatMap(({ resources = [] }) => resources);
      expectWithin([...taken, ...this.#executorOf(launched[0])], had);
      for (const info of launched) this.#start(info);
    } else if (call.type === 'ACKNOWLEDGE') this.#acknowledge(call.acknowledge.task_id.value, call.acknowledge.uuid);
    else if (call.type === 'KILL') {
      const task = this.tasks.get(call.kill.task_id.value);
      if (task && !task.isOver) this.#becomes(task, 'TASK_KILLED');
    }
  }

  #spend(ids: readonly { value: string }[]): readonly Resource[] {
    return ids.flatMap(({ value }) => {
      const resources = this.offers.get(value);
      expect([value, resources]).toEqual([value, expect.anything()]);
      this.offers.delete(value);
      return resources ?? [];
    });
  }

  /** What an executor takes that is not there yet, once for all tasks of an ACCEPT. */
  #executorOf(first: TaskInfo | undefined): readonly Resource[] {
    if (!first || this.#executors.has(first.agent_id.value)) return [];
    this.#executors.add(first.agent_id.value);
    return first.executor?.resources ?? [];
  }

  #start({ task_id: { value: id }, agent_id: { value: agent } }: TaskInfo): void {
    expect(this.tasks.has(id)).toBe(false);
    this.tasks.set(id, { id, uid: id.split('.')[1]!, agent, told: [], isOver: false, wasAway: false });
  }

  #acknowledge(taskId: string, uuid: Uint8Array): void {
    const key = hex(uuid);
    expect(this.#work.map(({ ack }) => (ack?.type === 'ACKNOWLEDGE' ? hex(ack.acknowledge.uuid) : ''))).not.toContain(
      key,
    );
    expect(this.#acknowledged.has(key)).toBe(true);
    this.#acknowledged.set(key, this.#acknowledged.get(key)! + 1);
    const task = this.tasks.get(taskId)!;
    expect(task.told[0]?.uuid && hex(task.told[0].uuid)).toBe(key);
    task.told.shift();
  }
}

/** What the master makes up itself has no uuid. */
function told(id: string, agent: string, state: TaskState, isOfAgent = true): TaskStatus {
  const { uuid, ...status } = statusOf(id, agent, state);
  return isOfAgent ? { ...status, uuid: uuid! } : status;
}

/** No more is taken than there is, of anything. */
function expectWithin(taken: readonly Resource[], had: readonly Resource[]): void {
  for (const name of ['cpus', 'mem']) expect(sum(taken, name)).toBeLessThanOrEqual(sum(had, name));
  const numbers = portsOf(taken);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(portsOf(had)).toEqual(expect.arrayContaining(numbers));
}

const sum = (resources: readonly Resource[], wanted: string) =>
  resources.reduce(
    (all, { name, scalar: amount }) => all + (name === wanted ? Math.round(amount!.value * 1000) : 0),
    0,
  );

const portsOf = (resources: readonly Resource[]) =>
  resources
    .flatMap(({ ranges }) => ranges?.range ?? [])
    .flatMap(({ begin, end }) => Array.from({ length: Number(end - begin) + 1 }, (_, i) => Number(begin) + i));

const nth = <T>(all: readonly T[], k: number): T | undefined => all[k % Math.max(1, all.length)];
