import type { LoadBalancer } from './load-balancer.ts';
import { MarathonLb } from './marathon-lb.ts';

export interface LoadBalancerOptions {
  /** IPs or names under which the balancers are reached; those of the agents if there are none. */
  loadBalancerAddresses: readonly string[];
}

/** By what `--load-balancer` calls them. */
export const loadBalancers = {
  'marathon-lb': ({ loadBalancerAddresses }, now) => new MarathonLb(loadBalancerAddresses, now),
} satisfies Record<string, (options: LoadBalancerOptions, now: () => number) => LoadBalancer>;
