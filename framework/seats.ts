import type { Pod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import { hostPortsOf } from '../api/pod-requests.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Needs } from '../scheduler/index.ts';
import type { Agent } from './agents.ts';
import type { Claims } from './claims.ts';
import { type ExecutorTemplate, executorInfo } from './launch.ts';
import { wantOf, withVolumes } from './resources.ts';
import { type Task, type TaskTable, createTask } from './tasks.ts';
import type { VolumeWant } from './volumes.ts';

export interface SeatsOptions {
  executor: ExecutorTemplate;
  /** What a pod is accounted with, but for its volumes. */
  needs: (pod: Pod) => Needs;
  volumes: Pick<Claims, 'wantedBy' | 'has'>;
  roleOf: (pod: Pod) => string;
}

/** What a pod takes of what its agent offers: resources, volumes, and an executor where none is there. */
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
  take(pod: Pod, agent: Agent, rebound: boolean, frameworkId: string): Task | undefined {
    const id = this.#tasks.nextId(pod);
    const volumes = this.#options.volumes.wantedBy(pod, id);
    if (volumes.some((volume) => this.#isHeld(volume))) return undefined;
    const want = wantOf(this.#options.needs(pod), hostPortsOf(pod), volumes);
    const role = this.#options.roleOf(pod);
    const place = agent.place(role);
    const { taken, executor } = place.take(want) ?? {};
    if (!taken) return undefined;
    if (executor) {
      agent.executor = executorInfo(this.#options.executor, frameworkId, executor);
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
      },
      { want, ...taken, role, carriesExecutor: executor !== undefined },
    );
    this.#tasks.add(task);
    place.reserved.push(task);
    agent.addPod(pod);
    agent.refresh();
    return task;
  }

  /** Another pod's task is about to make a volume for the same claim. */
  #isHeld({ claimUid, isMade }: VolumeWant): boolean {
    return !isMade && this.#tasks.ofClaim(claimUid) !== undefined;
  }
}
