/**
 * How many pods a second are decided and reserved, without any I/O: the scheduler's policies over the framework's own
 * books, nodes made from offers. `raw` is a bare loop over the same nodes that takes the one with the most free cpu.
 */
import { State } from '../framework/state.ts';
import type { PodSpec } from '../api/kinds/pod.ts';
import { silent } from '../lib/log.ts';
import type { Offer } from '../mesos/offers.ts';
import { everyNode } from '../scheduler/decide.ts';
import { decide, defaultProfile, seeded } from '../scheduler/index.ts';
import { makeOffer, stateOptions } from '../test/framework/builders.ts';
import { makePod } from '../test/scheduler/builders.ts';
import { median, report } from './report.ts';

const pods = 2000;
const zone = 'topology.kubernetes.io/zone';
const labels = { app: 'web' };

const selector = { labelSelector: { matchLabels: labels } };
const apart = [{ ...selector, topologyKey: 'kubernetes.io/hostname' }];
const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'web', controller: true };
const kinds: Record<string, Partial<PodSpec>> = {
  plain: {},
  // Spread over hosts and zones as well as may be, as all are that do not say how.
  "a ReplicaSet's": {},
  'anti-affinity': { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: apart } } },
  'zone spread': {
    topologySpreadConstraints: [{ ...selector, maxSkew: 1, topologyKey: zone, whenUnsatisfiable: 'DoNotSchedule' }],
  },
};

// kube-scheduler 1.23 binds 293, 192 and 159 pods a second on such a machine; deciding must be far from the limit.
const cases: [kind: string, agents: number, goal: number][] = [
  ['plain', 100, 5000],
  ['plain', 1000, 2000],
  ['plain', 5000, 1000],
  ['plain', 10_000, 1000],
  ["a ReplicaSet's", 10_000, 1000],
  ['anti-affinity', 1000, 500],
  ['zone spread', 1000, 500],
];

for (const [kind, agents, goal] of cases) {
  // No more pods than hosts, where each wants one for itself.
  const count = kind === 'anti-affinity' ? agents : pods;
  const value = await median(5, () => rate(() => place(agents, kind, count), count));
  const raw = await median(5, () => rate(() => scan(agents), pods));
  report({ bench: 'decide', case: `${kind} pods, ${agents} agents' offers`, value, unit: 'pods/s', goal, raw });
}

/** Pods a second, of what `run` answers: milliseconds for all of them. */
function rate(run: () => number, count: number): number {
  return (count * 1000) / run();
}

function offersOf(agents: number): Offer[] {
  return Array.from({ length: agents }, (_, i) => makeOffer(`a${i}`, { cpus: 16, mem: 65_536 }));
}

function place(agents: number, kind: string, count: number): number {
  const metadata = { labels, ...(kind === "a ReplicaSet's" ? { ownerReferences: [controller] } : {}) };
  const state = new State(stateOptions, silent);
  state.subscribed('f-0001', 0);
  const waiting = Array.from({ length: count }, (_, i) => makePod(`p${i}`, kinds[kind], metadata));
  state.want(waiting, 0);
  state.offered(offersOf(agents), 0);
  for (const [i, agent] of [...state.nodes].entries())
    agent.node = {
      metadata: { name: agent.name, labels: { 'kubernetes.io/hostname': agent.name, [zone]: `z${i % 3}` } },
    };
  const world = { namespaceLabels: () => ({}) };
  const search = { percentageOfNodesToScore: everyNode, next: 0 };
  const random = seeded(1);
  const started = performance.now();
  for (const pod of waiting) {
    const ask = { pod, needs: state.seats.needs(pod), nodes: state.nodes, world };
    const decision = decide(ask, defaultProfile, random, search);
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
