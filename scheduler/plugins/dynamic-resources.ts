import type { Plugin } from '../plugin.ts';

/** Mesos offers no devices by ResourceSlices, and nobody here prepares them: such a pod would start without what it needs. */
export const dynamicResources: Plugin = {
  name: 'DynamicResources',
  filterGoesBy: ({ pod }) => pod.spec.resourceClaims?.length,
  filter: ({ pod }) =>
    pod.spec.resourceClaims?.length
      ? () => "node(s) cannot allocate the devices of the pod's resourceClaims"
      : undefined,
};
