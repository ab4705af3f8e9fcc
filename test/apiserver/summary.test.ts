import { describe, expect, test } from '@jest/globals';
import { podUsages, usageOf, type Amounts } from '../../apiserver/resource-metrics/summary.ts';

const at = (second: number, cores: number, bytes = 1024): Amounts => ({
  cpu: { time: `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`, usageCoreNanoSeconds: cores * 1e9 },
  memory: { workingSetBytes: bytes },
});

describe('what was used', () => {
  const cases: [string, Amounts | undefined, Amounts | undefined, object | undefined][] = [
    [
      'a rate of its own',
      { cpu: { usageNanoCores: 5 }, memory: { workingSetBytes: 1 } },
      undefined,
      { cpu: '5n', memory: '1Ki' },
    ],
    ['two samples', at(10, 3), at(0, 1), { cpu: '200000000n', memory: '1Ki' }],
    ['one sample', at(10, 3), undefined, undefined],
    ['a counter that went back', at(10, 1), at(0, 3), undefined],
    ['two samples of one moment', at(10, 3), at(10, 1), undefined],
    ['no memory', { cpu: { usageNanoCores: 5 } }, undefined, undefined],
    ['nothing', undefined, undefined, undefined],
  ];
  test.each(cases)('%s', (_what, now, before, usage) => {
    expect(usageOf(now, before)).toEqual(usage);
  });

  test('pods without a measured container are left out', () => {
    const pod = (name: string, amounts: Amounts) => ({
      podRef: { namespace: 'd', name },
      containers: [{ name: 'c', ...amounts }],
    });
    const now = { pods: [pod('old', at(10, 2)), pod('new', at(10, 1)), { podRef: { name: 'bare' } }] };
    expect(podUsages(now, { pods: [pod('old', at(0, 1))] })).toEqual([
      { namespace: 'd', name: 'old', containers: [{ name: 'c', usage: { cpu: '100000000n', memory: '1Ki' } }] },
    ]);
  });
});
