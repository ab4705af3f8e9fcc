import { describe, expect, test } from '@jest/globals';
import type { PodSpec } from '../../api/kinds/pod.ts';
import { type NodeView, decide } from '../../scheduler/index.ts';
import type { Weighted } from '../../scheduler/plugin.ts';
import { makeNode, makePod, small } from './builders.ts';

/** A policy that goes by a pod's host name alone, and one that goes by the others on a node; both note whom they are asked of. */
function asking(): { asked: string[]; profile: Weighted[] } {
  const asked: string[] = [];
  const note = (what: string) => (node: NodeView) => {
    asked.push(`${what} ${node.name}`);
    return undefined;
  };
  return {
    asked,
    profile: [
      {
        plugin: { name: 'Alone', filter: () => note('alone'), filterGoesBy: ({ pod }) => pod.spec.hostname },
        weight: 0,
      },
      { plugin: { name: 'Others', filter: () => note('others') }, weight: 0 },
    ],
  };
}

describe('what a policy says of a node by itself', () => {
  const nodes = [makeNode('a'), makeNode('b')];
  const place = (profile: Weighted[], spec: Partial<PodSpec> = {}, among: readonly NodeView[] = nodes) =>
    decide({ pod: makePod('p', spec), needs: small, nodes: among }, profile, () => 0);

  test('holds for all pods that are equal in what it goes by; what goes by other nodes is asked each time', () => {
    const { asked, profile } = asking();
    place(profile);
    expect(asked.splice(0)).toEqual(['alone a', 'alone b', 'others a', 'others b']);
    place(profile, { priority: 3 });
    expect(asked.splice(0)).toEqual(['others a', 'others b']);
    place(profile, { hostname: 'web' });
    expect(asked.splice(0)).toEqual(['alone a', 'alone b', 'others a', 'others b']);
    place(profile);
    expect(asked.splice(0)).toEqual(['others a', 'others b']);
  });

  test('holds until that node changes', () => {
    const { asked, profile } = asking();
    const [a, b] = [makeNode('a'), makeNode('b')];
    place(profile, {}, [a, b]);
    asked.splice(0);
    b.version += 1;
    place(profile, {}, [a, b]);
    expect(asked.splice(0)).toEqual(['alone b', 'others a', 'others b']);
    // As others see these nodes for another pod.
    const all = [a, b];
    place(profile, {}, all);
    a.version += 1;
    place(profile, {}, all);
    expect(asked.filter((one) => one.startsWith('alone'))).toEqual(['alone a']);
  });

  test('is of that profile: another asks for itself', () => {
    const { asked, profile } = asking();
    place(profile);
    asked.splice(0);
    place([...profile]);
    expect(asked).toContain('alone a');
  });

  test('counts with what others say: refusals and scores add up', () => {
    const profile: Weighted[] = [
      {
        plugin: {
          name: 'Alone',
          filter: () => (node) => (node.name === 'c' ? 'node(s) were c' : undefined),
          filterGoesBy: () => null,
          score: () => () => 7,
          scoreGoesBy: () => null,
        },
        weight: 2,
      },
      { plugin: { name: 'Likes b', score: () => (node) => (node.name === 'b' ? 1 : 0) }, weight: 1 },
    ];
    expect(place(profile, {}, [...nodes, makeNode('c')])).toMatchObject({ node: { name: 'b' }, score: 15 });
    expect(place(profile, {}, [makeNode('c')])).toEqual({ refusals: new Map([['node(s) were c', 1]]) });
  });
});
