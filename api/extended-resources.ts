/** `example.com/gpu`, but nothing of Kubernetes' own. */
export const isExtendedResource = (name: string): boolean =>
  name.includes('/') && !/(^|\.)kubernetes\.io\//.test(name) && !name.startsWith('requests.');
