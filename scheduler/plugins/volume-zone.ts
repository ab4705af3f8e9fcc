import type { Plugin } from '../plugin.ts';
import { claimsOf } from './volumes.ts';

const keys = [
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
];

/** A volume that is labelled with a zone or region is reached only from there; several are written `a__b`. */
export const volumeZone: Plugin = {
  name: 'VolumeZone',
  filter: ({ pod, world }) => {
    const storage = world?.storage;
    if (!storage) return undefined;
    const demands = claimsOf(pod, storage).flatMap((claim) => {
      const labels = claim?.spec.volumeName ? storage.volume(claim.spec.volumeName)?.metadata.labels : undefined;
      return keys.flatMap((key) => (labels?.[key] === undefined ? [] : [{ key, values: labels[key].split('__') }]));
    });
    if (demands.length === 0) return undefined;
    return ({ node: { metadata } }) => {
      // A node that says nothing of zones is in all of them.
      if (!keys.some((key) => metadata.labels?.[key] !== undefined)) return undefined;
      return demands.every(({ key, values }) => values.includes(metadata.labels?.[key] ?? ''))
        ? undefined
        : 'node(s) had no available volume zone';
    };
  },
};
