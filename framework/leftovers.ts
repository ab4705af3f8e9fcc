import type { OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { reservedFor } from './resources.ts';
import { releaseOf } from './volumes.ts';

/** All that an agent has, with what is reserved and kept for somebody. */
export interface AgentTotal {
  id: string;
  total: readonly Resource[];
}

/** What agents keep for this cluster and nobody owns: let go of when it is offered, and asked for until then. */
export class Leftovers {
  readonly #cluster: string;
  readonly #isOwned: (persistenceId: string) => boolean;
  /** `<role> <agent id>` */
  #known = new Set<string>();

  constructor(cluster: string, isOwned: (persistenceId: string) => boolean) {
    this.#cluster = cluster;
    this.#isOwned = isOwned;
  }

  /** What lets go of those that an agent offers to a role; empty when there are none. */
  release(agentId: string, role: string, offered: readonly Resource[]): OfferOperation[] {
    const operations = releaseOf(offered, this.#cluster, this.#isOwned);
    if (operations.length > 0) this.#known.delete(`${role} ${agentId}`);
    return operations;
  }

  /** All that agents have, anew. */
  audit(agents: readonly AgentTotal[]): void {
    this.#known = new Set(
      agents.flatMap(({ id, total }) => {
        const roles = new Set(total.map(reservedFor));
        const isLeft = (role: string) =>
          releaseOf(
            total.filter((resource) => reservedFor(resource) === role),
            this.#cluster,
            this.#isOwned,
          ).length > 0;
        return [...roles].filter(isLeft).map((role) => `${role} ${id}`);
      }),
    );
  }

  /** One name for each agent that keeps some for the role. */
  asking(role: string): string[] {
    return [...this.#known].filter((key) => key.startsWith(`${role} `));
  }
}
