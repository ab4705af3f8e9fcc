import type { Resource } from '../mesos/types.ts';
import { contains } from './resources.ts';

/** What other flags a restarted agent has. */
export interface Reconfiguration {
  resources: Resource[];
  /** `--reconfiguration_policy`: whether it may have more than before. */
  policy: 'equal' | 'additive';
}

/** What the agent has from now on. Throws when it would not start with these flags: its executors go on without it. */
export function reconfigured(before: readonly Resource[], { resources, policy }: Reconfiguration): Resource[] {
  if (contains(resources, before) && (policy === 'additive' || contains(before, resources))) return resources;
  throw new Error(`the agent ends: its resources are others than before, against --reconfiguration_policy=${policy}`);
}
