import { kind } from '../api/kind.ts';
import { type KubeObject, type Stored, microTimestamp } from '../api/meta.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../api/status.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { Gauge, type Registry } from 'prom-client';
import type { Client } from './client.ts';

interface LeaseObject extends KubeObject {
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

// The names are enough to write them; what the kind means to the apiserver stands in api/kinds/lease.ts.
const LeaseKind = kind<LeaseObject>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
});

export interface LeadOptions {
  client: Client;
  /** Lease name in kube-system. */
  name: string;
  /** Unique per process. */
  identity: string;
  log: Logger;
  signal: AbortSignal;
  /** Milliseconds: how long a silent leader keeps the lease, when a leader gives up renewing, how often others look. */
  leaseDuration?: number;
  renewDeadline?: number;
  retryPeriod?: number;
  now?: () => number;
  /** Where `leader_election_master_status` stands: 1 while we lead. */
  registry?: Registry | undefined;
}

/** Leadership while it lasts: `lost` aborts when it cannot be renewed in time or somebody else has it. */
export interface Leadership {
  lost: AbortSignal;
  /** Gives the lease up at once, so that another need not wait for it to run out. */
  release(): Promise<void>;
}

/**
 * Waits until this process holds the lease. A holder is judged by our own clock from the moment we saw its last renewal,
 * never by the times it wrote, so clocks need not agree.
 */
export async function lead(options: LeadOptions): Promise<Leadership> {
  const {
    client,
    name,
    identity,
    log,
    signal,
    leaseDuration = 15_000,
    renewDeadline = 10_000,
    retryPeriod = 2_000,
    now = Date.now,
    registry,
  } = options;
  const ref = { namespace: 'kube-system', name };
  const setMaster = masterStatus(name, registry);
  setMaster(0);
  let seen = { version: '', at: 0 };

  const claim = (lease: LeaseObject): LeaseObject => {
    const mine = lease.spec.holderIdentity === identity;
    return {
      ...lease,
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseDuration / 1000),
        acquireTime: mine && lease.spec.acquireTime ? lease.spec.acquireTime : microTimestamp(now()),
        renewTime: microTimestamp(now()),
        leaseTransitions: (lease.spec.leaseTransitions ?? 0) + (mine || !lease.spec.holderIdentity ? 0 : 1),
      },
    };
  };

  /** True when we hold the lease after this try; throws on faults other than losing the race. */
  const attempt = async (within?: AbortSignal): Promise<boolean> => {
    const current = await client.get(LeaseKind, ref, within).catch(unless(isNotFound));
    if (!current) {
      const made = await client
        .create(LeaseKind, claim({ metadata: ref, spec: {} }), {}, within)
        .catch(unless(isAlreadyExists));
      return made !== undefined;
    }
    if (current.spec.holderIdentity && current.spec.holderIdentity !== identity && stillHeld(current)) return false;
    return (await client.update(LeaseKind, claim(current), {}, within).catch(unless(isConflict))) !== undefined;
  };

  const stillHeld = (lease: LeaseObject & Stored): boolean => {
    if (seen.version !== lease.metadata.resourceVersion) seen = { version: lease.metadata.resourceVersion, at: now() };
    return now() < seen.at + (lease.spec.leaseDurationSeconds ?? 15) * 1000;
  };

  for (;;) {
    signal.throwIfAborted();
    const won = await attempt(signal).catch((err: unknown) => {
      if (!signal.aborted) log.warn({ err, lease: name }, 'cannot reach the lease; trying again');
      return false;
    });
    if (won) break;
    await delay(retryPeriod, signal);
  }
  log.info({ lease: name, identity }, 'leading');

  setMaster(1);
  const lost = new AbortController();
  lost.signal.addEventListener('abort', () => setMaster(0), { once: true });
  void keep();
  return { lost: lost.signal, release };

  async function keep(): Promise<void> {
    let renewed = now();
    while (!signal.aborted && !lost.signal.aborted) {
      await delay(retryPeriod, AbortSignal.any([signal, lost.signal])).catch(() => undefined);
      if (signal.aborted || lost.signal.aborted) return;
      const held = await attempt(AbortSignal.timeout(renewDeadline)).catch((err: unknown) => {
        log.warn({ err, lease: name }, 'could not renew the lease');
        return undefined;
      });
      if (held) renewed = now();
      else if (held === false || now() - renewed > renewDeadline) lost.abort(new Error(`lost the lease ${name}`));
    }
  }

  async function release(): Promise<void> {
    lost.abort(new Error(`released the lease ${name}`));
    const current = await client.get(LeaseKind, ref);
    if (current.spec.holderIdentity !== identity) return;
    await client.update(LeaseKind, {
      ...current,
      spec: { ...current.spec, holderIdentity: '', leaseDurationSeconds: 1 },
    });
  }
}

/** Under the name and help of client-go's leader election. */
function masterStatus(name: string, registry: Registry | undefined): (value: 0 | 1) => void {
  if (!registry) return () => undefined;
  const gauge = new Gauge({
    name: 'leader_election_master_status',
    help: 'Whether this process leads by the lease of that name: 1, or 0 while it waits.',
    labelNames: ['name'],
    registers: [registry],
  });
  return (value) => gauge.set({ name }, value);
}

const unless =
  (expected: (error: unknown) => boolean) =>
  (error: unknown): undefined => {
    if (!expected(error)) throw error;
  };
