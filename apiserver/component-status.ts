import { ComponentStatus } from '../api/kinds/component-status.ts';
import { Lease } from '../api/kinds/lease.ts';
import type { Feed } from './feed.ts';
import { withTimeout } from './health.ts';

/** A question about one part's health; throws a sentence when the answer is bad. */
export type Probe = () => Promise<void> | void;

/** By name, and the lease in kube-system by which its leader says that it lives. */
const leaders = { 'controller-manager': 'km-controller-manager', scheduler: 'km-scheduler' } as const;

/**
 * How the parts of the control plane are: each etcd is asked; the others, which may run anywhere and many at a time, have a
 * leader that renews its lease.
 */
export async function componentStatuses(feed: Feed, etcds: readonly Probe[], now: number): Promise<ComponentStatus[]> {
  const probes: [name: string, probe: Probe][] = [
    ...Object.entries(leaders).map(([name, lease]): [string, Probe] => [name, () => checkLeader(feed, lease, now)]),
    ...etcds.map((probe, i): [string, Probe] => [`etcd-${i}`, probe]),
  ];
  return Promise.all(probes.map(([name, probe]) => statusOf(name, probe)));
}

async function statusOf(name: string, probe: Probe): Promise<ComponentStatus> {
  const asking = async () => withTimeout(probe());
  const found = await asking().then(
    () => ({ status: 'True' as const, message: 'ok' }),
    (error: unknown) => ({ status: 'False' as const, message: (error as Error).message }),
  );
  return {
    kind: ComponentStatus.kind,
    apiVersion: ComponentStatus.apiVersion,
    metadata: { name },
    conditions: [{ type: 'Healthy', ...found }],
  };
}

/** Clocks need not agree to the second: a lease counts for twice as long as its holder says. */
function checkLeader(feed: Feed, name: string, now: number): void {
  const lease = feed.cache(Lease).get(`kube-system/${name}`)?.object as Lease | undefined;
  const { holderIdentity, renewTime, leaseDurationSeconds = 15 } = lease?.spec ?? {};
  if (!holderIdentity) throw new Error(`nobody holds the lease kube-system/${name}`);
  const silentMs = now - Date.parse(renewTime ?? '');
  if (!(silentMs < leaseDurationSeconds * 2000))
    throw new Error(`${holderIdentity} has not renewed the lease kube-system/${name} since ${renewTime}`);
}
