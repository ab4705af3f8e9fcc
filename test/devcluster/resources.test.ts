import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { allocateOffers, type AgentView, type FrameworkView } from '../../devcluster/allocator.ts';
import { Rations } from '../../devcluster/rations.ts';
import { add, contains, scalarOf, subtract } from '../../devcluster/resources.ts';
import { parseAttributes, parseResources, printDuration, printResources } from '../../devcluster/resource-text.ts';
import type { Resource } from '../../mesos/types.ts';

const amounts = fc
  .tuple(
    fc.integer({ min: 0, max: 9999 }),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 9 }))),
  )
  .map(([cpus, ranges]): Resource[] => [
    { name: 'cpus', type: 'SCALAR', scalar: { value: cpus / 1000 } },
    {
      name: 'ports',
      type: 'RANGES',
      ranges: { range: ranges.map(([begin, size]) => ({ begin: BigInt(begin), end: BigInt(begin + size) })) },
    },
  ]);

describe('resources', () => {
  test('that are added and taken away leave what there was', () => {
    fc.assert(
      fc.property(amounts, amounts, (a, b) => {
        const both = add(a, b);
        expect(contains(both, a) && contains(both, b)).toBe(true);
        expect(contains(add(subtract(both, b), b), both)).toBe(true);
        expect(subtract(a, a)).toEqual([]);
      }),
    );
  });

  test('add up without the faults of binary fractions', () => {
    const tenth = parseResources('cpus:0.1');
    const sum = Array.from({ length: 10 }, () => tenth).reduce(add, [] as Resource[]);
    expect(printResources(sum)).toBe('cpus:1');
    expect(contains(sum, parseResources('cpus:1'))).toBe(true);
    expect(contains(sum, parseResources('cpus:1.001'))).toBe(false);
  });

  test('of another kind are other resources', () => {
    expect(contains(parseResources('cpus:4'), parseResources('cpus(web):1'))).toBe(false);
  });

  test('are read and printed as Mesos writes them', () => {
    expect(printResources(parseResources('cpus:4.5;ports:[31000-31499,31600-31999];tokens:{a,b};mem(web):512'))).toBe(
      'cpus:4.5; ports:[31000-31499, 31600-31999]; tokens:{a, b}; mem(reservations: [(STATIC,web)]):512',
    );
    expect(() => parseResources('cpus=4')).toThrow('expected resources such as');
    expect(parseAttributes('rack:a:b;n:2').map(({ type }) => type)).toEqual(['TEXT', 'SCALAR']);
    expect(() => parseAttributes('s:{a}')).toThrow('may not be a set');
    expect([5000, 900_000, 1500, 2000].map(printDuration)).toEqual(['5secs', '15mins', '1.5secs', '2secs']);
  });
});

describe('the allocator', () => {
  const agent = (id: string, resources = 'cpus:4;mem:4096'): AgentView => ({
    id,
    free: parseResources(resources),
    domain: undefined,
    hasGpus: false,
  });
  const framework = (id: string, more: Partial<FrameworkView> = {}): FrameworkView => ({
    id,
    capabilities: new Set(),
    roles: ['*'],
    allocated: [],
    served: new Map(),
    admits: () => true,
    refuses: () => false,
    leastOf: () => undefined,
    ...more,
  });
  const total = parseResources('cpus:16;mem:16384');
  const agents = ['a', 'b', 'c', 'd'].map((id) => agent(id));
  const given = (frameworks: FrameworkView[], some = agents, weights: Record<string, number> = {}) =>
    allocateOffers({ agents: some, frameworks, total, weights: new Map(Object.entries(weights)), region: 'eu' });

  test('gives everyone the same share', () => {
    const counts = given([framework('x', { roles: ['x'] }), framework('y', { roles: ['y'] })]).map(
      (a) => a.frameworkId,
    );
    expect(counts.toSorted()).toEqual(['x', 'x', 'y', 'y']);
  });

  test('serves first who has less', () => {
    const held = parseResources('cpus:8').map((resource) => ({ ...resource, allocation_info: { role: 'x' } }));
    const frameworks = [framework('x', { roles: ['x'], allocated: held }), framework('y', { roles: ['y'] })];
    expect(given(frameworks).map((a) => a.frameworkId)).toEqual(['y', 'y', 'x', 'y']);
  });

  test('gives a role by its weight', () => {
    const frameworks = [framework('x', { roles: ['x'] }), framework('y', { roles: ['y'] })];
    const roles = given(frameworks, agents, { y: 3 }).map((a) => a.role);
    expect(roles.toSorted()).toEqual(['x', 'y', 'y', 'y']);
  });

  test('shares out level by level: what two roles below one get counts together', () => {
    const frameworks = ['eng/a', 'eng/b', 'ops'].map((role) => framework(role, { roles: [role] }));
    const roles = given(frameworks).map((a) => a.role);
    expect(roles.toSorted()).toEqual(['eng/a', 'eng/b', 'ops', 'ops']);
    const heavy = given(frameworks, agents, { eng: 3, 'eng/b': 2 }).map((a) => a.role);
    expect(heavy.toSorted()).toEqual(['eng/a', 'eng/b', 'eng/b', 'ops']);
    const parent = [framework('eng', { roles: ['eng'] }), framework('eng/a', { roles: ['eng/a'] })];
    expect(
      given(parent)
        .map((a) => a.role)
        .toSorted(),
    ).toEqual(['eng', 'eng', 'eng/a', 'eng/a']);
  });

  test('passes over who refused, and who is far from the region', () => {
    const refusing = framework('x', { refuses: (_role, id) => id === 'a' });
    expect(given([refusing]).map((a) => a.agentId)).toEqual(['b', 'c', 'd']);
    const far = { ...agent('far'), domain: { fault_domain: { region: { name: 'us' }, zone: { name: 'z' } } } };
    expect(given([framework('x')], [far])).toEqual([]);
    expect(given([framework('x', { capabilities: new Set(['REGION_AWARE']) })], [far])).toHaveLength(1);
  });

  test('holds back what quota guarantees to others, and gives nobody more than a limit', () => {
    const quotas = new Map([
      ['later', { guarantees: { cpus: 9 }, limits: {} }],
      ['x', { guarantees: {}, limits: { cpus: 5, mem: 1024 } }],
    ]);
    const rations = new Rations(quotas);
    for (const { free } of agents) rations.countAgent(free, free);
    const frameworks = [framework('x', { roles: ['x/a'] }), framework('y', { roles: ['y'] })];
    const weights = new Map<string, number>();
    const made = allocateOffers({ agents, frameworks, total, weights, rations, region: 'eu' });
    const sum = (role: string, name: string) =>
      made.filter((one) => one.role === role).reduce((all, one) => all + scalarOf(one.resources, name), 0);
    expect(sum('x/a', 'cpus') + sum('y', 'cpus')).toBe(7);
    expect(sum('x/a', 'cpus')).toBeLessThanOrEqual(5);
    expect(sum('x/a', 'mem')).toBeLessThanOrEqual(1024);
    expect(sum('x/a', 'mem') + sum('y', 'mem')).toBe(16384);
  });

  test('offers no crumbs, and reserved resources only to their role and those below', () => {
    expect(given([framework('x')], [agent('a', 'cpus:0.009;mem:31')])).toEqual([]);
    expect(given([framework('x', { leastOf: () => [] })], [agent('a', 'cpus:0.009;mem:31')])).toHaveLength(1);
    const reserved = [agent('a', 'cpus(web):1;cpus:2')];
    const offered = (role: string) =>
      printResources(given([framework('x', { roles: [role] })], reserved)[0]!.resources);
    expect(offered('other')).toBe('cpus(allocated: other):2');
    expect(offered('web/shop')).toContain('cpus(allocated: web/shop)(reservations: [(STATIC,web)]):1');
  });
});
