import { notReadyTaint as notReady, zoneLabel, type Node, type Taint } from '../../api/kinds/node.ts';
import type { Condition, Stored } from '../../api/meta.ts';
import { timestamp } from '../../api/meta.ts';
import { equal } from '../../lib/equal.ts';

type StoredNode = Node & Stored;
type NodeCondition = Condition & { lastHeartbeatTime?: string | null };

const prefix = 'node.kubernetes.io/';
export const unreachable = `${prefix}unreachable`;

export const readyOf = ({ status }: Node): NodeCondition | undefined =>
  status?.conditions?.find(({ type }) => type === 'Ready');

/** Where a failure of one part is not a failure of all. */
export const zoneOf = ({ metadata: { labels = {} } }: Node): string =>
  `${labels['topology.kubernetes.io/region'] ?? ''}/${labels[zoneLabel] ?? ''}`;

/**
 * The framework speaks for agents that have no kubelet yet, and for those that Mesos has lost. It sends no heartbeats:
 * what it says holds until it says something else.
 */
const speaksForMesos = (ready: NodeCondition | undefined): boolean => ready?.reason?.startsWith('MesosAgent') ?? false;

/** What a kubelet leaves behind that has been silent for too long; undefined while nothing is to be said. */
export function silenced(
  node: StoredNode,
  silentMs: number,
  graceMs: number,
  now: number,
): NodeCondition[] | undefined {
  const ready = readyOf(node);
  if (silentMs <= graceMs || speaksForMesos(ready)) return undefined;
  const time = timestamp(now);
  const gone = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].flatMap((type): NodeCondition[] => {
    const known = node.status?.conditions?.find((condition) => condition.type === type);
    if (known?.status === 'Unknown' || (!known && type !== 'Ready')) return [];
    const [reason, message] = known
      ? ['NodeStatusUnknown', 'Kubelet stopped posting node status.']
      : ['NodeStatusNeverUpdated', 'Kubelet never posted node status.'];
    return [{ ...known, type, status: 'Unknown', reason, message, lastTransitionTime: time }];
  });
  return gone.length > 0 ? gone : undefined;
}

const pressures: Readonly<Record<string, string>> = {
  MemoryPressure: `${prefix}memory-pressure`,
  DiskPressure: `${prefix}disk-pressure`,
  PIDPressure: `${prefix}pid-pressure`,
  NetworkUnavailable: `${prefix}network-unavailable`,
};
const unschedulable = `${prefix}unschedulable`;
const noSchedule = new Set([notReady, unreachable, unschedulable, ...Object.values(pressures)]);
const noExecute = new Set([notReady, unreachable]);

/** What a node's conditions say as taints: at once what keeps pods away, and what drives them away when `drives` says so. */
export function taintsFor(node: StoredNode, drives: boolean, now: number): Taint[] {
  const ready = readyOf(node)?.status;
  const why = ready === 'True' ? undefined : ready === 'False' ? notReady : unreachable;
  const before = node.spec?.taints ?? [];
  const others = before.filter(
    ({ key, effect }) =>
      !(effect === 'NoSchedule' && noSchedule.has(key)) && !(effect === 'NoExecute' && noExecute.has(key)),
  );
  const keys = [
    ...(why ? [why] : []),
    ...(node.status?.conditions ?? []).flatMap(({ type, status }) =>
      status === 'True' ? (pressures[type] ?? []) : [],
    ),
    ...(node.spec?.unschedulable ? [unschedulable] : []),
  ];
  const kept = (key: string, effect: Taint['effect']): Taint =>
    before.find((taint) => taint.key === key && taint.effect === effect) ?? { key, effect, timeAdded: timestamp(now) };
  return [...others, ...keys.map((key) => kept(key, 'NoSchedule')), ...(why && drives ? [kept(why, 'NoExecute')] : [])];
}

export const sameTaints = (a: readonly Taint[] = [], b: readonly Taint[] = []): boolean =>
  a.length === b.length && a.every((taint) => b.some((other) => equal(taint, other)));

export interface EvictionRates {
  /** Nodes a second and zone. */
  normal: number;
  /** In a zone that is ill to a large part, of more than `largeZone` nodes; smaller ones stand still. */
  secondary: number;
  largeZone: number;
  /** From this part of ill nodes on. */
  unhealthy: number;
}

/**
 * How many nodes a second may lose their pods in this zone. If no node anywhere is well, it is our view that is ill, and
 * nobody is driven away.
 */
export function evictionRate(zone: string, nodes: readonly Node[], rates: EvictionRates): number {
  const isWell = (node: Node) => readyOf(node)?.status === 'True';
  if (!nodes.some(isWell)) return 0;
  const here = nodes.filter((node) => zoneOf(node) === zone);
  const ill = here.filter((node) => !isWell(node)).length;
  const isPartly = ill > 2 && ill < here.length && ill / here.length >= rates.unhealthy;
  if (!isPartly) return rates.normal;
  return here.length > rates.largeZone ? rates.secondary : 0;
}
