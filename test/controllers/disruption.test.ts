import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Deployment } from '../../api/kinds/deployment.ts';
import { PodDisruptionBudget } from '../../api/kinds/pod-disruption-budget.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import type { StatusError } from '../../api/status.ts';
import { budgetStatus } from '../../controllers/disruption.ts';
import { eventually } from '../eventually.ts';
import { deployment, running, startControllers } from './harness.ts';

const now = Date.parse('2026-01-01T12:00:00Z');
const podsOf = (letters: string): (Pod & Stored)[] =>
  [...letters].map((letter, i) => ({
    metadata: {
      name: `p${i}`,
      uid: `p${i}`,
      resourceVersion: '1',
      ...(letter === 't' ? { deletionTimestamp: timestamp(now) } : {}),
    },
    spec: { containers: [] },
    status: letter === 'p' ? { phase: 'Pending' } : running(),
  }));

describe('a budget allows', () => {
  test.each([
    // spec, pods, how many there should be, evicted and when → allowed, healthy, desired
    [{ minAvailable: 2 }, 'rrr', 3, {}, [1, 3, 2]],
    [{ minAvailable: 2 }, 'rrp', 3, {}, [0, 2, 2]],
    [{ minAvailable: '50%' }, 'rrr', 3, {}, [1, 3, 2]],
    [{ minAvailable: '100%' }, 'rrr', 3, {}, [0, 3, 3]],
    [{ maxUnavailable: 1 }, 'rrr', 3, {}, [1, 3, 2]],
    [{ maxUnavailable: '30%' }, 'rrr', 3, {}, [1, 3, 2]],
    [{ maxUnavailable: 5 }, 'rrr', 3, {}, [3, 3, 0]],
    [{ maxUnavailable: 1 }, 'rrt', 3, {}, [0, 2, 2]],
    [{ maxUnavailable: 1 }, 'rrr', 3, { p0: -1000 }, [0, 2, 2]],
    [{ maxUnavailable: 1 }, 'rrr', 3, { p0: -200_000 }, [1, 3, 2]],
    [{ maxUnavailable: 1 }, 'rr', 3, { p9: -1000 }, [0, 2, 2]],
    [{ minAvailable: 0 }, '', 0, {}, [0, 0, 0]],
  ])('with %j and %s of %i, %j evicted: %j', (spec, letters, expected, evicted, [allowed, healthy, desired]) => {
    const disruptedPods = Object.fromEntries(Object.entries(evicted).map(([pod, ago]) => [pod, timestamp(now + ago)]));
    const status = { disruptedPods, disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
    expect(budgetStatus({ metadata: {}, spec, status }, podsOf(letters), expected, now)).toMatchObject({
      disruptionsAllowed: allowed,
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: expected,
      conditions: [{ type: 'DisruptionAllowed', status: allowed! > 0 ? 'True' : 'False' }],
    });
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
  const make = (name: string, spec: PodDisruptionBudget['spec']) =>
    c.client.create(PodDisruptionBudget, {
      metadata: { name, namespace },
      spec: { selector: { matchLabels: { app: name } }, ...spec },
    });
  const status = async (name: string) => (await c.client.get(PodDisruptionBudget, { namespace, name })).status;
  const evict = async (pod: string) =>
    c.client.raw('POST', `/api/v1/namespaces/${namespace}/pods/${pod}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod, namespace },
    });

  test('an eviction is refused until the budget allows it, and then taken from it', async () => {
    await c.client.create(Deployment, deployment('web', 3));
    await make('web', { minAvailable: 3 });
    await eventually(async () => expect(await status('web')).toMatchObject({ currentHealthy: 3, desiredHealthy: 3 }));
    const [pod] = await c.podsOf('web');
    const error = (await evict(pod!.metadata.name).catch((e: unknown) => e)) as StatusError;
    expect(error).toMatchObject({ code: 429, message: expect.stringContaining('disruption budget') });
    expect(error.status.details?.causes?.[0]?.message).toContain('needs 3 healthy pods and has 3 currently');
    await c.client.patch(PodDisruptionBudget, { namespace, name: 'web' }, { spec: { minAvailable: 2 } });
    await eventually(async () => expect((await status('web'))?.disruptionsAllowed).toBe(1));
    await evict(pod!.metadata.name);
    await eventually(async () => {
      expect((await c.podsOf('web')).map(({ metadata }) => metadata.name)).not.toContain(pod!.metadata.name);
      expect(await status('web')).toMatchObject({ disruptionsAllowed: 1, currentHealthy: 3 });
    });
  });

  test('a share is one of what the deployment wants', async () => {
    await c.client.create(Deployment, deployment('share', 4));
    await make('share', { maxUnavailable: '50%' });
    await eventually(async () =>
      expect(await status('share')).toMatchObject({ expectedPods: 4, disruptionsAllowed: 2 }),
    );
  });
});
