import { timestamp, type Condition } from '../api/meta.ts';

/** Conditions with one of them as it is now, dated when its status changes; the very same list when it says nothing new. */
export function withCondition(
  conditions: readonly Condition[] = [],
  next: Condition,
  now: number,
): readonly Condition[] {
  const before = conditions.find(({ type }) => type === next.type);
  const isSameStatus = before?.status === next.status;
  if (isSameStatus && before.reason === next.reason && before.message === next.message) return conditions;
  const since = isSameStatus ? before.lastTransitionTime : timestamp(now);
  return [...conditions.filter(({ type }) => type !== next.type), { ...next, lastTransitionTime: since ?? null }];
}
