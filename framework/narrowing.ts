import type { OfferConstraints } from '../mesos/scheduler.ts';
import type { Group } from './constraints.ts';

/** Milliseconds a narrower wish must have lasted: pods come and go, and each change costs the master a round of offers. */
const patience = 1_000;

/** By role; what is not named may be anything. */
export type Wishes = ReadonlyMap<string, readonly Group[]>;

/**
 * Which offers the master knows that we want, and when to tell it anew: at once where a pod could use more than we are
 * offered, after a while where less would do.
 */
export class Narrowing {
  /** In the master's books; undefined where it would not heed them. */
  #told: Wishes | undefined;
  #isRefused = false;
  #narrowerSince: number | undefined;

  /** A fresh subscription is unconstrained. Masters know constraints since 1.11, and older ones end on unknown calls or ignore them. */
  subscribed(masterVersion: string | undefined): void {
    const [major = 0, minor = 0] = (masterVersion ?? '').split('.').map(Number);
    const knows = major > 1 || (major === 1 && minor >= 11);
    this.#told = knows && !this.#isRefused ? new Map() : undefined;
    this.#narrowerSince = undefined;
  }

  /** The master did not take them: it is not asked again. */
  refused(): void {
    this.#isRefused = true;
    this.#told = undefined;
  }

  /** What the master knows of a role, as long as nothing else is wished for it. */
  of(role: string): readonly Group[] | undefined {
    return this.#told?.get(role);
  }

  /** To be told to the master now, or undefined. */
  next(wishes: Wishes, now: number): OfferConstraints | undefined {
    if (!this.#told || isSame(this.#told, wishes)) {
      this.#narrowerSince = undefined;
      return undefined;
    }
    this.#narrowerSince ??= now;
    if (isWithin(wishes, this.#told) && now - this.#narrowerSince < patience) return undefined;
    this.#narrowerSince = undefined;
    this.#told = wishes;
    return { role_constraints: Object.fromEntries([...wishes].map(([role, groups]) => [role, inWire(groups)])) };
  }
}

const inWire = (groups: readonly Group[]) => ({
  groups: groups.map((group) => ({ attribute_constraints: [...group] })),
});

/** Whoever is offered something by `narrow` is so by `wide`, too. */
function isWithin(narrow: Wishes, wide: Wishes): boolean {
  return [...wide].every(([role, groups]) => {
    const admitted = new Set(groups.map((group) => JSON.stringify(group)));
    return narrow.get(role)?.every((group) => admitted.has(JSON.stringify(group))) ?? false;
  });
}

const isSame = (a: Wishes, b: Wishes): boolean => isWithin(a, b) && isWithin(b, a);
