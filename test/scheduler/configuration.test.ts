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
    const searched = { schedulerName: 'quick', percentageOfNodesToScore: 0 };
    const profiles = await configuration({}, { schedulerName: 'batch', percentageOfNodesToScore: 30 }, searched);
    expect(
      profiles.map(({ schedulerName, percentageOfNodesToScore }) => [schedulerName, percentageOfNodesToScore]),
    ).toEqual([
      ['default-scheduler', 100],
      ['batch', 30],
      ['quick', 0],
    ]);
    await expect(configuration({}, {})).rejects.toThrow('two profiles are for schedulerName "default-scheduler"');
  });

  test('that names a policy that does not exist says which there are', async () => {
    const plugins = { filter: { enabled: [{ name: 'Nope' }] } };
    await expect(configuration({ plugins })).rejects.toThrow(/no policy "Nope"; there are NodeUnschedulable, /);
  });

  const given = (name: string, args: object) => ({ profiles: [{ pluginConfig: [{ name, args }] }] });
  const strategy = (scoringStrategy: object) => given('NodeResourcesFit', { scoringStrategy });
  const shape = (...utilizations: number[]) => utilizations.map((utilization) => ({ utilization, score: 1 }));
  const ratio = (...utilizations: number[]) =>
    strategy({ type: 'RequestedToCapacityRatio', requestedToCapacityRatio: { shape: shape(...utilizations) } });
  const args = 'profiles[0].pluginConfig[0].args';
  const strategyAt = `${args}.scoringStrategy`;
  test.each<[string, object, string]>([
    ['a field that is not known', { profils: [] }, 'profils: there is no such field'],
    ['one of a profile', { profiles: [{ plugin: {} }] }, 'profiles[0].plugin: there is no such field'],
    [
      'a point that is not known',
      { profiles: [{ plugins: { filters: { enabled: [] } } }] },
      'profiles[0].plugins.filters: there is no such field',
    ],
    [
      'a part of a hundred that is none',
      { profiles: [{ percentageOfNodesToScore: 500 }] },
      'profiles[0].percentageOfNodesToScore: Invalid value: 500',
    ],
    ['one for all profiles', { percentageOfNodesToScore: -1 }, 'percentageOfNodesToScore: Invalid value: -1'],
    ['a number as text', { percentageOfNodesToScore: '5' }, 'percentageOfNodesToScore: Invalid value: "string"'],
    ['a profile that is no list', { profiles: {} }, 'profiles: Invalid value: "object"'],
    [
      'args of a policy that does not exist',
      given('Nope', {}),
      'there is no policy "Nope"; there are NodeUnschedulable, ',
    ],
    ['args of a policy that has none', given('NodeName', { x: 1 }), `${args}.x: there is no such field`],
    [
      'args that are not known',
      given('InterPodAffinity', { hardWeight: 1 }),
      `${args}.hardWeight: there is no such field`,
    ],
    [
      'args that are too much',
      given('InterPodAffinity', { hardPodAffinityWeight: 101 }),
      `${args}.hardPodAffinityWeight: Invalid value: 101`,
    ],
    [
      'two of the args of one policy',
      { profiles: [{ pluginConfig: [{ name: 'NodeName' }, { name: 'NodeName' }] }] },
      'profiles[0].pluginConfig[1]: Duplicate value',
    ],
    [
      'a strategy that is not known',
      strategy({ type: 'MostAlocated' }),
      `${strategyAt}.type: Unsupported value: "MostAlocated": supported values: "LeastAllocated"`,
    ],
    [
      'a strategy without its shape',
      strategy({ type: 'RequestedToCapacityRatio' }),
      `${strategyAt}.requestedToCapacityRatio: Required value`,
    ],
    ['a shape of no points', ratio(), `${strategyAt}.requestedToCapacityRatio.shape: Invalid value: 0`],
    [
      'a shape that goes back',
      ratio(0, 50, 50),
      `${strategyAt}.requestedToCapacityRatio.shape[2].utilization: Invalid value: 50`,
    ],
    [
      'a weight of nothing',
      strategy({ resources: [{ name: 'cpu', weight: 0 }] }),
      `${strategyAt}.resources[0].weight: Invalid value: 0`,
    ],
    [
      'an operator that is not known',
      given('NodeAffinity', {
        addedAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'Is' }] }],
          },
        },
      }),
      '.nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: "Is"',
    ],
    [
      'constraints beside those of the system',
      given('PodTopologySpread', {
        defaultConstraints: [{ maxSkew: 1, topologyKey: 'a', whenUnsatisfiable: 'ScheduleAnyway' }],
      }),
      `${args}.defaultConstraints: Forbidden: they need the defaultingType List`,
    ],
    [
      'a policy of a point that km has no part in',
      { profiles: [{ plugins: { bind: { enabled: [{ name: 'MyBinder' }] } } }] },
      'there is no policy "MyBinder"',
    ],
    [
      'servers to be asked',
      { extenders: [{ urlPrefix: 'http://x' }] },
      'extenders: Forbidden: km asks no other servers',
    ],
  ])('is refused for %s', async (_words, body, message) => {
    const refused = profilesOf({ kind: 'KubeSchedulerConfiguration', ...body }, nothing);
    await expect(refused).rejects.toThrow(message);
  });

  test('may hold what is null, or of kube-scheduler as a process, which is told', async () => {
    const file = {
      apiVersion: 'kubescheduler.config.k8s.io/v1',
      kind: 'KubeSchedulerConfiguration',
      extenders: [],
      leaderElection: { leaderElect: true },
      parallelism: 16,
      profiles: [{ schedulerName: null, pluginConfig: [{ name: 'VolumeBinding', args: { bindTimeoutSeconds: 600 } }] }],
    };
    const [profile] = await profilesOf(file, nothing);
    expect(profile).toMatchObject({
      schedulerName: 'default-scheduler',
      warnings: [
        'leaderElection does nothing here',
        'parallelism does nothing here',
        'the args of VolumeBinding do nothing here',
      ],
    });
  });

  const disabled = (name: string) => ({ disabled: [{ name }] });
  const enabled = { enabled: [{ name: 'DefaultPreemption' }] };
  test.each<[string, object, boolean]>([
    ['as usual', {}, true],
    ['taken out', { postFilter: disabled('DefaultPreemption') }, false],
    ['taken out with all of its kind', { postFilter: disabled('*') }, false],
    ['taken out everywhere', { multiPoint: disabled('DefaultPreemption') }, false],
    ['taken out with all and put back', { multiPoint: { ...disabled('*'), ...enabled } }, true],
    ['taken out with all and put back in its place', { multiPoint: disabled('*'), postFilter: enabled }, true],
    ['put in everywhere, taken out in its place', { multiPoint: enabled, postFilter: disabled('*') }, false],
  ])('has preemption %s', async (_words, plugins, preempts) => {
    expect((await configuration({ plugins }))[0]!.preempts).toBe(preempts);
  });

  test('says of how many nodes preemption takes the best', async () => {
    const pluginConfig = [{ name: 'DefaultPreemption', args: { minCandidateNodesAbsolute: 7 } }];
    expect((await configuration({ pluginConfig }))[0]!.preemption).toEqual({ minCandidateNodesAbsolute: 7 });
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
    for (const { plugin } of plugins)
      expect([typeof plugin.filter, typeof plugin.score]).toEqual(['function', 'undefined']);
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
    expect([plugin.name, typeof plugin.filter, typeof plugin.score, weight]).toEqual([
      score,
      'undefined',
      'function',
      4,
    ]);
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

  test('spreads by services alone, or by controllers, too', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r', controller: true };
    const sibling = (name: string) => makePod(name, {}, { ownerReferences: [owner] });
    const nodes = [makeNode('a', { pods: [sibling('other')] }), makeNode('b')];
    const scoreOf = async (name: string) =>
      (await policy({ predicates: [], priorities: [{ name }] })).plugins.at(-1)!.plugin.score!({
        pod: sibling('p'),
        needs: small,
        nodes,
      })?.(nodes[0]!, 0);
    expect(await scoreOf('SelectorSpreadPriority')).toBe(0);
    expect(await scoreOf('ServiceSpreadingPriority')).toBeUndefined();
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

  test.each<[string, object, string]>([
    ['a field that is not known', { predicate: [] }, 'predicate: there is no such field'],
    [
      'an argument that is not known',
      { predicates: [{ name: 'X', argument: { labels: [] } }] },
      'predicates[0].argument.labels: there',
    ],
    [
      'a weight of nothing',
      { priorities: [{ name: 'EqualPriority', weight: 0 }] },
      'priorities[0].weight: Invalid value: 0',
    ],
    ['no name', { priorities: [{ weight: 1 }] }, 'priorities[0].name: Required value'],
    [
      'a shape that goes back',
      {
        priorities: [
          {
            name: 'Ratio',
            argument: {
              requestedToCapacityRatioArguments: {
                shape: [
                  { utilization: 9, score: 1 },
                  { utilization: 1, score: 1 },
                ],
              },
            },
          },
        ],
      },
      'Ratio: requestedToCapacityRatioArguments.shape[1].utilization: Invalid value: 1',
    ],
    [
      'servers to be asked',
      { extenders: [{ urlPrefix: 'http://x' }] },
      'extenders: Forbidden: km asks no other servers',
    ],
  ])('is refused for %s', async (_words, body, message) => {
    await expect(policy(body)).rejects.toThrow(message);
  });

  test('without lists applies the default ones, and refuses names it does not know', async () => {
    expect(parts(await policy({})).join()).toMatch(/NodeResourcesFit filter 0.*InterPodAffinity {2}1/);
    await expect(policy({ predicates: [{ name: 'X' }] })).rejects.toThrow(/no predicate "X".*CheckServiceAffinity/);
    await expect(policy({ priorities: [{ name: 'X' }] })).rejects.toThrow(/no priority "X".*EqualPriority/);
  });
});
