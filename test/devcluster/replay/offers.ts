/**
 * Offers of a recording, as they come here. Rounds of offers are quicker, and which role is asked first is left to chance: what
 * comes with less in it, or to somebody else, is given back until it comes as recorded.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect } from '@jest/globals';
import type { Devcluster } from '../../../devcluster/index.ts';
import { offerOf } from './alike.ts';
import type { Connection } from './connection.ts';
import { at } from './json.ts';
import { agentIndex, agentOf, roleOf } from './recording.ts';
import { until } from './until.ts';

export class Offers {
  readonly #cluster: Devcluster;
  readonly #connections: () => Iterable<Connection>;

  constructor(cluster: Devcluster, connections: () => Iterable<Connection>) {
    this.#cluster = cluster;
    this.#connections = connections;
  }

  /** For each that is recorded the one that came, once they are equal. */
  async equalTo(recorded: readonly unknown[], on: Connection): Promise<[theirs: unknown, ours: unknown][]> {
    for (const theirs of recorded) on.roles.add(roleOf(theirs));
    if (on.roles.size > 1) await this.#allAlike(recorded, on);
    const pairs: [unknown, unknown][] = [];
    for (const theirs of recorded) pairs.push([theirs, await this.#equal(theirs, on)]);
    return pairs;
  }

  #agentOf(theirs: unknown): string | undefined {
    return this.#cluster.agents[agentIndex(theirs)]?.id;
  }

  /** Which role is asked first on which agent is left to chance: what came otherwise is given back until it comes so. */
  async #allAlike(recorded: readonly unknown[], on: Connection): Promise<void> {
    const isOfThem = (ours: unknown) => recorded.some((theirs) => this.#agentOf(theirs) === agentOf(ours));
    const isAlike = (theirs: unknown) =>
      on.offers.some(
        (ours) => agentOf(ours) === this.#agentOf(theirs) && isDeepStrictEqual(offerOf(ours), offerOf(theirs)),
      );
    const deadline = Date.now() + 12_000;
    while (!recorded.every(isAlike) && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      const given = on.offers.filter(isOfThem);
      if (recorded.every(isAlike) || given.length === 0) continue;
      on.offers = on.offers.filter((offer) => !isOfThem(offer));
      await this.#giveBack(given, on, 0);
    }
  }

  /** Our rounds of offers are quicker: what comes too early, with less in it, is given back. */
  async #equal(theirs: unknown, on: Connection): Promise<unknown> {
    const isOfIt = (ours: unknown) => agentOf(ours) === this.#agentOf(theirs) && roleOf(ours) === roleOf(theirs);
    const deadline = Date.now() + 8000;
    for (;;) {
      await until(`an offer as ${JSON.stringify(theirs)}`, () => on.offers.some(isOfIt));
      const index = on.offers.findIndex(isOfIt);
      const ours = on.offers[index];
      const isEqual = isDeepStrictEqual(offerOf(ours), offerOf(theirs));
      if (isEqual) {
        on.offers.splice(index, 1);
        return ours;
      }
      if (Date.now() > deadline) expect(offerOf(ours)).toEqual(offerOf(theirs));
      // With everything else of that agent, or the parts would be offered apart for ever.
      for (const one of this.#connections()) {
        const given = one.offers.filter(isOfIt);
        one.offers = one.offers.filter((offer) => !isOfIt(offer));
        // Who is not asked here waits, else it would be offered all of it again.
        if (given.length > 0) await this.#giveBack(given, one, one === on ? 0 : 2);
      }
    }
  }

  async #giveBack(offers: readonly unknown[], to: Connection, seconds: number): Promise<void> {
    const call = {
      type: 'DECLINE',
      framework_id: at(offers[0], 'framework_id'),
      decline: { offer_ids: offers.map((offer) => at(offer, 'id')), filters: { refuse_seconds: seconds } },
    };
    await fetch(`${this.#cluster.masterUrl}/api/v1/scheduler`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'mesos-stream-id': to.streamId,
        ...(to.authorization === undefined ? {} : { authorization: to.authorization }),
      },
      body: JSON.stringify(call),
    });
  }
}
