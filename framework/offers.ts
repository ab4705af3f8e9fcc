import type { Pod } from '../api/kinds/pod.ts';
import type { Logger } from '../lib/log.ts';
import type { Offer } from '../mesos/offers.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import type { Agent } from './agents.ts';
import type { Calls } from './calls.ts';
import { groupsFor } from './constraints.ts';
import { Demands, type DemandsOptions } from './demands.ts';
import type { Effect } from './effects.ts';
import { Hand } from './hand.ts';
import { type AgentTotal, Leftovers } from './leftovers.ts';
import { Narrowing } from './narrowing.ts';
import type { Place } from './places.ts';
import type { Roster } from './roster.ts';
import type { Task } from './tasks.ts';

/**
 * Milliseconds that offers are kept, if they would not be longer, while not every pod was tried on them: those of an agent
 * that is about to be a node, and all while one pod after the other finds its place.
 */
const untried = 2_000;

export interface OffersOptions extends DemandsOptions {
  /** Marks volumes and reservations as ours. */
  cluster: string;
  /** Seconds the master hides a declined offer while no pods wait. */
  refuseIdle: number;
  /** How we introduce ourselves. */
  info: FrameworkInfo;
  /** Offers that no waiting pod can use need not be made: we learn of agents otherwise. */
  mayNarrow: () => boolean;
}

/**
 * When offers are asked for, which are in hand, and when they go back to others. `now` is in milliseconds.
 *
 *   a pod waits ─▶ REVIVE ─▶ offers in hand ─┬─▶ taken for an ACCEPT
 *                                            ├─▶ no pod fits for a while ─▶ DECLINE, to come again soon
 *                                            └─▶ nobody waits ─▶ DECLINE, SUPPRESS
 */
export class Offers {
  readonly #options: OffersOptions;
  readonly #hand: Hand;
  readonly #demands: Demands;
  readonly #leftovers: Leftovers;
  readonly #narrowing = new Narrowing();
  readonly #roster: Roster;
  readonly #log: Logger;
  #calls: Calls | undefined;

  /** `isOwned` says of a volume by its id that somebody still has a claim to it. */
  constructor(options: OffersOptions, roster: Roster, isOwned: (persistenceId: string) => boolean, log: Logger) {
    this.#log = log;
    this.#options = options;
    this.#roster = roster;
    this.#hand = new Hand(roster);
    this.#demands = new Demands(options);
    this.#leftovers = new Leftovers(options.cluster, isOwned);
  }

  subscribed(calls: Calls, masterVersion: string | undefined): void {
    this.#calls = calls;
    this.#narrowing.subscribed(masterVersion);
    this.#demands.subscribed();
  }

  /** The master does not take constraints. */
  cannotNarrow(): void {
    this.#narrowing.refused();
  }

  /** Into the hand; but one with something of ours that nobody owns is spent on letting go of it. */
  came(offer: Offer, agent: Agent, now: number): Effect[] {
    const role = offer.allocation_info?.role ?? '*';
    const release = this.#leftovers.release(agent.facts.id, role, offer.resources ?? []);
    if (release.length > 0 && this.#calls) {
      this.#log.info({ agent: agent.facts.id, operations: release }, 'letting go of disk that no claim owns');
      return [{ do: 'call', call: this.#calls.accept([offer.id.value], release, 0) }];
    }
    this.#hand.add(offer, agent.place(role), now);
    this.#demands.offered(role);
    return [];
  }

  /** The master took it back. Answers the reserved tasks that what is left cannot carry. */
  withdrawn(offerId: string): Task[] {
    return this.#hand.drop(offerId);
  }

  /** All of one place are taken for an ACCEPT, which is told by `left` when it leaves, or never will. Answers their ids. */
  taken(place: Place): string[] {
    this.#demands.of(place.role).taken();
    return this.#hand.clear(place);
  }

  /** Whether the master has something left of our offers that can be asked for now. */
  left(role: string): boolean {
    const demand = this.#demands.of(role);
    demand.left();
    return demand.spent && this.#hand.isEmptyOf(role);
  }

  /** What the agent offered is void. */
  void(agent: Agent): void {
    this.#hand.clearAll(agent);
  }

  /** An offer to the role was of use: the linger time starts anew. */
  used(role: string): void {
    this.#demands.of(role).used();
  }

  /** All that agents have, anew: where something of ours is that nobody owns, offers are asked for. */
  audit(agents: readonly AgentTotal[]): void {
    this.#leftovers.audit(agents);
  }

  /** REVIVE or SUPPRESS each role as the demand of these pods for it says. */
  ask(pods: Iterable<Pod>, now: number): Effect[] {
    const calls = this.#calls;
    if (!calls) return [];
    const { asking, wishes } = this.#demands.wishes(
      pods,
      (role) => this.#leftovers.asking(role),
      (role) => this.#hand.isEmptyOf(role),
      now,
    );
    const narrower = this.#narrow(asking, now);
    const told = wishes.flatMap(([role, wish]): Effect[] => {
      if (wish === 'keep') return [];
      if (wish === 'revive') {
        // What is in hand and what comes now are there together for as long as offers are kept.
        if (this.#demands.of(role).together) this.#hand.renew(role, now);
        return [{ do: 'call', call: calls.revive(role) }];
      }
      const unused = this.#return(role, () => true, this.#options.refuseIdle);
      return [...unused, { do: 'call', call: calls.suppress(role) }];
    });
    return [...narrower, ...told];
  }

  /** Constraints where every pod that waits demands something of its agent; those of a role that wants nothing stay. */
  #narrow(asking: ReadonlyMap<string, readonly Pod[]>, now: number): Effect[] {
    const { info, mayNarrow, roles } = this.#options;
    const hostOf = (node: string) => this.#roster.ofNode(node)?.facts.hostname;
    const groupsOf = (role: string) => {
      if (!mayNarrow() || this.#leftovers.asking(role).length > 0) return undefined;
      const pods = asking.get(role) ?? [];
      return pods.length > 0 ? groupsFor(pods, hostOf) : this.#narrowing.of(role);
    };
    const wishes = roles.flatMap((role) => {
      const groups = groupsOf(role);
      return groups ? [[role, groups] as const] : [];
    });
    const constraints = this.#narrowing.next(new Map(wishes), now);
    if (!constraints || !this.#calls) return [];
    const suppressed = roles.filter((role) => this.#demands.of(role).suppressed);
    return [{ do: 'call', call: this.#calls.updateFramework(info, suppressed, constraints) }];
  }

  /** Offers that no waiting pod fits go back soon, and at once where nothing waits. */
  returnUnused(now: number): Effect[] {
    const { roles, linger, refuseIdle, refuseWaiting } = this.#options;
    return roles.flatMap((role) => {
      const demand = this.#demands.of(role);
      const isBusy = demand.takeUsed();
      const longest = (place: Place) => (isBusy || place.isSettling ? Math.max(untried, linger) : linger);
      const isOld = (place: Place) => now - place.heldSince >= longest(place);
      if (demand.waiting > 0) return this.#return(role, isOld, refuseWaiting);
      return demand.suppressed ? this.#return(role, () => true, refuseIdle) : [];
    });
  }

  #return(role: string, which: (place: Place) => boolean, refuseSeconds: number): Effect[] {
    const ids = this.#hand.clearUnused(role, which);
    return ids.length > 0 && this.#calls ? [{ do: 'call', call: this.#calls.decline(ids, refuseSeconds) }] : [];
  }
}
