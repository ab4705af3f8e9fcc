import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import type { ObjectReference } from './event.ts';

/** Never kept: making one gives a pod its node. */
export interface Binding extends KubeObject {
  target: ObjectReference;
}

export const Binding = kind<Binding>({
  group: '',
  version: 'v1',
  kind: 'Binding',
  plural: 'bindings',
  namespaced: true,
  verbs: ['create'],
});
