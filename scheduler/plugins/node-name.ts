import type { Plugin } from '../plugin.ts';

/** A pod that names its node goes there or nowhere. */
export const nodeName: Plugin = {
  name: 'NodeName',
  filterGoesBy: ({ pod }) => pod.spec.nodeName,
  filter: ({ pod }) => {
    const wanted = pod.spec.nodeName;
    if (!wanted) return undefined;
    return (node) => (node.name === wanted ? undefined : "node(s) didn't match the requested node name");
  },
};
