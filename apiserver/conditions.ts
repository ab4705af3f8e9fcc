import { timestamp, type Condition } from '../api/meta.ts';

/** Conditions with one of them as it is now, dated when its status changes; the very same list when it says nothing new. */
export function withCondition(conditions: Condition[] = [], next: Condition, now: number): Condition[] {
  const before = conditions.find(({ type }) => type === next.type);
  const isSameStatus = before?.status === next.status;
  if (isSameStatus && before.reason === next.reason && before.message === next.message) return conditions;
  const since = isSameStatus ? before.lastTransitionTime : timestamp(now);
  const dated = { ...next, lastTransitionTime: since ?? null };
  return before ? conditions.map((one) => (one === before ? dated : one)) : [...conditions, dated];
}
