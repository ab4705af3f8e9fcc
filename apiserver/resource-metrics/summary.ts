import type { Usage } from '../../api/kinds/metrics.ts';

/** What of a kubelet's `/stats/summary` is read. https://pkg.go.dev/k8s.io/kubelet/pkg/apis/stats/v1alpha1#Summary */
export interface Summary {
  node?: Amounts;
  pods?: { podRef?: { name?: string; namespace?: string }; containers?: (Amounts & { name?: string })[] }[];
}

export interface Amounts {
  cpu?: { time?: string; usageNanoCores?: number; usageCoreNanoSeconds?: number };
  memory?: { workingSetBytes?: number };
}

/** Uses of one moment, CPU averaged since the sample before; undefined for what was not measured twice. */
export function usageOf(now: Amounts | undefined, before: Amounts | undefined): Usage | undefined {
  const nanoCores = now?.cpu?.usageNanoCores ?? rate(now, before);
  const bytes = now?.memory?.workingSetBytes;
  if (nanoCores === undefined || bytes === undefined) return undefined;
  return { cpu: `${Math.max(0, Math.round(nanoCores))}n`, memory: `${Math.ceil(bytes / 1024)}Ki` };
}

/** Nanoseconds of CPU a second; a counter that went back belongs to a container that started anew. */
function rate(now: Amounts | undefined, before: Amounts | undefined): number | undefined {
  const [used, old] = [now?.cpu?.usageCoreNanoSeconds, before?.cpu?.usageCoreNanoSeconds];
  const seconds = (Date.parse(now?.cpu?.time ?? '') - Date.parse(before?.cpu?.time ?? '')) / 1000;
  if (used === undefined || old === undefined || !(seconds > 0) || used < old) return undefined;
  return (used - old) / seconds;
}

type Pod = NonNullable<Summary['pods']>[number];

const keyOf = ({ podRef }: Pod): string => `${podRef?.namespace}/${podRef?.name}`;

/** The uses of every pod of a summary, by container; pods of which nothing was measured are left out. */
export function podUsages(
  now: Summary,
  before: Summary | undefined,
): { namespace: string; name: string; containers: { name: string; usage: Usage }[] }[] {
  const old = new Map((before?.pods ?? []).map((pod) => [keyOf(pod), pod]));
  return (now.pods ?? []).flatMap((pod) => {
    const known = old.get(keyOf(pod))?.containers ?? [];
    const containers = (pod.containers ?? []).flatMap((container) => {
      const usage = usageOf(
        container,
        known.find(({ name }) => name === container.name),
      );
      return usage && container.name ? [{ name: container.name, usage }] : [];
    });
    const { name, namespace } = pod.podRef ?? {};
    return containers.length > 0 && name && namespace ? [{ namespace, name, containers }] : [];
  });
}
