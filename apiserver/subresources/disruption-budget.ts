import { PodDisruptionBudget } from '../../api/kinds/pod-disruption-budget.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import { StatusError, forbidden, internalError } from '../../api/status.ts';
import { keyIn, type WriteOptions } from '../call.ts';
import type { Registry } from '../registry.ts';

type Budget = Readonly<PodDisruptionBudget>;

/** Evictions that a budget remembers until their pods are gone. */
const mostRemembered = 2000;

/**
 * Takes one disruption from the budget that the pod is under. Throws 429 while it has none to give, and 500 where two
 * budgets claim the pod. Pods that serve nobody cost nothing: those that have ended, have not begun, or are going.
 */
export async function spendDisruption(registry: Registry, pod: Pod, options: WriteOptions): Promise<void> {
  const { name = '', namespace = '', labels, deletionTimestamp } = pod.metadata;
  if (deletionTimestamp || ['Succeeded', 'Failed', 'Pending'].includes(pod.status?.phase ?? '')) return;
  const budgets = registry.feed
    .cache(PodDisruptionBudget)
    .list(namespace)
    .map((entry) => entry.object as Budget)
    .filter(({ spec }) => matchesLabelSelector(spec?.selector, labels));
  if (budgets.length > 1)
    throw internalError(
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  const [budget] = budgets;
  if (!budget || isFree(pod, budget)) return;
  const key = keyIn(PodDisruptionBudget, namespace, budget.metadata.name!);
  await registry.update(PodDisruptionBudget, key, 'status', options, (current) =>
    spent(current as PodDisruptionBudget, name, Date.now()),
  );
}

/** A pod that is not ready may go where the budget is kept without it, or where its author says so. */
function isFree(pod: Pod, { spec, status }: Budget): boolean {
  const ready = pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  if (ready) return false;
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return currentHealthy >= desiredHealthy && desiredHealthy > 0;
}

/** The budget with one disruption less. `now` in milliseconds. */
export function spent(budget: PodDisruptionBudget, pod: string, now: number): PodDisruptionBudget {
  const { name = '', generation = 0 } = budget.metadata;
  const status = budget.status ?? { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  if ((status.observedGeneration ?? 0) < generation)
    throw refused(`The disruption budget ${name} is still being processed by the server.`, 10);
  const disrupted = status.disruptedPods ?? {};
  if (status.disruptionsAllowed < 0) throw forbidden(PodDisruptionBudget, name, 'pdb disruptions allowed is negative');
  if (Object.keys(disrupted).length > mostRemembered)
    throw forbidden(
      PodDisruptionBudget,
      name,
      'DisruptedPods map too big - too many evictions not confirmed by PDB controller',
    );
  if (status.disruptionsAllowed === 0)
    throw refused(
      `The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`,
    );
  const disruptionsAllowed = status.disruptionsAllowed - 1;
  return {
    ...budget,
    status: { ...status, disruptionsAllowed, disruptedPods: { ...disrupted, [pod]: timestamp(now) } },
  };
}

const refused = (message: string, retryAfterSeconds?: number): StatusError =>
  new StatusError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    causes: [{ reason: 'DisruptionBudget', message }],
    ...(retryAfterSeconds ? { retryAfterSeconds } : {}),
  });
