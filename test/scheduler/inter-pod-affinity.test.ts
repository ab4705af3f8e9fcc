import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Pod, PodAffinity, PodAffinityTerm } from '../../api/kinds/pod.ts';
import type { NodeView } from '../../scheduler/index.ts';
import type { World } from '../../scheduler/plugin.ts';
import { interPodAffinity } from '../../scheduler/plugins/inter-pod-affinity.ts';
import { makeNode, makePod, small } from './builders.ts';

const zone = 'topology.kubernetes.io/zone';
const term = (app: string, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  labelSelector: { matchLabels: { app } },
  topologyKey: zone,
  ...more,
});
const required = (...terms: PodAffinityTerm[]): PodAffinity => ({
  requiredDuringSchedulingIgnoredDuringExecution: terms,
});
const preferred = (weight: number, podAffinityTerm: PodAffinityTerm): PodAffinity => ({
  preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm }],
});
const pod = (app: string, affinity: Pod['spec']['affinity'] = {}, metadata: Partial<Pod['metadata']> = {}) =>
  makePod(app, { affinity }, { labels: { app }, ...metadata });
const near = (...terms: PodAffinityTerm[]) => ({ podAffinity: required(...terms) });
const apart = (...terms: PodAffinityTerm[]) => ({ podAntiAffinity: required(...terms) });
const inZone = (name: string, value: string, pods: Pod[] = []) => makeNode(name, { labels: { [zone]: value }, pods });

const world: World = {
  namespaceLabels: (name) => ({ shop: { team: 'shop' }, default: {} })[name],
};

function refusals(one: Pod, nodes: NodeView[]): (string | undefined)[] {
  const check = interPodAffinity().filter!({ pod: one, needs: small, nodes, world });
  return nodes.map((node) => check?.(node));
}
const fitting = (one: Pod, nodes: NodeView[]) =>
  nodes.flatMap(({ name }, i) => (refusals(one, nodes)[i] === undefined ? [name] : []));

function scores(one: Pod, nodes: NodeView[], hardPodAffinityWeight = 1): number[] {
  const score = interPodAffinity({ hardPodAffinityWeight }).score!({ pod: one, needs: small, nodes, world });
  return nodes.map((node, i) => Math.round(score?.(node, i) ?? 0));
}

describe('a pod goes', () => {
  const nodes = () => [
    inZone('a', 'x', [pod('db')]),
    inZone('b', 'x'),
    inZone('c', 'y', [pod('cache', {}, { namespace: 'shop' })]),
    makeNode('d'),
  ];
  test.each<[string, Pod['spec']['affinity'], string[]]>([
    ['near another: anywhere in its domain', near(term('db')), ['a', 'b']],
    ['near two: where all terms hold', near(term('db'), term('db', { topologyKey: 'kubernetes.io/hostname' })), ['a']],
    ['near nobody of another namespace', near(term('cache')), []],
    ['near one of a namespace that is named', near(term('cache', { namespaces: ['shop'] })), ['c']],
    [
      'near one of a namespace with labels',
      near(term('cache', { namespaceSelector: { matchLabels: { team: 'shop' } } })),
      ['c'],
    ],
    ['near one of any namespace', near(term('cache', { namespaceSelector: {} })), ['c']],
    ['apart from another', apart(term('db')), ['c', 'd']],
    ['near the first of its own kind: anywhere that has the key', near(term('web')), ['a', 'b', 'c']],
    ['near one with the same label as itself', near(term('db', { matchLabelKeys: ['app'] })), []],
    ['near one with another label than itself', near(term('db', { mismatchLabelKeys: ['app'] })), ['a', 'b']],
  ])('%s', (_words, affinity, expected) => {
    expect(fitting(pod('web', affinity), nodes())).toEqual(expected);
  });

  test('not where a pod runs that wants to be apart from it', () => {
    const cluster = [inZone('a', 'x', [pod('db', apart(term('web')))]), inZone('b', 'x'), inZone('c', 'y')];
    expect(fitting(pod('web'), cluster)).toEqual(['c']);
    expect(fitting(pod('other'), cluster)).toEqual(['a', 'b', 'c']);
  });

  test('or is told which of the three rules forbids it', () => {
    const cluster = [inZone('a', 'x', [pod('db', apart(term('web')))])];
    expect(refusals(pod('web', near(term('none'))), cluster)).toEqual(["node(s) didn't match pod affinity rules"]);
    expect(refusals(pod('web', apart(term('db'))), cluster)).toEqual(["node(s) didn't match pod anti-affinity rules"]);
    expect(refusals(pod('web'), cluster)).toEqual(["node(s) didn't satisfy existing pods anti-affinity rules"]);
  });

  test('as pods come and go on the same nodes', () => {
    const node = inZone('a', 'x');
    const web = pod('web', near(term('db')));
    expect(fitting(web, [node])).toEqual([]);
    const db = pod('db');
    (node.pods as Map<string, Pod>).set(db.metadata.uid!, db);
    node.generation += 1;
    expect(fitting(web, [node])).toEqual(['a']);
  });
});

test('which namespaces are meant follows their labels', () => {
  let team = 'shop';
  let changes = 0;
  const moving: World = { namespaceLabels: () => ({ team }), namespaceChanges: () => changes };
  const nodes = [inZone('a', 'x', [pod('moved', {}, { namespace: 'else' })])];
  const web = () => pod('web', near(term('moved', { namespaceSelector: { matchLabels: { team: 'kiosk' } } })));
  const reason = (one: Pod) =>
    interPodAffinity().filter!({ pod: one, needs: small, nodes, world: moving })?.(nodes[0]!);
  const waiting = web();
  expect(reason(waiting)).toBe("node(s) didn't match pod affinity rules");
  [team, changes] = ['kiosk', 1];
  expect([reason(waiting), reason(web())]).toEqual([undefined, undefined]);
});

describe('a pod prefers', () => {
  test('domains with pods it likes, and not those with pods it dislikes', () => {
    const nodes = [inZone('a', 'x', [pod('db')]), inZone('b', 'y'), inZone('c', 'z', [pod('noisy')])];
    const likes = { podAffinity: preferred(10, term('db')), podAntiAffinity: preferred(10, term('noisy')) };
    expect(scores(pod('web', likes), nodes)).toEqual([100, 50, 0]);
  });

  test('domains with pods that like or need it', () => {
    const nodes = [
      inZone('a', 'x', [pod('db', { podAffinity: preferred(1, term('web')) })]),
      inZone('b', 'y', [pod('db', near(term('web')))]),
      inZone('c', 'z', [pod('db', { podAntiAffinity: preferred(1, term('web')) })]),
    ];
    expect(scores(pod('web'), nodes)).toEqual([100, 100, 0]);
    expect(scores(pod('web'), nodes, 0)).toEqual([100, 50, 0]);
  });

  test('nobody, where what others prefer is not to count', () => {
    const nodes = [inZone('a', 'x', [pod('db', { podAffinity: preferred(1, term('web')) })]), inZone('b', 'y')];
    const plugin = interPodAffinity({ ignorePreferredTermsOfExistingPods: true });
    const scoreOf = (one: Pod) => plugin.score!({ pod: one, needs: small, nodes, world })?.(nodes[0]!, 0);
    expect(scoreOf(pod('web'))).toBeUndefined();
    expect(scoreOf(pod('web', { podAffinity: preferred(1, term('other')) }))).toBe(100);
  });

  test('nothing where nobody has a say', () => {
    expect(interPodAffinity().score!({ pod: pod('web'), needs: small, nodes: [inZone('a', 'x')] })).toBeUndefined();
  });
});

test('anti-affinity never puts two of a kind into one domain, and refuses only when every domain has one', () => {
  const zones = fc.array(fc.constantFrom('w', 'x', 'y', 'z'), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(zones, (values) => {
      const taken = new Set<string>();
      const nodes = values.map((value, i) => inZone(`n${i}`, value));
      for (let i = 0; i <= values.length; i++) {
        const one = pod('web', apart(term('web')));
        const [name] = fitting(one, nodes);
        expect(name === undefined).toBe(taken.size === new Set(values).size);
        if (name === undefined) return;
        const node = nodes.find((other) => other.name === name)!;
        const value = node.node.metadata.labels![zone]!;
        expect(taken.has(value)).toBe(false);
        taken.add(value);
        (node.pods as Map<string, Pod>).set(one.metadata.uid!, one);
        node.generation += 1;
      }
    }),
  );
});
