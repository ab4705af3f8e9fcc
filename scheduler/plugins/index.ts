import type { Plugin } from '../plugin.ts';
import { balancedAllocation } from './balanced-allocation.ts';
import { dynamicResources } from './dynamic-resources.ts';
import { equal } from './equal.ts';
import { imageLocality } from './image-locality.ts';
import { interPodAffinity } from './inter-pod-affinity.ts';
import { nodeAffinity } from './node-affinity.ts';
import { nodeLabel } from './node-label.ts';
import { nodeName } from './node-name.ts';
import { nodePorts } from './node-ports.ts';
import { nodeUnschedulable } from './node-unschedulable.ts';
import { nodeVolumeLimits } from './node-volume-limits.ts';
import { resourcesFit } from './resources-fit.ts';
import { selectorSpread } from './selector-spread.ts';
import { serviceAffinity } from './service-affinity.ts';
import { taintToleration } from './taint-toleration.ts';
import { topologySpread } from './topology-spread.ts';
import { volumeBinding } from './volume-binding.ts';
import { volumeRestrictions } from './volume-restrictions.ts';
import { volumeZone } from './volume-zone.ts';

/** Makes a policy from its `args` in a configuration; none means the defaults. */
export type MakePlugin = (args?: object) => Plugin;

/** Every policy by the name that a configuration gives it, in the order in which they are asked. */
export const plugins: ReadonlyMap<string, MakePlugin> = new Map<string, MakePlugin>([
  ['NodeUnschedulable', () => nodeUnschedulable],
  ['NodeName', () => nodeName],
  ['TaintToleration', () => taintToleration],
  ['NodeAffinity', nodeAffinity],
  ['NodeLabel', (args = {}) => nodeLabel(args)],
  ['ServiceAffinity', (args = {}) => serviceAffinity(args)],
  ['DynamicResources', () => dynamicResources],
  ['NodePorts', () => nodePorts],
  ['NodeResourcesFit', resourcesFit],
  ['VolumeRestrictions', () => volumeRestrictions],
  ['NodeVolumeLimits', () => nodeVolumeLimits],
  ['VolumeBinding', () => volumeBinding],
  ['VolumeZone', () => volumeZone],
  ['PodTopologySpread', topologySpread],
  ['InterPodAffinity', interPodAffinity],
  ['NodeResourcesBalancedAllocation', balancedAllocation],
  ['ImageLocality', () => imageLocality],
  ['SelectorSpread', selectorSpread],
  ['EqualPriority', () => equal],
]);
