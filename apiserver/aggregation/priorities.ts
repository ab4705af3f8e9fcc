import type { Kind } from '../../api/kind.ts';

/** Where a group version stands in discovery: clients take the first that knows a resource's name. */
export interface Priority {
  group: number;
  version: number;
}

/** Groups that clients prefer come first; the others follow by name. */
const groups: Readonly<Record<string, number>> = {
  '': 18_000,
  'apiregistration.k8s.io': 18_000,
  apps: 17_800,
  'events.k8s.io': 17_750,
  'authentication.k8s.io': 17_700,
  'authorization.k8s.io': 17_600,
  autoscaling: 17_500,
  batch: 17_400,
  'certificates.k8s.io': 17_300,
  'networking.k8s.io': 17_200,
  policy: 17_100,
  'rbac.authorization.k8s.io': 17_000,
  'storage.k8s.io': 16_800,
  'apiextensions.k8s.io': 16_700,
  'admissionregistration.k8s.io': 16_700,
  'scheduling.k8s.io': 16_600,
  'coordination.k8s.io': 16_500,
  'node.k8s.io': 16_300,
  'discovery.k8s.io': 16_200,
  'flowcontrol.apiserver.k8s.io': 16_100,
};

/** Of a group version that this server serves itself. */
export function localPriority({ group, version, schema }: Kind): Priority {
  const isCustom = schema !== undefined;
  return {
    group: groups[group] ?? 1000,
    version: isCustom ? 100 : group === '' ? 1 : group === 'autoscaling' && version === 'v2' ? 30 : 15,
  };
}

const stages = ['alpha', 'beta', undefined];

/** `v2beta1` → beta, 2, 1; undefined for names of another form. */
function parts(version: string): [stage: number, major: number, minor: number] | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version);
  return match ? [stages.indexOf(match[2]), Number(match[1]), Number(match[3] ?? 0)] : undefined;
}

/**
 * Sorts versions as Kubernetes prefers them: stable ones, then beta, then alpha, each newest first; then those whose names
 * are of another form, by name.
 */
export function compareVersions(a: string, b: string): number {
  const [one, other] = [parts(a), parts(b)];
  if (!one || !other) return Number(!one) - Number(!other) || (a < b ? -1 : Number(a > b));
  return other[0] - one[0] || other[1] - one[1] || other[2] - one[2];
}
