import { annotations } from '../api/kinds/names.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import { hostPortsOf } from '../api/host-ports.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Needs } from '../scheduler/index.ts';
import type { Agent } from './agents.ts';
import type { Claims } from './claims.ts';
import type { Effect } from './effects.ts';
import { type ExecutorTemplate, executorInfo } from './launch.ts';
import { nothing, wantOf, withVolumes } from './resources.ts';
import { type KnownTask, type Task, type TaskTable, createTask, isLater } from './tasks.ts';
import type { VolumeWant } from './volumes.ts';

export interface SeatsOptions {
  executor: ExecutorTemplate;
  /** What a pod is accounted with, but for its volumes. */
  needs: (pod: Pod) => Needs;
  volumes: Pick<Claims, 'wantedBy' | 'has'>;
  roleOf: (pod: Pod) => string;
}

export interface SeatTerms extends Pick<KnownTask, 'rebound' | 'volumes'> {
  frameworkId: string;
}

/** What a pod takes of what its agent offers: resources, volumes, and an executor where none is there; or took before a restart. */
export class Seats {
  readonly #options: SeatsOptions;
  readonly #tasks: TaskTable;

  constructor(options: SeatsOptions, tasks: TaskTable) {
    this.#options = options;
    this.#tasks = tasks;
  }

  /** With the volumes of its claims. */
  needs(pod: Pod): Needs {
    const { needs, roleOf, volumes } = this.#options;
    if (claimNames(pod).length === 0) return needs(pod);
    const wants = volumes.wantedBy(pod, this.#tasks.nextId(pod));
    return withVolumes(needs(pod), wants, (want) => want.isMade || this.#isHeld(want), roleOf(pod));
  }

  /** A reserved task; undefined when what is in hand of the agent does not carry it. */
  take(pod: Pod, agent: Agent, { rebound, volumes, frameworkId }: SeatTerms): Task | undefined {
    const id = this.#tasks.nextId(pod);
    const ofMesos = this.#options.volumes.wantedBy(pod, id);
    if (ofMesos.some((volume) => this.#isHeld(volume))) return undefined;
    const needs = agent.advertised.restOf(pod, this.#options.needs(pod), agent.pods.values());
    if (!needs) return undefined;
    const want = wantOf(needs, hostPortsOf(pod), ofMesos);
    const role = this.#options.roleOf(pod);
    const place = agent.place(role);
    const { taken, executor } = place.take(want) ?? {};
    if (!taken) return undefined;
    if (executor) {
      agent.executor = executorInfo(this.#options.executor, frameworkId, executor, agent.name);
      agent.starting = place;
    }
    const task = createTask(
      {
        id,
        uid: pod.metadata.uid!,
        key: keyOf(pod),
        node: agent.name,
        agentId: agent.facts.id,
        stage: 'reserved',
        record: undefined,
        pod,
        rebound,
        anyPorts: taken.anyPorts,
        volumes,
      },
      { want, ...taken, role, carriesExecutor: executor !== undefined },
    );
    this.#tasks.add(task);
    place.reserved.push(task);
    agent.addPod(pod);
    agent.refresh();
    return task;
  }

  /** Launches that were recorded before a restart; `named` finds the pod that has a name now. Answers which records are of no use any more. */
  recovered(all: readonly KnownTask[], named: (key: string) => Pod | undefined): Effect[] {
    for (const known of all) {
      // Another pod of that name, as StatefulSets make them, has other claims: what this task made is not for those.
      const found = named(known.key);
      const pod = found?.metadata.uid === known.uid ? found : undefined;
      if (!isOutlived(known.id, pod)) this.adopt({ ...known, pod });
    }
    const records = new Set(all.flatMap(({ record }) => record ?? []));
    return [...records].filter((record) => !this.#tasks.needs(record)).map((record) => ({ do: 'erase', record }));
  }

  /** A task known from before a restart. */
  adopt(known: KnownTask): void {
    const task = createTask(known, {
      want: wantOf([], [], known.pod ? this.#options.volumes.wantedBy(known.pod, known.id) : []),
      ...nothing,
      anyPorts: known.anyPorts,
      role: '',
      carriesExecutor: false,
    });
    if (task.stage === 'bound') task.seat.resolve();
    this.#tasks.add(task);
  }

  /** Another pod's task is about to make a volume for the same claim. */
  #isHeld({ claimUid, isMade }: VolumeWant): boolean {
    return !isMade && this.#tasks.ofClaim(claimUid) !== undefined;
  }
}

/** The launch is over: the pod is bound as this task, and is adopted as such, or as a later one, which this one must not hide. */
function isOutlived(taskId: string, pod: Pod | undefined): boolean {
  const carrier = pod?.metadata.annotations?.[annotations.taskId];
  return isLater(carrier, taskId) || (carrier === taskId && pod?.spec.nodeName !== undefined);
}
