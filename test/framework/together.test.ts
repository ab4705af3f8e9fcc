import { describe, expect, test } from '@jest/globals';
import type { Call } from '../../mesos/scheduler.ts';
import type { Offer } from '../../mesos/offers.ts';
import type { State } from '../../framework/state.ts';
import { makePod } from '../scheduler/builders.ts';
import { callTypes, callsOf, makeOffer, register, subscribed } from './builders.ts';

/** Two agents that come back from a refusal each at its own moment, as a master has them. */
class Offering {
  /** Until when, milliseconds. */
  readonly #hidden = new Map([
    ['a1', 0],
    ['a2', 2_600],
  ]);
  readonly #inHand = new Map<string, string>();

  next(now: number): Offer[] {
    const inHand = [...this.#inHand.values()];
    const free = [...this.#hidden].filter(([agent, until]) => until <= now && !inHand.includes(agent));
    return free.map(([agent]) => {
      const offer = makeOffer(agent);
      this.#inHand.set(offer.id.value, agent);
      return offer;
    });
  }

  take(calls: readonly Call[], now: number): void {
    for (const call of calls)
      if (call.type === 'REVIVE') for (const agent of this.#hidden.keys()) this.#hidden.set(agent, 0);
      else if (call.type === 'DECLINE')
        for (const { value } of call.decline.offer_ids ?? []) {
          this.#hidden.set(this.#inHand.get(value)!, now + call.decline.filters!.refuse_seconds! * 1000);
          this.#inHand.delete(value);
        }
  }
}

const minute = 60_000;
const step = 50;

/** Which agents are in hand at each step of a minute in which these pods wait. */
function minuteOf(state: State, labels: Record<string, string>): string[][] {
  const offering = new Offering();
  const pods = ['p', 'q'].map((name) => makePod(name, {}, { labels }));
  const seen: string[][] = [];
  for (let now = 0; now < minute; now += step) {
    state.offered(offering.next(now), now);
    register(state);
    const effects = [...state.want(pods, now), ...(now % 250 === 0 ? state.tick(now) : [])];
    seen.push(state.nodes.flatMap(({ name, offers }) => (offers.size > 0 ? [name] : [])));
    offering.take(callsOf(effects), now);
  }
  return seen;
}

const grouped = { 'scheduling.x-k8s.io/pod-group': 'train' };

describe('pods that need several places at once', () => {
  test('see all agents together, whenever each of them comes back', () => {
    const seen = minuteOf(subscribed(), grouped);
    const both = seen.flatMap((names, i) => (names.length === 2 ? [i * step] : []));
    expect(both[0]).toBeLessThan(10_000);
    expect(both.filter((at) => at > 30_000)).not.toEqual([]);
  });

  test('leave them to others most of the time', () => {
    const seen = minuteOf(subscribed(), grouped);
    for (const agent of ['host-a1', 'host-a2']) {
      const held = seen.filter((names) => names.includes(agent)).length;
      expect(held / seen.length).toBeLessThan(0.15);
    }
  });

  test('ask for them at moments of their own, so that two frameworks that do so do not always meet', () => {
    const momentsOf = (random: () => number) => {
      const state = subscribed({ random });
      const pods = [makePod('p', {}, { labels: grouped })];
      state.want(pods, 0);
      const moments: number[] = [];
      for (let now = 0; now < minute; now += 250) if (callTypes(state.tick(now)).includes('REVIVE')) moments.push(now);
      return moments;
    };
    expect(momentsOf(() => 0).slice(0, 3)).toEqual([5_000, 10_000, 15_000]);
    expect(momentsOf(() => 0.5).slice(0, 3)).toEqual([7_500, 15_000, 22_500]);
  });
});
