import type { Node } from '../api/kinds/node.ts';
import type { Pod } from '../api/kinds/pod.ts';

/**
 * All the scheduler may know of the world that runs pods. The framework implements it over Mesos offers; a scheduler
 * never hears of offers, agents or tasks. Every method but `launch` is synchronous: deciding is one uninterrupted step.
 */
export interface Cluster {
  /**
   * The nodes as they are now, with what is free at this moment for this pod, or for one of no particular kind. Stable until
   * the next await.
   */
  nodes(pod?: Pod): readonly NodeView[];
  /** What a pod will be accounted with: its requests, or defaults where it makes none. */
  needs(pod: Pod): Needs;
  /** A launch of this pod that is already under way, perhaps since before a restart: it must not be placed again. */
  seatOf(pod: Pod): Seat | undefined;
  /** Which pods wait. The framework asks for offers while there are any, and gives them back when there are none. */
  want(pods: readonly Pod[]): void;
  /**
   * Takes a pod's resources from a node in memory, so that the next decision sees them gone.
   * Answers undefined when they are not there any more. Before the pod is bound, the volumes say that they are its claims'; where
   * one has become another's, the seat is given back.
   */
  reserve(pod: Pod, node: string, volumes?: ClaimedVolumes): Seat | undefined;
  /** Gives a place back in the same uninterrupted step in which it was reserved. */
  release(pod: Pod): void;
  /** Calls back whenever a waiting pod might fit now: an offer, a node, a task gone. */
  onChange(listener: () => void): void;
}

/** Amounts by resource; units as in `NodeView.free`. */
export type Needs = readonly Need[];

export interface Need {
  resource: string;
  amount: number;
  /** No `NodeView.allocatable` tells of it: where it is not free, an offer may bring it. */
  isOnlyOffered?: true;
}

/** Among needs and what is free: ports of the host of any number. One that a pod has or asks for by number is not among its needs. */
export const portCount = 'ports';

/** What claims of a pod that wait for their first consumer will be bound to: name of the claim → name of the volume. */
export type ClaimedVolumes = Readonly<Record<string, string>>;

/** A reserved place. It is launched together with the other seats of its node; the outcome comes back once. */
export interface Seat {
  node: string;
  volumes?: ClaimedVolumes | undefined;
  /** Resolves when the pod is bound; rejects with NotLaunched when the seat was given back and the pod may be tried again. */
  launched: Promise<void>;
}

/** The launch was dropped, refused or never answered: nothing ran, the pod goes back to the queue. */
export class NotLaunched extends Error {
  override name = 'NotLaunched';
}

/** One node as a policy sees it. */
export interface NodeView {
  name: string;
  node: Node;
  /** Free now: `cpu` in thousandths of a core, `memory` and `ephemeral-storage` in bytes, others in units. */
  free: Readonly<Record<string, number>>;
  /** What pods could use at most, same units; without `cpu` while nobody has told what there is. */
  allocatable: Readonly<Record<string, number>>;
  /** Of these what no offer brings: only pods that go leave more of it. */
  unoffered?: Readonly<Record<string, number>>;
  /** Pods bound to or reserved on this node, by uid. */
  pods: ReadonlyMap<string, Pod>;
  /** Another number whenever `pods` changed. */
  generation: number;
  /** Another number whenever anything here changed. */
  version: number;
  /** How many of them have the controller with this uid. */
  siblings(owner: string): number;
  /** A host port can be had now. */
  hasPort(port: number): boolean;
  /** It is one of the machine's and no pod's here: an offer may bring it. */
  awaitsPort(port: number): boolean;
  /** Where an operator limits what all pods of this kind may take together. */
  quota?: Quota | undefined;
  /** Its Node is being made, or has not lost the taint of a new one: what refuses pods there goes in a moment. */
  isSettling?: boolean;
  /** Why nothing is free although the node is there: `noOffer`, "node(s) had an unreachable Mesos agent". */
  unavailable: string | undefined;
}

export interface Quota {
  /** Whose it is, in the words of whoever sets it. */
  role: string;
  /** What may still be taken of the resources that are limited; units as in `NodeView.free`. */
  left: Readonly<Record<string, number>>;
}

/** The reason of a node that would take pods as soon as something of it is offered. */
export const noOffer = 'no offer yet';

/** Ends what another reason says that the next offer may lift. */
export const inOffers = ' in offers';
