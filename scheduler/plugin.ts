import type { CSIStorageCapacity } from '../api/kinds/csi-storage-capacity.ts';
import type { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { StorageClass } from '../api/kinds/storage-class.ts';
import type { LabelSelector } from '../api/meta.ts';
import type { Needs, NodeView } from './cluster.ts';

/**
 * A scheduling policy: one file under plugins/, one line in profile.ts.
 *
 * A policy looks at the pod once and answers the question to put to each node, so that what depends on the pod alone is
 * worked out once and not for each of thousands of nodes. Answering nothing means: this pod has no such demand, skip me.
 */
export interface Plugin {
  name: string;
  /** The test a node must pass: it answers nothing, or the reason in words a user will read. */
  filter?(ask: Ask): NodeFilter | undefined;
  /** How good a node is for the pod, 0 to 100. */
  score?(ask: Ask): NodeScore | undefined;
  /**
   * All that the answers of `filter` go by beside the node itself. Pods of which this is equal, as JSON tells it, share what was
   * found out about a node until it changes. Left out where other nodes or objects matter, too: then it is asked for each pod.
   */
  filterGoesBy?(ask: Ask): unknown;
  /** The same of `score`. */
  scoreGoesBy?(ask: Ask): unknown;
}

/** What is asked: a place for this pod, which will be accounted with `needs`, on one of these nodes. */
export interface Ask {
  pod: Pod;
  needs: Needs;
  nodes: readonly NodeView[];
  /** When scoring: the nodes that were asked at first, fitting or not. */
  all?: readonly NodeView[];
  /** Where each of `nodes` is in `all`; left out when they are the same. */
  places?: readonly number[];
  /** What else policies may look up; nothing is known where it is left out. */
  world?: World;
}

/** Objects beside pods and nodes, as the apiserver has them. */
export interface World {
  /** Labels of a namespace. */
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
  /** Another number whenever labels of some namespace changed. */
  namespaceChanges?(): number;
  /** The selectors of the services in a namespace. */
  serviceSelectors?(namespace: string): readonly Readonly<Record<string, string>>[];
  /** Every PodDisruptionBudget. */
  budgets?(): readonly Budget[];
  storage?: Storage;
}

/** Volumes and what is known of them. */
export interface Storage {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  /** The smaller first. */
  volumes(): readonly PersistentVolume[];
  storageClass(name: string): StorageClass | undefined;
  /** Where its driver has room for volumes of the class; undefined where it does not say. */
  capacities(storageClass: StorageClass): readonly CSIStorageCapacity[] | undefined;
  /** CSI driver → how many of its volumes the node can have. */
  attachLimits(node: string): ReadonlyMap<string, number>;
}

export interface Budget {
  namespace: string;
  selector: LabelSelector | undefined;
  /** How many of its pods may go now. */
  allowed: number;
  /** Names of pods that are on their way out and counted already. */
  disrupted: ReadonlySet<string>;
}

export type NodeFilter = (node: NodeView) => string | undefined;
/** `i` says where the node is in the `nodes` of the ask. */
export type NodeScore = (node: NodeView, i: number) => number;

/** A policy's place in a profile. */
export interface Weighted {
  plugin: Plugin;
  /** How much its score counts against the others'. */
  weight: number;
}
