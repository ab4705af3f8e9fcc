import type { Launch } from './effects.ts';
import type { Offers, OffersOptions } from './offers.ts';
import { launchName } from './records.ts';
import type { Roster } from './roster.ts';
import type { TaskTable } from './tasks.ts';

export interface LaunchesOptions extends Pick<OffersOptions, 'roles'> {
  isRevocable: boolean;
}

/** A record is an object of the apiserver, of bounded size; and all of it is given back when it cannot be written. */
const mostTasksOfRecord = 200;

/** From reserved seats to launches, each with the name of its record: one for those of many agents. */
export class Launches {
  readonly #options: LaunchesOptions;
  readonly #roster: Roster;
  readonly #offers: Offers;
  readonly #tasks: TaskTable;
  #serial = 0;

  constructor(options: LaunchesOptions, roster: Roster, offers: Offers, tasks: TaskTable) {
    this.#options = options;
    this.#roster = roster;
    this.#offers = offers;
    this.#tasks = tasks;
  }

  /** Every agent with reserved seats: its offers and its seats leave together. */
  take(now: number): Launch[] {
    const { roles, isRevocable } = this.#options;
    let record = '';
    let left = 0;
    return roles
      .flatMap((role) => this.#roster.places(role))
      .filter(({ reserved }) => reserved.length > 0)
      .map((place) => {
        const tasks = place.reserved.splice(0);
        left -= tasks.length;
        if (left < 0) {
          record = launchName(isRevocable, now, this.#serial++);
          left = mostTasksOfRecord - tasks.length;
        }
        for (const task of tasks) task.stage = 'recording';
        this.#tasks.record(tasks, record);
        return { record, role: place.role, agent: place.agent, offerIds: this.#offers.taken(place), tasks };
      });
  }
}
