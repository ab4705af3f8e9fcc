import type { Container, Pod } from '../api/kinds/pod.ts';

/** Every container of a pod, whatever its part in it. */
export const containersOf = ({ spec }: Pod): Container[] => [
  ...spec.containers,
  ...(spec.initContainers ?? []),
  ...(spec.ephemeralContainers ?? []),
];
