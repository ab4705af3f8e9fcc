import { ReplicationController } from '../api/kinds/replication-controller.ts';
import type { Reconciler, World } from '../client/reconcile.ts';
import { replicas } from './replica-set.ts';

/** As ReplicaSets, with the selector of old: labels and nothing else. */
export const replicationControllers = (world: World): Reconciler =>
  replicas(world, 'replication-controller', ReplicationController, ({ spec }) => ({
    matchLabels: spec.selector ?? {},
  }));
