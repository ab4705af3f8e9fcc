import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Pod, TopologySpreadConstraint } from '../../api/kinds/pod.ts';
import type { NodeView } from '../../scheduler/index.ts';
import { topologySpread } from '../../scheduler/plugins/topology-spread.ts';
import { makeNode, makePod, small } from './builders.ts';

const zone = 'topology.kubernetes.io/zone';
const labels = { app: 'web' };
const constraint = (more: Partial<TopologySpreadConstraint> = {}): TopologySpreadConstraint => ({
  maxSkew: 1,
  topologyKey: zone,
  whenUnsatisfiable: 'DoNotSchedule',
  labelSelector: { matchLabels: labels },
  ...more,
});
const podWith = (...constraints: TopologySpreadConstraint[]) =>
  makePod('p', { topologySpreadConstraints: constraints }, { labels });
const running = (count: number, more: Partial<Pod['metadata']> = {}) =>
  Array.from({ length: count }, () => makePod('r', {}, { labels, ...more }));
const inZone = (name: string, value: string, pods: Pod[] = [], more: object = {}) =>
  makeNode(name, { labels: { [zone]: value }, pods, ...more });

/** The nodes that the pod may go to. */
function fitting(pod: Pod, nodes: NodeView[]): string[] {
  const test = topologySpread().filter!({ pod, needs: small, nodes });
  return nodes.filter((node) => test?.(node) === undefined).map(({ name }) => name);
}

function scores(pod: Pod, nodes: NodeView[], plugin = topologySpread()): Record<string, number> {
  const score = plugin.score!({ pod, needs: small, nodes });
  return Object.fromEntries(nodes.map((node, i) => [node.name, Math.round(score?.(node, i) ?? 0)]));
}

describe('a pod is spread', () => {
  test.each<[string, Partial<TopologySpreadConstraint>, string[]]>([
    ['to the emptier zone', {}, ['b']],
    ['within a wider skew', { maxSkew: 2 }, ['a', 'b']],
    ['with fewer domains than wanted only where none is', { minDomains: 3 }, ['b']],
    ['by the pods its selector means', { labelSelector: { matchLabels: { app: 'other' } } }, ['a', 'b']],
    ['to nodes that have the key', { topologyKey: 'rack' }, []],
  ])('%s', (_words, more, expected) => {
    const nodes = [inZone('a', 'x', running(1)), inZone('b', 'y')];
    expect(fitting(podWith(constraint(more)), nodes)).toEqual(expected);
  });

  test('with reasons that tell a missing label from a full domain', () => {
    const nodes = [inZone('a', 'x', running(1)), inZone('b', 'y'), makeNode('c')];
    const check = topologySpread().filter!({ pod: podWith(constraint()), needs: small, nodes })!;
    expect(nodes.map(check)).toEqual([
      "node(s) didn't match pod topology spread constraints",
      undefined,
      "node(s) didn't match pod topology spread constraints (missing required label)",
    ]);
  });

  test('counting neither pods that go, nor those of other namespaces, nor other revisions', () => {
    const nodes = [
      inZone('a', 'x', running(1, { deletionTimestamp: '2026-01-01T00:00:00Z' })),
      inZone('b', 'y', running(1, { namespace: 'other' })),
    ];
    expect(fitting(podWith(constraint()), nodes)).toEqual(['a', 'b']);
    const old = [inZone('a', 'x', running(1, { labels: { ...labels, rev: '1' } })), inZone('b', 'y')];
    const pod = podWith(constraint({ matchLabelKeys: ['rev'] }));
    pod.metadata.labels = { ...labels, rev: '2' };
    expect(fitting(pod, old)).toEqual(['a', 'b']);
  });

  test('over the domains it could go to, unless it is told to ignore that', () => {
    const nodes = [
      inZone('a', 'x', running(1)),
      inZone('b', 'y', [], { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } }),
      inZone('c', 'z', running(1), { labels: { [zone]: 'z', disk: 'ssd' } }),
    ];
    expect(fitting(podWith(constraint()), nodes)).toEqual(['b']);
    expect(fitting(podWith(constraint({ nodeTaintsPolicy: 'Honor' })), nodes)).toEqual(['a', 'b', 'c']);
    const picky = podWith(constraint());
    picky.spec.nodeSelector = { disk: 'ssd' };
    expect(fitting(picky, nodes)).toContain('c');
    picky.spec.topologySpreadConstraints = [constraint({ nodeAffinityPolicy: 'Ignore' })];
    expect(fitting(picky, nodes)).toEqual(['b']);
  });

  test('softly: the emptier zone scores higher, and a node without the label last', () => {
    const nodes = [inZone('a', 'x', running(3)), inZone('b', 'y', running(1)), makeNode('c')];
    const given = scores(podWith(constraint({ whenUnsatisfiable: 'ScheduleAnyway' })), nodes);
    expect(given['b']!).toBeGreaterThan(given['a']!);
    expect(given['c']).toBe(0);
  });

  test('by default among the pods of its controller, over hosts and zones', () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r1', controller: true };
    const sibling = () => makePod('s', {}, { ownerReferences: [owner] });
    const pod = makePod('p', {}, { ownerReferences: [owner] });
    const nodes = [inZone('a', 'x', [sibling()]), inZone('b', 'x'), inZone('c', 'y')];
    const given = scores(pod, nodes);
    expect(given['c']!).toBeGreaterThan(given['b']!);
    expect(given['b']!).toBeGreaterThan(given['a']!);
    expect(scores(pod, nodes, topologySpread({ defaultingType: 'List' }))).toEqual({ a: 0, b: 0, c: 0 });
  });
});

test('what is allowed is exactly what keeps the skew, by counting everything', () => {
  const cluster = fc.array(fc.record({ zone: fc.constantFrom('x', 'y', 'z'), pods: fc.nat(3) }), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(
      cluster,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      (wishes, maxSkew, minDomains) => {
        const nodes = wishes.map(({ zone: value, pods }, i) => inZone(`n${i}`, value, running(pods)));
        const allowed = new Set(fitting(podWith(constraint({ maxSkew, minDomains })), nodes));
        for (const [i, { zone: value }] of wishes.entries()) {
          const counts = new Map<string, number>();
          for (const one of wishes) counts.set(one.zone, (counts.get(one.zone) ?? 0) + one.pods);
          const least = counts.size < minDomains ? 0 : Math.min(...counts.values());
          expect(allowed.has(`n${i}`)).toBe(counts.get(value)! + 1 - least <= maxSkew);
        }
      },
    ),
  );
});
