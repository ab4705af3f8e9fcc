import type { Pod } from '../api/kinds/pod.ts';
import { groupOf } from '../scheduler/index.ts';
import { Demand, type DemandOptions, type Wish } from './demand.ts';

export interface DemandsOptions extends DemandOptions {
  /** That we subscribe in; the first is for pods without a role of their own. */
  roles: readonly string[];
  roleOf: (pod: Pod) => string;
}

/** The demand for offers of each role. */
export class Demands {
  readonly #options: DemandsOptions;
  readonly #byRole: ReadonlyMap<string, Demand>;

  constructor(options: DemandsOptions) {
    this.#options = options;
    this.#byRole = new Map(options.roles.map((role) => [role, new Demand(options)]));
  }

  of(role: string): Demand {
    return this.#byRole.get(role)!;
  }

  subscribed(): void {
    for (const demand of this.#byRole.values()) demand.subscribed();
  }

  offered(role: string): void {
    this.#byRole.get(role)?.offered();
  }

  /** The pods of each role, and what to tell the master of it when these wait; `more` names what else does, `isEmpty` whether we have no offer. */
  wishes(
    pods: Iterable<Pod>,
    more: (role: string) => readonly string[],
    isEmpty: (role: string) => boolean,
    now: number,
  ): { asking: ReadonlyMap<string, readonly Pod[]>; wishes: [role: string, wish: Wish][] } {
    const { roles, roleOf } = this.#options;
    const asking = new Map(roles.map((role): [string, Pod[]] => [role, []]));
    for (const pod of pods) asking.get(roleOf(pod))?.push(pod);
    const wishes = roles.map((role): [string, Wish] => {
      const demand = this.of(role);
      const own = asking.get(role) ?? [];
      const together = own.some((pod) => groupOf(pod) !== undefined);
      demand.wants([...more(role), ...own.map(({ metadata }) => metadata.uid!)], together, now);
      return [role, demand.wish(isEmpty(role), now)];
    });
    return { asking, wishes };
  }
}
