import type { Plugin, Weighted } from './plugin.ts';
import { balancedAllocation } from './plugins/balanced-allocation.ts';
import { dynamicResources } from './plugins/dynamic-resources.ts';
import { imageLocality } from './plugins/image-locality.ts';
import { interPodAffinity } from './plugins/inter-pod-affinity.ts';
import { nodeAffinity } from './plugins/node-affinity.ts';
import { nodeName } from './plugins/node-name.ts';
import { nodePorts } from './plugins/node-ports.ts';
import { nodeUnschedulable } from './plugins/node-unschedulable.ts';
import { nodeVolumeLimits } from './plugins/node-volume-limits.ts';
import { resourcesFit } from './plugins/resources-fit.ts';
import { taintToleration } from './plugins/taint-toleration.ts';
import { topologySpread } from './plugins/topology-spread.ts';
import { volumeBinding } from './plugins/volume-binding.ts';
import { volumeRestrictions } from './plugins/volume-restrictions.ts';
import { volumeZone } from './plugins/volume-zone.ts';

/**
 * The policies in order. The first refusal is the one the user reads, so what is a property of the node itself comes
 * before what is short at the moment, and cheap tests come before dear ones.
 */
export const defaultProfile: readonly Weighted[] = [
  { plugin: nodeUnschedulable, weight: 0 },
  { plugin: nodeName, weight: 0 },
  { plugin: taintToleration, weight: 3 },
  { plugin: nodeAffinity(), weight: 2 },
  { plugin: dynamicResources, weight: 0 },
  { plugin: nodePorts, weight: 0 },
  { plugin: resourcesFit(), weight: 1 },
  { plugin: volumeRestrictions, weight: 0 },
  { plugin: nodeVolumeLimits, weight: 0 },
  { plugin: volumeBinding, weight: 0 },
  { plugin: volumeZone, weight: 0 },
  { plugin: topologySpread(), weight: 2 },
  { plugin: interPodAffinity(), weight: 2 },
  { plugin: balancedAllocation(), weight: 1 },
  { plugin: imageLocality, weight: 1 },
];

/** A policy with only those of its parts that are wanted. */
export function part(plugin: Plugin, filters: boolean, scores: boolean): Plugin {
  const { name, filter, filterGoesBy, score, scoreGoesBy } = plugin;
  return {
    name,
    ...(filters && filter ? { filter, ...(filterGoesBy ? { filterGoesBy } : {}) } : {}),
    ...(scores && score ? { score, ...(scoreGoesBy ? { scoreGoesBy } : {}) } : {}),
  };
}
