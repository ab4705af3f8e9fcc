import type { Container, PodSpec } from './kinds/pod.ts';
import { compareQuantities } from './quantity.ts';

/** Who is evicted first: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const own = { ...spec.resources?.limits, ...spec.resources?.requests };
  const all: Pick<Container, 'resources'>[] =
    Object.keys(own).length > 0 ? [spec] : [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const set = (amounts: Record<string, string> | undefined, name: string) =>
    amounts?.[name] !== undefined && compareQuantities(amounts[name], '0') > 0;
  const some = all.some(({ resources }) =>
    ['cpu', 'memory'].some((name) => set(resources?.limits, name) || set(resources?.requests, name)),
  );
  if (!some) return 'BestEffort';
  const guaranteed = all.every(({ resources }) =>
    ['cpu', 'memory'].every(
      (name) =>
        set(resources?.limits, name) &&
        compareQuantities(resources?.requests?.[name] ?? resources!.limits![name]!, resources!.limits![name]!) === 0,
    ),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
