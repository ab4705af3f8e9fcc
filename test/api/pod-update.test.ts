import { describe, expect, test } from '@jest/globals';
import { kindOf, lines, made } from './made.ts';

/** What is said of a change from one spec to another. */
const change = (from: object, to: object) =>
  lines(kindOf('v1/Pod').validateUpdate?.(made('v1/Pod', { spec: to }), made('v1/Pod', { spec: from })));
const gate = { schedulingGates: [{ name: 'example.com/wait' }] };
const zone = (...values: string[]) => ({ key: 'zone', operator: 'In', values });
const required = (...terms: object[][]) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions })),
      },
    },
  },
});

// https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/#mutable-pod-scheduling-directives
describe('a pod behind a gate', () => {
  test('may be told more closely where to go, at once with the gate going', () => {
    const from = { ...gate, nodeSelector: { a: 'b' } };
    expect(change(from, { ...gate, nodeSelector: { a: 'b', c: 'd' } })).toEqual([]);
    expect(change(from, { nodeSelector: { a: 'b', c: 'd' } })).toEqual([]);
    expect(change(gate, { ...gate, ...required([zone('x')]) })).toEqual([]);
    expect(change({ ...gate, ...required([zone('x')]) }, required([zone('x'), zone('x', 'y')]))).toEqual([]);
  });

  test('is sent nowhere else', () => {
    const only = 'only additions are allowed (no mutations or deletions)';
    expect(change({ ...gate, nodeSelector: { a: 'b' } }, { ...gate, nodeSelector: { a: 'c' } })).toEqual([
      `spec.nodeSelector: Invalid value: {"a":"c"}: ${only}`,
    ]);
    const from = { ...gate, ...required([zone('x')]) };
    expect(change(from, { ...gate, ...required([zone('x', 'y')]) }).join()).toContain(only);
    for (const to of [gate, { ...gate, ...required([zone('x')], [zone('y')]) }])
      expect(change(from, to).join()).toContain('no additions/deletions to non-empty NodeSelectorTerms list');
  });

  test('changes in nothing else', () => {
    expect(change(gate, { ...gate, hostname: 'h' }).join()).toContain('pod updates may not change fields other than');
    const anti = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [] } };
    expect(change(gate, { ...gate, affinity: anti }).join()).toContain('pod updates may not change fields other than');
  });
});

test('without a gate a pod stays where it was meant to go', () => {
  expect(change({}, { nodeSelector: { a: 'b' } }).join()).toContain('pod updates may not change fields other than');
});
