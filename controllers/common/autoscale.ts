import type { HorizontalPodAutoscaler, ScalingRules } from '../../api/kinds/horizontal-pod-autoscaler.ts';

/** https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details */
export interface PodUse {
  /** Measured; absent for a pod that has no measurement. */
  value?: number;
  /** What the target is a share of; absent where it is an amount. */
  request?: number;
  /** Not ready: its measurement says nothing yet. */
  unready?: boolean;
}

const tolerance = 0.1;

/**
 * How many replicas bring the average to `target` (a share where uses have requests, else an amount). Pods without a
 * measurement count so that they slow the change: as busy when there are too many, as idle when there are too few.
 */
export function replicasFor(
  uses: readonly PodUse[],
  target: number,
  current: number,
  slack = tolerance,
): number | undefined {
  const measured = uses.filter(({ value, unready }) => value !== undefined && !unready);
  if (measured.length === 0) return undefined;
  const ratioOf = (some: readonly PodUse[]): number => {
    const sum = some.reduce((total, { value = 0 }) => total + value, 0);
    const base = some.reduce((total, { request = 1 }) => total + request, 0);
    return sum / base / target;
  };
  const isNear = (ratio: number) => Math.abs(ratio - 1) <= slack;
  const ratio = ratioOf(measured);
  const missing = uses.filter(({ value, unready }) => value === undefined && !unready);
  const unready = uses.filter((use) => use.unready);
  if (missing.length === 0 && (unready.length === 0 || ratio <= 1))
    return isNear(ratio) ? current : Math.ceil(ratio * measured.length);
  const assumed = [
    ...missing.map((use) => ({ ...use, value: ratio < 1 ? (use.request ?? target) : 0 })),
    ...(ratio > 1 ? unready.map((use) => ({ ...use, value: 0 })) : []),
  ];
  const all = [...measured, ...assumed];
  const careful = ratioOf(all);
  if (isNear(careful) || careful > 1 !== ratio > 1) return current;
  const wanted = Math.ceil(careful * all.length);
  return ratio > 1 === wanted > current ? wanted : current;
}

/** What the autoscaler remembers of one object; times in milliseconds. */
export interface Memory {
  recommended: { at: number; replicas: number }[];
  /** Steps that were made: positive up, negative down. */
  steps: { at: number; change: number }[];
}

export interface Bounded {
  replicas: number;
  /** Why it is not what the metrics say. */
  limited?: 'TooFewReplicas' | 'TooManyReplicas' | 'ScaleUpLimit' | 'ScaleDownLimit';
  stabilized?: boolean;
}

const usual = {
  up: {
    stabilizationWindowSeconds: 0,
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
  },
  down: { stabilizationWindowSeconds: 300, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
} as const satisfies Record<string, ScalingRules>;

/** The wish within what behaviour and bounds allow: first the windows, then the policies, then least and most. */
export function bounded(
  { minReplicas = 1, maxReplicas, behavior }: HorizontalPodAutoscaler['spec'],
  current: number,
  wished: number,
  memory: Memory,
  now: number,
): Bounded {
  const [up, down]: ScalingRules[] = [
    { ...usual.up, ...behavior?.scaleUp },
    { ...usual.down, ...behavior?.scaleDown },
  ];
  const within = (seconds: number) =>
    memory.recommended.filter(({ at }) => at > now - seconds * 1000).map((r) => r.replicas);
  const lowest = Math.min(wished, ...within(up!.stabilizationWindowSeconds ?? 0));
  const highest = Math.max(
    wished,
    ...within(down!.stabilizationWindowSeconds ?? usual.down.stabilizationWindowSeconds),
  );
  const steady = current < lowest ? lowest : current > highest ? highest : current;
  const stabilized = steady !== wished ? { stabilized: true } : {};
  if (steady > current) {
    const limit = Math.max(current, upLimit(up!, current, memory, now));
    const most = Math.min(limit, maxReplicas);
    const limited = limit < maxReplicas ? 'ScaleUpLimit' : 'TooManyReplicas';
    return steady > most
      ? { replicas: most, limited, ...stabilized }
      : { replicas: Math.max(steady, minReplicas), ...stabilized };
  }
  const limit = Math.min(current, downLimit(down!, current, memory, now));
  const least = Math.max(limit, minReplicas);
  if (steady < least)
    return { replicas: least, limited: limit > minReplicas ? 'ScaleDownLimit' : 'TooFewReplicas', ...stabilized };
  return steady > maxReplicas
    ? { replicas: maxReplicas, limited: 'TooManyReplicas', ...stabilized }
    : { replicas: steady, ...stabilized };
}

function upLimit({ policies = [], selectPolicy }: ScalingRules, current: number, memory: Memory, now: number): number {
  if (selectPolicy === 'Disabled') return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - changed(memory, 1, periodSeconds, now);
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits);
}

function downLimit(
  { policies = [], selectPolicy }: ScalingRules,
  current: number,
  memory: Memory,
  now: number,
): number {
  if (selectPolicy === 'Disabled') return current;
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current + changed(memory, -1, periodSeconds, now);
    return type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100));
  });
  return selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits);
}

const changed = ({ steps }: Memory, sign: 1 | -1, seconds: number, now: number): number =>
  steps
    .filter(({ at, change }) => at > now - seconds * 1000 && change * sign > 0)
    .reduce((sum, { change }) => sum + Math.abs(change), 0);
