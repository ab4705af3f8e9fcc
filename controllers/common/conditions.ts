import { type Condition, type ObjectMeta, timestamp } from '../../api/meta.ts';

/** The conditions with this one in the place of the last of its type; its time is that of the last change of status. */
export function withCondition(
  { metadata, status }: { metadata: ObjectMeta; status?: { conditions?: Condition[] } },
  condition: Condition,
  now: number,
): Condition[] {
  const known = status?.conditions?.find(({ type }) => type === condition.type);
  const lastTransitionTime = known?.status === condition.status ? known.lastTransitionTime : undefined;
  return [
    ...(status?.conditions ?? []).filter(({ type }) => type !== condition.type),
    {
      ...condition,
      lastTransitionTime: lastTransitionTime ?? timestamp(now),
      observedGeneration: metadata.generation ?? 0,
    },
  ];
}
