import type { Offer } from '../mesos/offers.ts';
import type { Agent } from './agents.ts';
import type { Place } from './places.ts';
import type { Roster } from './roster.ts';
import type { Task } from './tasks.ts';

/** The offers in hand, each with its place. */
export class Hand {
  readonly #roster: Roster;
  readonly #places = new Map<string, Place>();
  /** How many of each role. */
  readonly #counts = new Map<string, number>();

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** No offer to the role is there. */
  isEmptyOf(role: string): boolean {
    return (this.#counts.get(role) ?? 0) === 0;
  }

  add(offer: Offer, place: Place, now: number): void {
    this.#places.set(offer.id.value, place);
    this.#count(place.role, 1);
    place.addOffer(offer, now);
  }

  /** The master took it back. Answers the reserved tasks that what is left cannot carry. */
  drop(offerId: string): Task[] {
    const place = this.#places.get(offerId);
    if (!place) return [];
    this.#remove(offerId, place);
    return place.dropOffer(offerId);
  }

  /** All of one place leave, into a call or for nothing. Answers their ids. */
  clear(place: Place): string[] {
    const ids = place.clearOffers();
    for (const id of ids) this.#remove(id, place);
    return ids;
  }

  clearAll(agent: Agent): void {
    for (const place of agent.places()) this.clear(place);
  }

  /** Those of a role count as if they had just come. */
  renew(role: string, now: number): void {
    for (const place of this.#roster.places(role)) if (place.offers.size > 0) place.heldSince = now;
  }

  /** Ids of those of a role that no seat needs; they leave. */
  clearUnused(role: string, which: (place: Place) => boolean): string[] {
    return this.#roster
      .places(role)
      .filter((place) => place.offers.size > 0 && place.reserved.length === 0 && which(place))
      .flatMap((place) => this.clear(place));
  }

  #remove(offerId: string, { role }: Place): void {
    if (this.#places.delete(offerId)) this.#count(role, -1);
  }

  #count(role: string, by: number): void {
    this.#counts.set(role, (this.#counts.get(role) ?? 0) + by);
  }
}
