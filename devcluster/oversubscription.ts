/**
 * Resources that others are accounted with and do not use: an agent's estimator says how much of them may be used besides,
 * until its QoS controller wants them back.
 */
import type { Resource } from '../mesos/types.ts';
import type { Executor } from './executors.ts';
import { rescind } from './offers.ts';
import type { Agent, Master } from './state.ts';

export const asRevocable = (resources: readonly Resource[]): Resource[] =>
  resources.map((resource) => ({ ...resource, revocable: {} }));

const isRevocable = ({ revocable }: Resource): boolean => revocable !== undefined;

/** Offers of what is estimated anew are void. */
export function oversubscribe(master: Master, agent: Agent, estimate: readonly Resource[]): void {
  agent.total = [...agent.total.filter((resource) => !isRevocable(resource)), ...estimate];
  agent.free = undefined;
  for (const id of [...agent.offers]) if (master.offers.get(id)?.resources.some(isRevocable)) rescind(master, id);
  master.allocateSoon(agent);
}

/** Ends those executors that, or whose tasks, use such resources. */
export function preempt(executors: Iterable<Executor>): void {
  for (const executor of executors) {
    const tasks = [...executor.tasks.values()].map(({ info }) => info);
    if ([executor.info, ...tasks].some(({ resources = [] }) => resources.some(isRevocable))) executor.preempt();
  }
}
