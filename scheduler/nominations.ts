import type { Pod } from '../api/kinds/pod.ts';
import type { Needs, NodeView } from './cluster.ts';
import { filtersOf, refusal } from './verdicts.ts';
import type { Ask, NodeFilter, Plugin, Weighted } from './plugin.ts';
import { priorityOf } from './preemption.ts';
import { withAlso } from './what-if.ts';

/** For which waiting pods room is being made, and where; `status.nominatedNodeName` says it to others. */
export class Nominations {
  readonly #needsOf: (pod: Pod) => Needs;
  readonly #nominated = new Map<string, { pod: Pod; node: string }>();
  readonly #heeded = new WeakMap<readonly Weighted[], readonly Weighted[]>();
  /** What the status of a waiting pod said last: only another word counts, as ours may not have come back yet. */
  readonly #read = new Map<string, string>();

  constructor(needsOf: (pod: Pod) => Needs) {
    this.#needsOf = needsOf;
  }

  /** A waiting pod as the apiserver has it. */
  see(pod: Pod): void {
    const uid = pod.metadata.uid!;
    const { nominatedNodeName: node = '' } = pod.status ?? {};
    const known = this.#nominated.get(uid);
    if (known) known.pod = pod;
    if (node !== (this.#read.get(uid) ?? '')) this.set(pod, node || undefined);
    this.#read.set(uid, node);
  }

  set(pod: Pod, node: string | undefined): void {
    if (node === undefined) this.#nominated.delete(pod.metadata.uid!);
    else this.#nominated.set(pod.metadata.uid!, { pod, node });
  }

  /** It has a place, or wants none. Answers whether one was kept for it. */
  forget({ metadata: { uid } }: Pod): boolean {
    this.#read.delete(uid!);
    return this.#nominated.delete(uid!);
  }

  nodeOf({ metadata: { uid } }: Pod): string | undefined {
    return this.#nominated.get(uid!)?.node;
  }

  /** The pods that wait for room on this node. */
  on(node: string): Pod[] {
    return [...this.#nominated.values()].flatMap((one) => (one.node === node ? [one.pod] : []));
  }

  /**
   * The policies, and besides: a node must suit them also with those who are nominated there, unless they are less important
   * than the pod. As they may never come, it must suit them without, too.
   */
  heeded(profile: readonly Weighted[]): readonly Weighted[] {
    if (this.#nominated.size === 0) return profile;
    const known = this.#heeded.get(profile);
    if (known) return known;
    const plugin: Plugin = { name: 'NominatedPods', filter: (ask) => this.#test(ask, profile) };
    const heeded = [...profile, { plugin, weight: 0 }];
    this.#heeded.set(profile, heeded);
    return heeded;
  }

  #test(ask: Ask, profile: readonly Weighted[]): NodeFilter | undefined {
    const nominees = new Map<string, Set<Pod>>();
    for (const { pod, node } of this.#nominated.values()) {
      if (pod.metadata.uid === ask.pod.metadata.uid || priorityOf(pod) < priorityOf(ask.pod)) continue;
      nominees.set(node, (nominees.get(node) ?? new Set()).add(pod));
    }
    if (nominees.size === 0) return undefined;
    return (node: NodeView) => {
      const others = nominees.get(node.name);
      if (!others) return undefined;
      const view = withAlso(node, others, this.#needsOf);
      return refusal(view, filtersOf({ ...ask, nodes: ask.nodes.with(ask.nodes.indexOf(node), view) }, profile));
    };
  }
}
