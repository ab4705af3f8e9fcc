import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ControllerRevision } from '../../api/kinds/controller-revision.ts';
import { DaemonSet } from '../../api/kinds/daemon-set.ts';
import { Node, type Taint } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { belongs, daemonPod, nodeOf, planDaemons } from '../../controllers/common/daemons.ts';
import { keepHistory } from '../../controllers/common/history.ts';
import { eventually } from '../eventually.ts';
import { running, startControllers } from './harness.ts';

const stored = (name: string) => ({ name, uid: name, resourceVersion: '1', namespace: 'default' });
const setOf = (spec: Partial<DaemonSet['spec']> = {}): DaemonSet & Stored => ({
  metadata: stored('ds'),
  spec: { selector: {}, template: { spec: { containers: [] } }, ...spec },
});
const nodeNamed = (name: string, taints: Taint[] = [], labels: Record<string, string> = {}): Node & Stored => ({
  metadata: { ...stored(name), labels },
  spec: { taints },
});
const taint = (key: string, effect: Taint['effect']): Taint => ({ key, effect });
const inTemplate = (spec: Partial<Pod['spec']>) => setOf({ template: { spec: { containers: [], ...spec } } });

describe('a daemon', () => {
  test.each([
    ['any node', setOf(), nodeNamed('n'), true, true],
    ['no node with another label', inTemplate({ nodeSelector: { disk: 'ssd' } }), nodeNamed('n'), false, false],
    [
      'one with its label',
      inTemplate({ nodeSelector: { disk: 'ssd' } }),
      nodeNamed('n', [], { disk: 'ssd' }),
      true,
      true,
    ],
    ['no other than its node', inTemplate({ nodeName: 'm' }), nodeNamed('n'), false, false],
    ['a cordoned node', setOf(), nodeNamed('n', [taint('node.kubernetes.io/unschedulable', 'NoSchedule')]), true, true],
    [
      'a node that is not ready',
      setOf(),
      nodeNamed('n', [taint('node.kubernetes.io/not-ready', 'NoExecute')]),
      true,
      true,
    ],
    ['no tainted node, but stays', setOf(), nodeNamed('n', [taint('x', 'NoSchedule')]), false, true],
    ['no tainted node, nor stays', setOf(), nodeNamed('n', [taint('x', 'NoExecute')]), false, false],
    [
      'a tainted one that it tolerates',
      inTemplate({ tolerations: [{ operator: 'Exists' }] }),
      nodeNamed('n', [taint('x', 'NoExecute')]),
      true,
      true,
    ],
  ])('belongs on %s', (_what, set, node, runs, stays) => expect(belongs(set, node)).toEqual({ runs, stays }));

  test('is bound to its node by affinity, beside what its template demands', () => {
    const term = { matchExpressions: [{ key: 'disk', operator: 'Exists' as const }] };
    const affinity = {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term, {}] } },
    };
    const pod = daemonPod(inTemplate({ affinity, hostNetwork: true }), 'n1', 'h');
    const matchFields = [{ key: 'metadata.name', operator: 'In', values: ['n1'] }];
    expect(pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms).toEqual([
      { ...term, matchFields },
      { matchFields },
    ]);
    expect(pod.spec.tolerations?.map(({ key }) => key)).toContain('node.kubernetes.io/network-unavailable');
    expect(nodeOf(pod)).toBe('n1');
  });
});

/** `r RP . f`: a word a node; letters as its pods: r ready, p pending, f failed, t terminating; capitals are new. */
function plan(words: string, spec: Partial<DaemonSet['spec']> = {}) {
  const places = words.split(' ').map((letters, i) => ({ name: `n${i}`, letters }));
  const pods = places.flatMap(({ name, letters }) =>
    [...letters]
      .filter((letter) => letter !== '.')
      .map((letter, i): Pod & Stored => {
        const kind = letter.toLowerCase();
        return {
          metadata: {
            ...stored(`${name}-${letter}${i}`),
            labels: { 'controller-revision-hash': kind === letter ? 'old' : 'new' },
            ...(kind === 't' ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
          },
          spec: { containers: [], nodeName: name },
          status: kind === 'r' ? running() : { phase: kind === 'f' ? 'Failed' : 'Pending' },
        };
      }),
  );
  const nodes = places.map(({ name }) => nodeNamed(name));
  return planDaemons(setOf(spec), nodes, pods, 'new', Date.now());
}

const strategy = (maxUnavailable: number | string, maxSurge: number | string = 0) => ({
  updateStrategy: { type: 'RollingUpdate' as const, rollingUpdate: { maxUnavailable, maxSurge } },
});

describe('a daemon set', () => {
  test.each([
    ['makes what is missing', '. R .', {}, ['n0', 'n2'], []],
    ['keeps one of several', 'RR R', {}, [], ['n0-R1']],
    ['waits for one that is going', 't R', {}, [], []],
    ['replaces one at a time', 'r r r', {}, [], ['n0-r0']],
    ['as many as may be missing', 'r r r r', strategy('50%'), [], ['n0-r0', 'n1-r0']],
    ['counts what is missing already', 'r r P', strategy(2), [], ['n0-r0']],
    ['those that do not serve first', 'r p r', strategy(1), [], ['n1-p0']],
    ['waits for new ones', 'r P r', strategy(1), [], []],
    ['sets a second beside the old', 'r r r', strategy(0, 1), ['n0'], []],
    ['and waits for it', 'rP r r', strategy(0, 1), [], []],
    ['and lets the old go then', 'rR r r', strategy(0, 1), [], ['n0-r0']],
    ['replaces nothing by itself with OnDelete', 'r r', { updateStrategy: { type: 'OnDelete' as const } }, [], []],
  ])('%s: %s', (_what, words, spec, create, remove) => {
    const { create: made, remove: deleted } = plan(words, spec);
    expect({ create: made, remove: deleted.map(({ metadata }) => metadata.name) }).toEqual({ create, remove });
  });

  test('counts', () => {
    expect(plan('R r P .').counts).toEqual({
      desiredNumberScheduled: 4,
      currentNumberScheduled: 3,
      numberMisscheduled: 0,
      numberReady: 2,
      updatedNumberScheduled: 2,
      numberAvailable: 2,
      numberUnavailable: 2,
    });
  });
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers();
    await c.runPods();
    for (const name of ['a', 'b'])
      await c.client.create(Node, { metadata: { name }, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
  });
  afterAll(() => c.stop());
  const ref = { namespace: 'default', name: 'log' };

  test('runs on each node, moves with labels, is made again, updated and rolled back, each in its time', async () => {
    const template = {
      metadata: { labels: { app: 'log' } },
      spec: { containers: [{ name: 'c', image: 'x:1' }], nodeSelector: { logged: 'yes' } },
    };
    await c.client.create(DaemonSet, { metadata: ref, spec: { selector: { matchLabels: { app: 'log' } }, template } });
    const places = async () => (await c.podsOf('log')).map(nodeOf).sort();
    const images = async () => (await c.podsOf('log')).map(({ spec }) => spec.containers[0]!.image);
    for (const name of ['a', 'b']) await c.client.patch(Node, { name }, { metadata: { labels: { logged: 'yes' } } });
    await eventually(async () => expect(await places()).toEqual(['a', 'b']));
    await eventually(async () =>
      expect((await c.client.get(DaemonSet, ref)).status).toMatchObject({ numberReady: 2, numberAvailable: 2 }),
    );

    const [first] = await c.podsOf('log');
    await c.client.patch(Pod, first!.metadata, { status: { phase: 'Failed' } }, { subresource: 'status' });
    await eventually(async () => {
      expect((await c.podsOf('log')).map(({ metadata }) => metadata.uid)).not.toContain(first!.metadata.uid);
      expect(await places()).toEqual(['a', 'b']);
    });

    const image = (name: string) => ({ spec: { template: { spec: { containers: [{ name: 'c', image: name }] } } } });
    await c.client.patch(DaemonSet, ref, image('x:2'));
    await eventually(async () => expect(await images()).toEqual(['x:2', 'x:2']));
    const { items } = await c.client.list(ControllerRevision, { namespace: 'default' });
    expect(items.map(({ revision }) => revision).sort()).toEqual([1, 2]);
    for (const { data } of items) {
      const template = (data as { spec: { template: { metadata: object; spec: object } } }).spec.template;
      for (const part of [template, template.spec]) expect(Object.keys(part)).toEqual(Object.keys(part).sort());
      expect(template).toMatchObject({ $patch: 'replace' });
      expect(JSON.stringify(template.metadata)).toMatch(/^{"creationTimestamp":null,"labels":/);
    }
    const known = structuredClone(items.find(({ revision }) => revision === 2)!);
    // As km kept it before.
    delete (known.data as { spec: { template: { metadata: { creationTimestamp?: null } } } }).spec.template.metadata
      .creationTimestamp;
    const owner = await c.client.get(DaemonSet, ref);
    const { update } = await keepHistory(c.client, DaemonSet, owner, [known], AbortSignal.timeout(10_000));
    expect(update).toBe(known);

    await c.client.patch(Node, { name: 'b' }, { metadata: { labels: { logged: null } } });
    await eventually(async () => expect(await places()).toEqual(['a']));
  });
});
