import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Node, Taint } from '../../api/kinds/node.ts';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import type { State } from '../../framework/state.ts';
import type { QuotaConfig } from '../../mesos/master.ts';
import { type NodeView, decide, defaultProfile, seeded } from '../../scheduler/index.ts';
import { makePod } from '../scheduler/builders.ts';
import { makeOffer, role, subscribed } from './builders.ts';

/** A view of its own, of which nobody can know anything yet. */
const copyOf = (node: NodeView): NodeView => ({
  name: node.name,
  node: { ...node.node },
  free: node.free,
  allocatable: node.allocatable,
  ...(node.unoffered ? { unoffered: node.unoffered } : {}),
  pods: new Map(node.pods),
  generation: node.generation,
  version: node.version,
  siblings: (owner) => node.siblings(owner),
  hasPort: (port) => node.hasPort(port),
  awaitsPort: (port) => node.awaitsPort(port),
  quota: node.quota,
  unavailable: node.unavailable,
});

const zone = 'topology.kubernetes.io/zone';
const labels = { app: 'web' };
const selector = { labelSelector: { matchLabels: labels } };
const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'web', controller: true };
const taint = (effect: Taint['effect']): Taint => ({ key: 'dedicated', value: 'x', effect });
const image = { names: ['busybox:latest'], sizeBytes: 400 * 1024 ** 2 };

const kinds: Partial<PodSpec>[] = [
  {},
  { nodeSelector: { [zone]: 'z1' } },
  { tolerations: [{ operator: 'Exists' }] },
  { containers: [{ name: 'main', image: 'busybox', ports: [{ containerPort: 80, hostPort: 31_000 }] }] },
  { containers: [{ name: 'main', image: 'busybox', resources: { requests: { cpu: '2', memory: '1Gi' } } }] },
  {
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ ...selector, topologyKey: 'kubernetes.io/hostname' }],
      },
    },
  },
  {
    affinity: {
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 50, podAffinityTerm: { ...selector, topologyKey: zone } },
        ],
      },
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 5, preference: { matchExpressions: [{ key: zone, operator: 'In', values: ['z0'] }] } },
        ],
      },
    },
  },
  { topologySpreadConstraints: [{ ...selector, maxSkew: 1, topologyKey: zone, whenUnsatisfiable: 'DoNotSchedule' }] },
  { topologySpreadConstraints: [{ ...selector, maxSkew: 2, topologyKey: zone, whenUnsatisfiable: 'ScheduleAnyway' }] },
];

type Step = (state: State, agent: string, k: number) => void;

function nodeOf(agent: string, change: (node: Node) => void): Node {
  const node: Node = {
    metadata: { name: `host-${agent}`, labels: { 'kubernetes.io/hostname': `host-${agent}`, [zone]: `z${agent[1]}` } },
  };
  change(node);
  return node;
}

const renew =
  (change: (node: Node, k: number) => void): Step =>
  (state, agent, k) => {
    const known = state.agent(agent);
    if (known) known.node = nodeOf(agent, (node) => change(node, k));
  };

const steps: Record<string, Step> = {
  offer: (state, agent, k) => {
    state.offered([makeOffer(agent, { cpus: 1 + (k % 6), mem: 4096, executor: k % 2 === 0 })], 0);
  },
  rescind: (state, agent) => {
    const [id] = [...(state.agent(agent)?.place(role).offers.keys() ?? [])];
    if (id) state.rescinded(id, 0);
  },
  'another zone': renew(({ metadata }, k) => (metadata.labels![zone] = `z${k % 3}`)),
  cordon: renew((node) => (node.spec = { unschedulable: true })),
  taint: renew((node, k) => (node.spec = { taints: [taint(k % 2 ? 'NoSchedule' : 'PreferNoSchedule')] })),
  image: renew((node) => (node.status = { images: [image] })),
  lost: (state, agent) => state.agent(agent)?.lost(0),
  found: (state, agent) => state.agent(agent)?.found(),
  drains: (state, agent) => state.agent(agent)?.drains(0),
  drained: (state, agent) => state.agent(agent)?.drained(),
  'a pod goes': (state, agent) => {
    const [uid] = state.agent(agent)?.pods.keys() ?? [];
    if (uid !== undefined) state.agent(agent)!.removePod(uid);
  },
};

test('what is kept of equal pods decides as if every node were asked anew, whatever happened to the nodes', () => {
  const step = fc.record({
    what: fc.constantFrom(...Object.keys(steps)),
    agent: fc.constantFrom('a0', 'a1', 'a2', 'a3', 'a4'),
    k: fc.nat(20),
    kind: fc.nat(kinds.length - 1),
    isOwned: fc.boolean(),
  });
  let placed = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (sequence) => {
      const state = subscribed();
      const world = { namespaceLabels: () => ({}) };
      const ask = (pod: Pod, nodes: readonly NodeView[]) => ({ pod, needs: state.seats.needs(pod), nodes, world });
      for (const [i, agent] of ['a0', 'a1', 'a2', 'a3', 'a4'].entries()) {
        state.offered([makeOffer(agent, { cpus: 2 + i })], 0);
        state.agent(agent)!.node = nodeOf(agent, () => undefined);
      }
      for (const { what, agent, k, kind, isOwned } of sequence) {
        steps[what]!(state, agent, k);
        const pod = makePod('p', kinds[kind], { labels, ...(isOwned ? { ownerReferences: [owner] } : {}) });
        const made = decide(ask(pod, state.nodes), defaultProfile, seeded(k + 1));
        const anew = decide(ask(pod, state.nodes.map(copyOf)), [...defaultProfile], seeded(k + 1));
        const told = 'refusals' in made ? made : { node: made.node.name, score: made.score };
        expect(told).toEqual('refusals' in anew ? anew : { node: anew.node.name, score: anew.score });
        if ('node' in made && state.reserve(pod, made.node.name)) placed += 1;
      }
    }),
    { numRuns: 150 },
  );
  expect(placed).toBeGreaterThan(500);
});

test('a quota that has changed is told to pods that were refused before', () => {
  const state = subscribed();
  state.offered([makeOffer('a0', { cpus: 1 })], 0);
  state.agent('a0')!.node = { metadata: { name: 'host-a0' } };
  const big = () => makePod('p', { containers: [{ name: 'main', image: 'i', resources: { requests: { cpu: '2' } } }] });
  const why = () => {
    const pod = big();
    const decision = decide({ pod, needs: state.seats.needs(pod), nodes: state.nodes }, defaultProfile, () => 0);
    return 'refusals' in decision ? [...decision.refusals.keys()] : [];
  };
  expect(why()).toEqual(['Insufficient cpu in offers']);
  const quota: QuotaConfig = { role, limits: { cpus: { value: 1 } } };
  state.limited([quota], []);
  expect(why()).toEqual([`Insufficient cpu in offers (role ${role} at its quota)`]);
});
