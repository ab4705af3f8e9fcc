import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import { Deployment } from '../../api/kinds/deployment.ts';
import { HorizontalPodAutoscaler, type ScalingRules } from '../../api/kinds/horizontal-pod-autoscaler.ts';
import { type PodUse, bounded, replicasFor } from '../../controllers/common/autoscale.ts';
import { eventually } from '../eventually.ts';
import { deployment, startControllers } from './harness.ts';

const now = Date.parse('2026-01-01T12:00:00Z');
const use = (value: number | undefined, more: Partial<PodUse> = {}): PodUse => ({
  ...(value === undefined ? {} : { value }),
  request: 1,
  ...more,
});

test.each([
  ['grows with the load', [use(0.9), use(0.9)], 0.5, 2, 4],
  ['shrinks with the load', [use(0.1), use(0.1), use(0.1), use(0.1)], 0.5, 4, 1],
  ['stays when it is near', [use(0.54), use(0.54)], 0.5, 2, 2],
  ['takes a pod without measurement as idle when it would grow', [use(0.9), use(undefined)], 0.5, 2, 2],
  ['and as busy when it would shrink', [use(0.2), use(0.2), use(undefined)], 0.5, 3, 3],
  ['takes a pod that starts as idle', [use(2), use(2, { unready: true })], 0.5, 2, 4],
  ['knows nothing without measurements', [use(undefined)], 0.5, 1, undefined],
  ['counts amounts', [{ value: 30 }, { value: 50 }], 20, 2, 4],
] as const)('%s', (_what, uses, target, current, replicas) =>
  expect(replicasFor(uses, target, current)).toBe(replicas),
);

describe('a step', () => {
  const spec = (behavior: { scaleUp?: ScalingRules; scaleDown?: ScalingRules } = {}) => ({
    scaleTargetRef: { kind: 'Deployment', name: 'd' },
    minReplicas: 2,
    maxReplicas: 30,
    behavior,
  });
  const pods = (value: number, periodSeconds = 60) => ({ type: 'Pods' as const, value, periodSeconds });
  const quick = { scaleDown: { stabilizationWindowSeconds: 0 } };
  test.each([
    // behaviour, now, wished, recommended [seconds ago, replicas], steps [seconds ago, change] → replicas, why
    ['at most doubles, or four more', spec(), 10, 25, [], [], 20, 'ScaleUpLimit'],
    ['counts what was added a moment ago', spec(), 20, 30, [], [[5, 10]], 20, 'ScaleUpLimit'],
    ['forgets it then', spec(), 20, 30, [], [[20, 10]], 30, undefined],
    ['ends at the most', spec(), 20, 50, [], [], 30, 'TooManyReplicas'],
    ['does not shrink at once', spec(), 10, 3, [[100, 9]], [], 9, undefined],
    ['shrinks when the window is over', spec(), 10, 3, [[400, 9]], [], 3, undefined],
    ['ends at the least', spec(quick), 10, 1, [], [], 2, 'TooFewReplicas'],
    [
      'shrinks by what its policy allows',
      spec({ scaleDown: { ...quick.scaleDown, policies: [pods(2)] } }),
      10,
      3,
      [],
      [],
      8,
      'ScaleDownLimit',
    ],
    [
      'counts what went a moment ago',
      spec({ scaleDown: { ...quick.scaleDown, policies: [pods(2)] } }),
      9,
      3,
      [],
      [[30, -1]],
      8,
      'ScaleDownLimit',
    ],
    [
      'does not shrink where this is disabled',
      spec({ scaleDown: { ...quick.scaleDown, selectPolicy: 'Disabled' } }),
      10,
      3,
      [],
      [],
      10,
      'ScaleDownLimit',
    ],
    [
      'waits before it grows, where it is told to',
      spec({ scaleUp: { stabilizationWindowSeconds: 60 } }),
      5,
      8,
      [[30, 5]],
      [],
      5,
      undefined,
    ],
    [
      'takes the smaller policy, where it is told to',
      spec({ scaleUp: { selectPolicy: 'Min', policies: [pods(1), pods(5)] } }),
      5,
      20,
      [],
      [],
      6,
      'ScaleUpLimit',
    ],
  ] as const)('%s', (_what, given, current, wished, recommended, steps, replicas, limited) => {
    const memory = {
      recommended: recommended.map(([ago, count]) => ({ at: now - ago * 1000, replicas: count })),
      steps: steps.map(([ago, change]) => ({ at: now - ago * 1000, change })),
    };
    const result = bounded(structuredClone(given) as HorizontalPodAutoscaler['spec'], current, wished, memory, now);
    expect(result.replicas).toBe(replicas);
    expect(result.limited).toBe(limited);
  });
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers();
    await c.runPods();
  });
  afterAll(() => c.stop());
  const namespace = 'default';
  const make = (name: string, spec: Partial<HorizontalPodAutoscaler['spec']>) =>
    c.client.create(HorizontalPodAutoscaler, {
      metadata: { name, namespace },
      spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name }, maxReplicas: 5, ...spec },
    });
  const status = async (name: string) => (await c.client.get(HorizontalPodAutoscaler, { namespace, name })).status;
  const conditions = async (name: string) =>
    Object.fromEntries(((await status(name))?.conditions ?? []).map(({ type, reason }) => [type, reason]));

  test('keeps the size in bounds without metrics, and says what it lacks', async () => {
    await c.client.create(Deployment, deployment('small', 1));
    await make('small', { minReplicas: 2 });
    await eventually(async () => {
      expect((await c.client.get(Deployment, { namespace, name: 'small' })).spec.replicas).toBe(2);
      expect(await conditions('small')).toMatchObject({ AbleToScale: 'SucceededRescale' });
    });
    await c.client.create(Deployment, deployment('blind', 2));
    await make('blind', {});
    await eventually(async () =>
      expect(await conditions('blind')).toMatchObject({ ScalingActive: 'FailedGetResourceMetric' }),
    );
    await make('nobody', {});
    await eventually(async () => expect(await conditions('nobody')).toEqual({ AbleToScale: 'FailedGetScale' }));
  });

  test('grows a deployment by what metrics.k8s.io says of its pods', async () => {
    const annotations = { 'api-approved.kubernetes.io': 'unapproved, for a test' };
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    await c.client.create(CustomResourceDefinition, {
      metadata: { name: 'pods.metrics.k8s.io', annotations },
      spec: {
        group: 'metrics.k8s.io',
        scope: 'Namespaced',
        names: { kind: 'PodMetrics', plural: 'pods', listKind: 'PodMetricsList' },
        versions: [{ name: 'v1beta1', served: true, storage: true, schema }],
      },
    } as CustomResourceDefinition);
    const busy = deployment('busy', 2);
    const template = {
      ...busy.spec.template,
      spec: { containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m' } } }] },
    };
    await c.client.create(Deployment, { ...busy, spec: { ...busy.spec, template } });
    const pods = await eventually(async () => {
      const { status: is } = await c.client.get(Deployment, { namespace, name: 'busy' });
      expect(is?.readyReplicas).toBe(2);
      return c.podsOf('busy');
    });
    for (const { metadata } of pods)
      await eventually(() =>
        c.client.raw('POST', `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`, {
          apiVersion: 'metrics.k8s.io/v1beta1',
          kind: 'PodMetrics',
          metadata: { name: metadata.name, labels: metadata.labels },
          containers: [{ name: 'c', usage: { cpu: '90m' } }],
        }),
      );
    const target = { type: 'Utilization' as const, averageUtilization: 50 };
    await make('busy', { metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] });
    await eventually(async () => {
      expect((await c.client.get(Deployment, { namespace, name: 'busy' })).spec.replicas).toBe(4);
      expect(await status('busy')).toMatchObject({
        desiredReplicas: 4,
        currentMetrics: [{ resource: { name: 'cpu', current: { averageUtilization: 90, averageValue: '90m' } } }],
      });
    });
    expect(await conditions('busy')).toMatchObject({ ScalingActive: 'ValidMetricFound' });
  });
});
