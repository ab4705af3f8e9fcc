import type { Pod } from '../api/kinds/pod.ts';
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

  /** What to tell the master of each role, when these wait; `more` names what else does. */
  wishes(pods: Iterable<Pod>, more: (role: string) => readonly string[], now: number): [role: string, wish: Wish][] {
    const { roles, roleOf } = this.#options;
    const waiting = new Map(roles.map((role) => [role, [...more(role)]]));
    for (const pod of pods) waiting.get(roleOf(pod))?.push(pod.metadata.uid!);
    return roles.map((role) => {
      const demand = this.of(role);
      demand.wants(waiting.get(role)!, now);
      return [role, demand.wish(now)];
    });
  }
}
