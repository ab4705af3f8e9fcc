import type { Ingress, Service } from '../../api/kinds/service.ts';
import type { Stored } from '../../api/meta.ts';
import type { Page } from '../../client/door.ts';

export type Balanced = Service & Stored;

/** A node that takes traffic for a Service at its node ports. */
export interface Host {
  name: string;
  address: string;
}

export interface Reached {
  /** Where clients reach the Service; empty when nowhere. */
  ingress: Ingress[];
  /** Why it is nowhere, in words for its event. */
  refusal: string;
}

/**
 * What brings traffic from outside to the node ports of Services. The controller service-lb decides which Services and
 * nodes; each kind of balancer is one file beside this one, and a row of load-balancers.ts.
 */
export interface LoadBalancer {
  /** Serves a Service by these hosts, from now on. `beside` are all Services of this balancer: they may want the same ports. */
  ensure(service: Balanced, hosts: readonly Host[], beside: readonly Balanced[]): Promise<Reached>;
  /** Serves it no more, by its key. Absent is fine. */
  remove(key: string): Promise<void>;
  /** What the balancer is asked for at the controller-manager's own port; `all` tells every Service and its hosts. */
  pages(all: () => readonly { service: Balanced; hosts: readonly Host[] }[]): Record<string, Page>;
}
