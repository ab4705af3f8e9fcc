import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { defaultProfile, decide, explain, profilesOf, readConfiguration, seeded } from '../../scheduler/index.ts';
import type { NodeView, Profile } from '../../scheduler/index.ts';
import { makeNode, makePod, small } from './builders.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-configuration-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const nothing = () => Promise.reject(new Error('no module was named'));
const configuration = (...profiles: object[]) => profilesOf({ kind: 'KubeSchedulerConfiguration', profiles }, nothing);
const policy = async (body: object) => (await profilesOf({ kind: 'Policy', ...body }, nothing))[0]!;
const parts = ({ plugins }: Profile) =>
  plugins.map(({ plugin, weight }) =>
    [plugin.name, plugin.filter ? 'filter' : '', plugin.score ? weight : 0].join(' '),
  );

function place({ plugins }: Profile, nodes: NodeView[], pod = makePod('p')): string {
  const decision = decide({ pod, needs: small, nodes }, plugins, seeded(1));
  return 'node' in decision ? decision.node.name : explain(decision.refusals, nodes.length);
}

describe('a KubeSchedulerConfiguration', () => {
  test('that says nothing is the default profile', async () => {
    const [profile] = await configuration({});
    expect(profile!.schedulerName).toBe('default-scheduler');
    expect(profile!.plugins.map(({ plugin, weight }) => [plugin.name, weight])).toEqual(
      defaultProfile.map(({ plugin, weight }) => [plugin.name, weight]),
    );
  });

  test('takes policies out, whole or in part, adds others and weighs them', async () => {
    const plugins = {
      multiPoint: { disabled: [{ name: 'ImageLocality' }] },
      filter: { disabled: [{ name: 'TaintToleration' }] },
      score: {
        disabled: [{ name: '*' }],
        enabled: [{ name: 'NodeAffinity', weight: 7 }, { name: 'EqualPriority' }],
      },
    };
    const [profile] = await configuration({ plugins });
    const all = parts(profile!);
    expect(all).toContain('NodeAffinity filter 7');
    expect(all).toContain('EqualPriority  1');
    expect(all).toContain('NodeResourcesFit filter 0');
    expect(all.join()).not.toMatch(/ImageLocality|TaintToleration|Balanced/);
  });

  test('keeps nothing but what it names after disabling all', async () => {
    const plugins = { multiPoint: { disabled: [{ name: '*' }], enabled: [{ name: 'NodeName' }] } };
    expect(parts((await configuration({ plugins }))[0]!)).toEqual(['NodeName filter 0']);
  });

  test('gives policies their args', async () => {
    const pluginConfig = [{ name: 'NodeResourcesFit', args: { scoringStrategy: { type: 'MostAllocated' } } }];
    const only = { multiPoint: { disabled: [{ name: '*' }], enabled: [{ name: 'NodeResourcesFit' }] } };
    const nodes = [makeNode('full', { free: { cpu: 1000, memory: 2 * 1024 ** 3 } }), makeNode('empty')];
    expect(place((await configuration({ plugins: only, pluginConfig }))[0]!, nodes)).toBe('full');
    expect(place((await configuration({ plugins: only }))[0]!, nodes)).toBe('empty');
  });

  test('has several profiles, by schedulerName', async () => {
    const profiles = await configuration({}, { schedulerName: 'batch', percentageOfNodesToScore: 30 });
    expect(
      profiles.map(({ schedulerName, percentageOfNodesToScore }) => [schedulerName, percentageOfNodesToScore]),
    ).toEqual([
      ['default-scheduler', 0],
      ['batch', 30],
    ]);
    await expect(configuration({}, {})).rejects.toThrow('two profiles are for schedulerName "default-scheduler"');
  });

  test('that names a policy that does not exist says which there are', async () => {
    const plugins = { filter: { enabled: [{ name: 'Nope' }] } };
    await expect(configuration({ plugins })).rejects.toThrow(/no policy "Nope"; there are NodeUnschedulable, /);
  });

  test("loads a user's own policy from a module beside it", async () => {
    writeFileSync(
      join(dir, 'odd.mjs'),
      "export default ({ letter }) => ({ name: 'Odd', filter: () => (node) => node.name === letter ? undefined : 'node(s) were odd' });",
    );
    writeFileSync(
      join(dir, 'scheduler.yaml'),
      [
        'apiVersion: kubescheduler.config.k8s.io/v1',
        'kind: KubeSchedulerConfiguration',
        'profiles:',
        '- plugins: { filter: { enabled: [{ name: ./odd.mjs }] } }',
        '  pluginConfig: [{ name: ./odd.mjs, args: { letter: b } }]',
      ].join('\n'),
    );
    const [profile] = await readConfiguration(join(dir, 'scheduler.yaml'));
    expect(place(profile!, [makeNode('a'), makeNode('b')])).toBe('b');
    expect(place(profile!, [makeNode('a')])).toBe('0/1 nodes are available: 1 node(s) were odd.');
    await expect(readConfiguration(join(dir, 'none.yaml'))).rejects.toThrow(/configuration .*none\.yaml: /);
  });
});

describe('a policy file of old', () => {
  test('names predicates and priorities by the names they had', async () => {
    const profile = await policy({
      predicates: [{ name: 'PodFitsResources' }, { name: 'PodFitsHost' }, { name: 'PodSelectorMatches' }],
      priorities: [{ name: 'MostRequestedPriority', weight: 2 }, { name: 'EqualPriority' }],
    });
    expect(parts(profile)).toEqual([
      'NodeUnschedulable filter 0',
      'TaintToleration filter 0',
      'DynamicResources filter 0',
      'NodeResourcesFit filter 0',
      'NodeName filter 0',
      'NodeAffinity filter 0',
      'NodeResourcesFit  2',
      'EqualPriority  1',
    ]);
  });

  test.each<[predicate: string, filters: string[]]>([
    ['PodFitsResources', ['NodeResourcesFit']],
    ['PodFitsHost', ['NodeName']],
    ['HostName', ['NodeName']],
    ['PodFitsPorts', ['NodePorts']],
    ['PodFitsHostPorts', ['NodePorts']],
    ['PodSelectorMatches', ['NodeAffinity']],
    ['MatchNodeSelector', ['NodeAffinity']],
    ['GeneralPredicates', ['NodeResourcesFit', 'NodeName', 'NodePorts', 'NodeAffinity']],
    ['NoDiskConflict', ['VolumeRestrictions']],
    ['NoVolumeZoneConflict', ['VolumeZone']],
    ['NoVolumeNodeConflict', ['VolumeBinding']],
    ['CheckVolumeBinding', ['VolumeBinding']],
    ['MaxCSIVolumeCountPred', ['NodeVolumeLimits']],
    ['MaxEBSVolumeCount', ['NodeVolumeLimits']],
    ['MaxGCEPDVolumeCount', ['NodeVolumeLimits']],
    ['MaxAzureDiskVolumeCount', ['NodeVolumeLimits']],
    ['MaxCinderVolumeCount', ['NodeVolumeLimits']],
    ['MatchInterPodAffinity', ['InterPodAffinity']],
    ['EvenPodsSpread', ['PodTopologySpread']],
    // These are asked always.
    ['PodToleratesNodeTaints', []],
    ['CheckNodeUnschedulable', []],
    ['CheckNodeCondition', []],
    ['CheckNodeMemoryPressure', []],
    ['CheckNodeDiskPressure', []],
    ['CheckNodePIDPressure', []],
  ])('the predicate %s is %j', async (name, filters) => {
    const always = ['NodeUnschedulable', 'TaintToleration', 'DynamicResources'];
    const { plugins } = await policy({ predicates: [{ name }], priorities: [] });
    expect(plugins.map(({ plugin }) => plugin.name)).toEqual([...always, ...filters]);
    for (const { plugin } of plugins) expect(plugin).toEqual({ name: plugin.name, filter: expect.any(Function) });
  });

  test.each<[priority: string, score: string]>([
    ['LeastRequestedPriority', 'NodeResourcesFit'],
    ['MostRequestedPriority', 'NodeResourcesFit'],
    ['BalancedResourceAllocation', 'NodeResourcesBalancedAllocation'],
    ['SelectorSpreadPriority', 'SelectorSpread'],
    ['ServiceSpreadingPriority', 'SelectorSpread'],
    ['EqualPriority', 'EqualPriority'],
    ['NodeAffinityPriority', 'NodeAffinity'],
    ['TaintTolerationPriority', 'TaintToleration'],
    ['InterPodAffinityPriority', 'InterPodAffinity'],
    ['ImageLocalityPriority', 'ImageLocality'],
    ['EvenPodsSpreadPriority', 'PodTopologySpread'],
  ])('the priority %s is %s', async (name, score) => {
    const { plugins, warnings } = await policy({ predicates: [], priorities: [{ name, weight: 4 }] });
    const { plugin, weight } = plugins.at(-1)!;
    expect([plugin, weight]).toEqual([{ name: score, score: expect.any(Function) }, 4]);
    expect(warnings).toEqual([]);
  });

  test('a priority that nothing serves any more is left out, and told', async () => {
    const { plugins, warnings } = await policy({
      predicates: [],
      priorities: [{ name: 'NodePreferAvoidPodsPriority', weight: 10_000 }],
    });
    expect(plugins.filter(({ plugin }) => plugin.score)).toEqual([]);
    expect(warnings).toEqual([expect.stringMatching(/^the priority NodePreferAvoidPodsPriority does nothing: /)]);
  });

  test('the emptier node or the fuller one, as its priority says', async () => {
    const nodes = [makeNode('full', { free: { cpu: 1000, memory: 2 * 1024 ** 3 } }), makeNode('empty')];
    const chosen = async (name: string) => place(await policy({ predicates: [], priorities: [{ name }] }), nodes);
    expect(await chosen('LeastRequestedPriority')).toBe('empty');
    expect(await chosen('MostRequestedPriority')).toBe('full');
  });

  test('keeps the pods of a service on nodes with different values of a label', async () => {
    const labels = { app: 'web' };
    const nodes = [
      makeNode('a', { labels: { rack: '1' }, pods: [makePod('other', {}, { labels })] }),
      makeNode('b', { labels: { rack: '2' } }),
      makeNode('c', { labels: { rack: '1' } }),
    ];
    const { plugins } = await policy({
      predicates: [],
      priorities: [{ name: 'RackSpread', weight: 1, argument: { serviceAntiAffinity: { label: 'rack' } } }],
    });
    const world = { namespaceLabels: () => ({}), serviceSelectors: () => [labels] };
    const decision = decide({ pod: makePod('p', {}, { labels }), needs: small, nodes, world }, plugins, seeded(1));
    expect('node' in decision && decision.node.name).toBe('b');
  });

  test('refuses by the presence of labels and prefers by it', async () => {
    const nodes = [
      makeNode('a', { labels: { retiring: 'x' } }),
      makeNode('b'),
      makeNode('c', { labels: { ssd: '1' } }),
    ];
    const profile = await policy({
      predicates: [{ name: 'NotRetiring', argument: { labelsPresence: { labels: ['retiring'], presence: false } } }],
      priorities: [{ name: 'Ssd', weight: 1, argument: { labelPreference: { label: 'ssd', presence: true } } }],
    });
    expect(place(profile, nodes)).toBe('c');
    expect(place(profile, nodes.slice(0, 1))).toContain("1 node(s) didn't have the requested labels");
  });

  test('keeps the pods of a service on nodes with one value of a label', async () => {
    const labels = { app: 'web' };
    const nodes = [
      makeNode('a', { labels: { rack: '1' } }),
      makeNode('b', { labels: { rack: '2' }, pods: [makePod('other', {}, { labels })] }),
    ];
    const { plugins } = await policy({
      predicates: [{ name: 'SameRack', argument: { serviceAffinity: { labels: ['rack'] } } }],
      priorities: [{ name: 'EqualPriority', weight: 1 }],
    });
    const world = { namespaceLabels: () => ({}), serviceSelectors: () => [labels] };
    const decision = decide({ pod: makePod('p', {}, { labels }), needs: small, nodes, world }, plugins, seeded(1));
    expect('node' in decision && decision.node.name).toBe('b');
  });

  test('weighs by the shape of requested to capacity', async () => {
    const shape = [
      { utilization: 0, score: 0 },
      { utilization: 50, score: 10 },
      { utilization: 100, score: 0 },
    ];
    const profile = await policy({
      priorities: [{ name: 'Half', weight: 1, argument: { requestedToCapacityRatioArguments: { shape } } }],
    });
    const free = (part: number) => ({ free: { cpu: 4000 * part, memory: part * 8 * 1024 ** 3 } });
    const nodes = [makeNode('full', free(0.1)), makeNode('half', free(0.53)), makeNode('empty')];
    expect(place(profile, nodes)).toBe('half');
  });

  test('without lists applies the default ones, and refuses names it does not know', async () => {
    expect(parts(await policy({})).join()).toMatch(/NodeResourcesFit filter 0.*InterPodAffinity {2}1/);
    await expect(policy({ predicates: [{ name: 'X' }] })).rejects.toThrow(/no predicate "X".*CheckServiceAffinity/);
    await expect(policy({ priorities: [{ name: 'X' }] })).rejects.toThrow(/no priority "X".*EqualPriority/);
  });
});
