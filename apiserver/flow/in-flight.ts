import type { Attributes } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';
import { tooManyRequests, type Doorkeeper, type Seat } from './flow-control.ts';

const reads = new Set(['get', 'list', 'watch']);

/** Without priority and fairness: so many requests that read and so many that change are served at a time, whoever asks. */
export class InFlight implements Doorkeeper {
  readonly #limits: { reading: number; changing: number };
  readonly #now = { reading: 0, changing: 0 };

  constructor(reading: number, changing: number) {
    this.#limits = { reading, changing };
  }

  enter({ groups }: User, { verb }: Attributes): Seat {
    const which = reads.has(verb) ? 'reading' : 'changing';
    const limit = this.#limits[which];
    if (limit > 0 && this.#now[which] >= limit && !groups.includes('system:masters')) throw tooManyRequests();
    this.#now[which] += 1;
    let hasLeft = false;
    return {
      schemaUid: '',
      levelUid: '',
      leave: () => {
        if (!hasLeft) this.#now[which] -= 1;
        hasLeft = true;
      },
    };
  }
}
