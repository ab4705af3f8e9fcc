/** What to tell the master about our wish for offers. */
export type Wish = 'revive' | 'suppress' | 'keep';

/** Read whenever they are needed: they may change. */
export interface DemandOptions {
  /** Milliseconds offers are kept in hand after the last of them was used, so that the next pod of a burst finds some. */
  linger: number;
  /** Milliseconds between two REVIVE calls in a row; three may come at once. */
  reviveInterval: number;
  /** Seconds the master hides a declined offer while pods wait. */
  refuseWaiting: number;
  /** So that two frameworks that ask for all agents at once do not go on doing it at the same moments. */
  random: () => number;
}

const reviveBurst = 3;

/**
 * When to ask for offers and when to leave them to others.
 *
 *   nothing waits ─▶ (linger) ─▶ decline what is in hand, SUPPRESS
 *   a pod waits that was not there at the last REVIVE ─▶ REVIVE: filters from earlier refusals no longer hide offers
 *   pods wait and every offer went into ACCEPTs ─▶ REVIVE: the master need not wait for its next round to offer what is left of them
 *   the same pods wait, nothing fits ─▶ keep quiet: declined offers come again when their filters run out
 *   pods wait that need several places at once ─▶ now and then a REVIVE all the same: filters run out agent by agent
 */
export class Demand {
  readonly #options: DemandOptions;
  /** Pods that wait, by uid, and whether the last REVIVE was for them too. */
  #waiting = new Map<string, boolean>();
  #suppressed = false;
  /** When the last REVIVE left that no offer has answered. */
  #unansweredSince = -Infinity;
  /** Launches that took offers and have not left. */
  #leaving = 0;
  #used = false;
  /** Offers went into an ACCEPT since the last REVIVE. */
  #spent = false;
  /** When all agents are to be offered at once again; Infinity where each at its own moment will do. */
  #togetherAt = Infinity;
  #idleSince: number | undefined;
  #tokens = reviveBurst;
  #refilledAt = 0;

  constructor(options: DemandOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A fresh subscription offers everything, unfiltered. */
  subscribed(): void {
    this.#suppressed = false;
    this.#spent = false;
    this.#tellAll();
  }

  /** Nobody waits and the master knows: what is offered all the same goes back at once. */
  get suppressed(): boolean {
    return this.#suppressed;
  }

  /** Pods wait that need several places at once. */
  get together(): boolean {
    return this.#togetherAt < Infinity;
  }

  /** An offer was of use: the linger time starts anew. */
  used(): void {
    this.#idleSince = undefined;
    this.#used = true;
  }

  /** Whether an offer was of use since this was asked last: the next pod may be about to use another. */
  takeUsed(): boolean {
    const used = this.#used;
    this.#used = false;
    return used;
  }

  /** An offer came. */
  offered(): void {
    this.#unansweredSince = -Infinity;
  }

  /** Offers were taken for a launch. */
  taken(): void {
    this.#leaving += 1;
  }

  /** The launch has left, or is given up. */
  left(): void {
    this.#leaving -= 1;
    this.#spent = true;
  }

  /** What the master has left of our offers can be asked for. */
  get spent(): boolean {
    return this.#spent && this.#leaving === 0;
  }

  /** `together`: some of them need several places at once. */
  wants(uids: Iterable<string>, together: boolean, now: number): void {
    const before = this.#waiting;
    if (!together) this.#togetherAt = Infinity;
    else if (this.#togetherAt === Infinity) this.#togetherAt = this.#nextTogether(now);
    this.#waiting = new Map();
    for (const uid of uids) this.#waiting.set(uid, before.get(uid) ?? false);
    if (this.#waiting.size > 0) this.#idleSince = undefined;
    else this.#idleSince ??= now;
  }

  /** To be asked after each change and now and then; `empty`: no offer is in hand. */
  wish(empty: boolean, now: number): Wish {
    if (this.#waiting.size === 0) return this.#idle(now);
    // Nothing was refused since: what is about to come is all there is.
    if (now - this.#unansweredSince < this.#options.reviveInterval) this.#tellAll();
    const news = [...this.#waiting.values()].includes(false);
    const goOn = empty && this.spent;
    if (!this.#suppressed && !news && !goOn && now < this.#togetherAt) return 'keep';
    if (!this.#mayRevive(now)) return 'keep';
    this.#suppressed = false;
    this.#spent = false;
    this.#unansweredSince = now;
    if (this.together) this.#togetherAt = this.#nextTogether(now);
    this.#tellAll();
    return 'revive';
  }

  #tellAll(): void {
    for (const uid of this.#waiting.keys()) this.#waiting.set(uid, true);
  }

  #idle(now: number): Wish {
    this.#idleSince ??= now;
    if (this.#suppressed || now - this.#idleSince < this.#options.linger) return 'keep';
    this.#suppressed = true;
    return 'suppress';
  }

  /** Not before others had the time that a refusal leaves them. */
  #nextTogether(now: number): number {
    const { refuseWaiting, random } = this.#options;
    return now + refuseWaiting * 1000 * (1 + random());
  }

  #mayRevive(now: number): boolean {
    const refill = Math.floor((now - this.#refilledAt) / this.#options.reviveInterval);
    if (refill > 0) {
      this.#tokens = Math.min(reviveBurst, this.#tokens + refill);
      this.#refilledAt = now;
    }
    if (this.#tokens === 0) return false;
    this.#tokens -= 1;
    return true;
  }
}
