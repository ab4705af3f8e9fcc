import type { Logger } from '../lib/log.ts';
import type { KindTable } from './kinds.ts';
import type { TokenUses } from './auth/token-uses.ts';
import { self } from './auth/user.ts';
import { keepAddresses, repairAddresses } from './admission/service-addresses.ts';
import type { IdentityLease } from './identity-lease.ts';
import type { Registry } from './registry.ts';

const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver' };

export interface House {
  registry: Registry;
  kinds: KindTable;
  tokenUses: TokenUses;
  /** Makes again what every cluster has, where somebody deleted it. */
  restore: () => Promise<void>;
  /** Milliseconds between compactions; 0 never. */
  compactionMs: number;
  identity: IdentityLease;
  /** Milliseconds between its renewals; 0 never. */
  identityMs: number;
  log: Logger;
}

/** Tells that we are here; forgets who is not any more, old history of the store, and objects whose kind lets them live only so long; puts back what must be there. */
export function keepHouse(
  { registry, kinds, tokenUses, restore, compactionMs, identity, identityMs, log }: House,
  signal: AbortSignal,
): void {
  let suspects: ReadonlyMap<string, number> = new Map();
  const repair = async () => {
    await registry.feed.fresh();
    suspects = await repairAddresses(registry.store, registry.feed, suspects, Date.now());
  };
  keepAddresses(registry.store, registry.feed, (err) => log.warn({ err }, 'an IPAddress could not be made again'));
  const timers = [
    setInterval(() => guard(() => expire(registry, kinds)), 60_000),
    setInterval(() => guard(repair), 60_000),
    setInterval(() => guard(restore), 10_000),
    setInterval(() => guard(() => tokenUses.record(registry)), 10_000),
  ];
  if (compactionMs > 0) {
    let before = registry.feed.revision;
    // History lives for one to two intervals.
    const compact = async () => {
      const revision = before;
      before = registry.feed.revision;
      await registry.store.compact(revision);
    };
    timers.push(setInterval(() => guard(compact), compactionMs));
  }
  const collect = () => guard(() => identity.collect(Date.now()));
  timers.push(setInterval(collect, 3_600_000));
  collect();
  if (identityMs > 0) {
    const renew = () => guard(() => identity.renew(Date.now()));
    timers.push(setInterval(renew, identityMs));
    renew();
  }
  for (const timer of timers) timer.unref();
  signal.addEventListener('abort', () => timers.forEach(clearInterval), { once: true });

  function guard(work: () => Promise<void>): void {
    work().catch((err: unknown) => {
      if (!signal.aborted) log.warn({ err }, 'housekeeping failed and will be tried again');
    });
  }
}

async function expire(registry: Registry, kinds: KindTable): Promise<void> {
  for (const kind of kinds.kinds) {
    if (kind.ttlSeconds === undefined) continue;
    const limit = Date.now() - kind.ttlSeconds * 1000;
    for (const entry of registry.feed.cache(kind).list()) {
      const { creationTimestamp, lastTimestamp } = timesOf(entry.object);
      if (Math.max(creationTimestamp, lastTimestamp) < limit) await registry.remove(kind, entry, options);
    }
  }
}

function timesOf(object: Readonly<{ metadata: { creationTimestamp?: string | null } }>): {
  creationTimestamp: number;
  lastTimestamp: number;
} {
  const { lastTimestamp } = object as { lastTimestamp?: string };
  return {
    creationTimestamp: Date.parse(object.metadata.creationTimestamp ?? '') || 0,
    lastTimestamp: Date.parse(lastTimestamp ?? '') || 0,
  };
}
