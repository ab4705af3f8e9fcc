import { describe, expect, test } from '@jest/globals';
import type { PodSpec } from '../../api/kinds/pod.ts';
import { type NodeView, decide, defaultProfile, explain } from '../../scheduler/index.ts';
import { seeded } from '../../scheduler/index.ts';
import { awaitsOffers } from '../../scheduler/plugins/resources-fit.ts';
import { makeNode, makePod, small } from './builders.ts';

const choose = (spec: Partial<PodSpec>, nodes: NodeView[], needs = small) =>
  decide({ pod: makePod('p', spec), needs, nodes }, defaultProfile, seeded(1));

const nodeOf = (spec: Partial<PodSpec>, nodes: NodeView[], needs = small) => {
  const decision = choose(spec, nodes, needs);
  return 'node' in decision ? decision.node.name : explain(decision.refusals, nodes.length);
};

describe('a pod goes to', () => {
  test('the node with the labels its nodeSelector names', () => {
    const nodes = [makeNode('a'), makeNode('b', { labels: { disk: 'ssd' } })];
    expect(nodeOf({ nodeSelector: { disk: 'ssd' } }, nodes)).toBe('b');
  });

  test('the node its required affinity allows: terms are alternatives, expressions of one term all hold', () => {
    const nodes = [
      makeNode('a', { labels: { zone: 'x', gen: '3' } }),
      makeNode('b', { labels: { zone: 'y', gen: '5' } }),
    ];
    const affinity = (matchExpressions: object[]) => ({
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] } },
      } as PodSpec['affinity'],
    });
    expect(nodeOf(affinity([{ key: 'gen', operator: 'Gt', values: ['4'] }]) as PodSpec, nodes)).toBe('b');
    expect(nodeOf(affinity([{ key: 'zone', operator: 'NotIn', values: ['y'] }]) as PodSpec, nodes)).toBe('a');
    expect(
      nodeOf(
        affinity([
          { key: 'zone', operator: 'In', values: ['x'] },
          { key: 'gen', operator: 'Exists' },
        ]) as PodSpec,
        nodes,
      ),
    ).toBe('a');
    expect(nodeOf(affinity([{ key: 'zone', operator: 'DoesNotExist' }]) as PodSpec, nodes)).toContain(
      "2 node(s) didn't match Pod's node affinity/selector",
    );
  });

  test('a node whose taints it tolerates', () => {
    const tainted = makeNode('a', { spec: { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] } });
    expect(nodeOf({}, [tainted])).toBe('0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: db}.');
    expect(
      nodeOf({ tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }] }, [tainted]),
    ).toBe('a');
    expect(nodeOf({ tolerations: [{ operator: 'Exists' }] }, [tainted])).toBe('a');
    expect(nodeOf({ tolerations: [{ key: 'dedicated', value: 'web' }] }, [tainted])).toContain('untolerated');
  });

  test('an untainted node rather than one with a soft taint', () => {
    const soft = makeNode('a', { spec: { taints: [{ key: 'old', effect: 'PreferNoSchedule' }] } });
    expect(nodeOf({}, [soft, makeNode('b')])).toBe('b');
    expect(nodeOf({}, [soft])).toBe('a');
  });

  test('none where it needs devices by claims: nobody would give them', () => {
    const claims: PodSpec['resourceClaims'] = [{ name: 'gpu', resourceClaimName: 'gpu' }];
    expect(nodeOf({ resourceClaims: claims }, [makeNode('a')])).toBe(
      "0/1 nodes are available: 1 node(s) cannot allocate the devices of the pod's resourceClaims.",
    );
  });

  test('no cordoned node', () => {
    expect(nodeOf({}, [makeNode('a', { spec: { unschedulable: true } })])).toBe(
      '0/1 nodes are available: 1 node(s) were unschedulable.',
    );
  });

  test('a node that offers its host ports', () => {
    const spec = { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 31005 }] }] };
    expect(nodeOf(spec, [makeNode('a', { ports: [31000] }), makeNode('b', { ports: [31005] })])).toBe('b');
    expect(nodeOf(spec, [makeNode('a', { ports: [] })])).toContain("1 node(s) didn't have free ports");
  });

  test('the emptier node, and away from its siblings', () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r1', controller: true };
    const sibling = makePod('s', {}, { ownerReferences: [owner] });
    expect(nodeOf({}, [makeNode('a', { free: { cpu: 1000, memory: 2 * 1024 ** 3 } }), makeNode('b')])).toBe('b');
    const decision = decide(
      {
        pod: makePod('p', {}, { ownerReferences: [owner] }),
        needs: small,
        nodes: [makeNode('a', { pods: [sibling] }), makeNode('b')],
      },
      defaultProfile,
      seeded(1),
    );
    expect('node' in decision && decision.node.name).toBe('b');
  });
});

describe('a refusal', () => {
  test('tells host ports that an offer may bring from those that another pod has', () => {
    const ports = [{ containerPort: 80, hostPort: 31005 }];
    const reasonOn = (node: NodeView) => {
      const decision = choose({ containers: [{ name: 'c', ports }] }, [node]);
      const reasons = 'refusals' in decision ? [...decision.refusals.keys()] : [];
      return [...reasons, awaitsOffers(reasons)];
    };
    const taken = "node(s) didn't have free ports for the requested pod ports";
    expect(reasonOn(makeNode('a', { ports: [] }))).toEqual([taken, false]);
    expect(reasonOn(makeNode('a', { ports: [], awaitedPorts: [31005] }))).toEqual([`${taken} in offers`, true]);
    const unavailable = 'no offer yet';
    expect(reasonOn(makeNode('a', { ports: [], awaitedPorts: [31005], unavailable }))).toEqual([unavailable, true]);
  });

  test('counts on offers while nobody has told what the node has', () => {
    const node = makeNode('a', { free: { cpu: 100, memory: 1024 ** 3 } });
    const refused = '0/1 nodes are available: 1 Insufficient cpu';
    expect(nodeOf({}, [{ ...node, allocatable: { cpu: 200, pods: 110 } }])).toBe(`${refused}.`);
    expect(nodeOf({}, [{ ...node, allocatable: { pods: 110 } }])).toBe(`${refused} in offers.`);
  });

  test('tells a volume that an offer may bring', () => {
    const needs = [{ resource: 'volume v1', amount: 1, isOnlyOffered: true as const }];
    expect(nodeOf({}, [makeNode('a')], needs)).toBe('0/1 nodes are available: 1 Insufficient volume v1 in offers.');
  });

  test('says when no offer can come because the role may not have more', () => {
    const quota = { role: 'analytics', left: { cpu: 500 } };
    const nodes = [
      makeNode('a', { unavailable: 'no offer yet', quota }),
      makeNode('b', { free: { cpu: 100 }, quota }),
      makeNode('c', { unavailable: 'node(s) were being registered', quota }),
    ];
    const why = (cpu: number) => nodeOf({}, nodes, [{ resource: 'cpu', amount: cpu }]);
    const registering = '1 node(s) were being registered';
    expect(why(1000)).toBe(
      `0/3 nodes are available: 1 Insufficient cpu in offers (role analytics at its quota), 1 no offer yet (role analytics at its quota), ${registering}.`,
    );
    expect(why(400)).toBe(`0/3 nodes are available: 1 Insufficient cpu in offers, 1 no offer yet, ${registering}.`);
  });

  test('is counted by cause and tells what is short for ever from what is short in offers now', () => {
    const nodes = [
      makeNode('a', { cpu: 100 }),
      makeNode('b', { free: { cpu: 100, memory: 8 * 1024 ** 3 } }),
      makeNode('c', { unavailable: 'no offer yet' }),
      makeNode('d', { unavailable: 'no offer yet' }),
    ];
    expect(nodeOf({}, nodes)).toBe(
      '0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient cpu in offers, 2 no offer yet.',
    );
  });

  test('promises no offer of what offers do not bring', () => {
    const dongle = 'example.com/dongle';
    const node = { ...makeNode('a'), allocatable: { [dongle]: 1 }, free: { [dongle]: 0 } };
    const why = (one: NodeView) => nodeOf({}, [one], [{ resource: dongle, amount: 1 }]);
    expect(why(node)).toBe(`0/1 nodes are available: 1 Insufficient ${dongle} in offers.`);
    expect(why({ ...node, unoffered: { [dongle]: 1 } })).toBe(`0/1 nodes are available: 1 Insufficient ${dongle}.`);
  });

  test('of an empty cluster says so', () => {
    expect(nodeOf({}, [])).toBe('0/0 nodes are available.');
  });
});

test('equal nodes are all taken in the long run, and the same way for the same seed', () => {
  const nodes = ['a', 'b', 'c'].map((name) => makeNode(name));
  const run = (seed: number) => {
    const random = seeded(seed);
    return Array.from({ length: 60 }, () => {
      const decision = decide({ pod: makePod('p'), needs: small, nodes }, defaultProfile, random);
      return 'node' in decision ? decision.node.name : '';
    });
  };
  expect(new Set(run(7))).toEqual(new Set(['a', 'b', 'c']));
  expect(run(7)).toEqual(run(7));
  expect(run(7)).not.toEqual(run(8));
});
