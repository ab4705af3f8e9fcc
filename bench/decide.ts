/**
 * How many pods a second are decided and reserved, without any I/O: the scheduler's policies over the framework's own
 * books, nodes made from offers. `raw` is a bare loop over the same nodes that takes the one with the most free cpu.
 */
import { State } from '../framework/state.ts';
import { silent } from '../lib/log.ts';
import type { Offer } from '../mesos/types.ts';
import { decide, defaultProfile, seeded } from '../scheduler/index.ts';
import { makeOffer, stateOptions } from '../test/framework/builders.ts';
import { makePod } from '../test/scheduler/builders.ts';
import { median, report } from './report.ts';

const pods = 2000;

for (const agents of [100, 1000, 5000]) {
  const value = await median(5, () => rate(() => place(agents)));
  const raw = await median(5, () => rate(() => scan(agents)));
  // kube-scheduler 1.23 binds 293, 192 and 159 pods a second on such a machine; deciding must be far from the limit.
  report({ bench: 'decide', case: `${agents} agents' offers`, value, unit: 'pods/s', goal: 1000, raw });
}

/** Pods a second, of what `run` answers: milliseconds for all of them. */
function rate(run: () => number): number {
  return (pods * 1000) / run();
}

function offersOf(agents: number): Offer[] {
  return Array.from({ length: agents }, (_, i) => makeOffer(`a${i}`, { cpus: 16, mem: 65_536, executor: true }));
}

function place(agents: number): number {
  const state = new State(stateOptions, silent);
  state.subscribed('f-0001', 0);
  const waiting = Array.from({ length: pods }, (_, i) => makePod(`p${i}`));
  state.want(waiting, 0);
  state.offered(offersOf(agents), 0);
  for (const agent of state.nodes) agent.node = { metadata: { name: agent.name, labels: {} } };
  const random = seeded(1);
  const started = performance.now();
  for (const pod of waiting) {
    const decision = decide({ pod, needs: state.needs(pod), nodes: state.nodes }, defaultProfile, random);
    if ('refusals' in decision || !state.reserve(pod, decision.node.name))
      throw new Error(`${pod.metadata.name} was not placed`);
  }
  return performance.now() - started;
}

function scan(agents: number): number {
  const free = Array.from({ length: agents }, () => ({ cpu: 16_000, memory: 64 * 1024 ** 3 }));
  const started = performance.now();
  for (let p = 0; p < pods; p++) {
    let best = free[0]!;
    for (const node of free) if (node.cpu >= 250 && node.memory >= 64 * 1024 ** 2 && node.cpu > best.cpu) best = node;
    best.cpu -= 250;
    best.memory -= 64 * 1024 ** 2;
  }
  return performance.now() - started;
}
