import { revocable } from './kinds/names.ts';
import type { Node } from './kinds/node.ts';
import type { Pod } from './kinds/pod.ts';
import { controllerOf } from './meta.ts';
import { qosClass } from './qos-class.ts';

/** The pod takes what nobody else uses just now, and may lose it at any time. Pods of DaemonSets belong to machines. */
export const mayBeRevoked = ({ metadata, spec }: Pod): boolean =>
  metadata.annotations?.[revocable] === 'true' &&
  qosClass(spec) === 'BestEffort' &&
  controllerOf({ metadata })?.kind !== 'DaemonSet';

/** The node has only what its machine's owners do not use just now. */
export const isRevocable = (node: Node | undefined): boolean => node?.metadata.labels?.[revocable] === 'true';
