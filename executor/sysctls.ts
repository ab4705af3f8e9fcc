import type { Pod } from '../api/kinds/pod.ts';
import { safeSysctls } from '../api/pod-security.ts';
import type { Failure } from './status.ts';

/** What the kernel keeps apart, and whose namespace it is. https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/ */
const namespaced: readonly { prefix: string; of: 'ipc' | 'net' }[] = [
  ...['kernel.shm', 'kernel.msg', 'kernel.sem', 'fs.mqueue.'].map((prefix) => ({ prefix, of: 'ipc' as const })),
  { prefix: 'net.', of: 'net' },
];

/** Slashes may stand for dots, as sysctl(8) has it. */
const dotted = (name: string): string => (name.includes('/') && !name.includes('.') ? name.replaceAll('/', '.') : name);

const namespaceOf = (name: string): 'ipc' | 'net' | undefined =>
  namespaced.find(({ prefix }) => name.startsWith(prefix))?.of;

/** Names and `prefix*` patterns of sysctls that pods may set though they are not safe. Throws for one that would change the machine. */
export function unsafeSysctls(allowed: readonly string[]): readonly string[] {
  const patterns = allowed.map(dotted);
  const foreign = patterns.find((pattern) => namespaceOf(pattern.replace(/\*$/, '')) === undefined);
  if (foreign !== undefined)
    throw new Error(
      `--allowed-unsafe-sysctls: "${foreign}" is not known to be namespaced, so a pod would set it for the machine`,
    );
  return patterns;
}

/** Why a pod may not run here: a sysctl that it may not set. */
export function forbiddenSysctl({ spec }: Pod, allowed: readonly string[]): Failure | undefined {
  for (const { name } of spec.securityContext?.sysctls ?? []) {
    const message = whyNot(dotted(name), spec, allowed);
    if (message) return { reason: 'SysctlForbidden', message: `Pod was rejected: forbidden sysctl: ${message}` };
  }
  return undefined;
}

function whyNot(name: string, { hostNetwork, hostIPC }: Pod['spec'], allowed: readonly string[]): string | undefined {
  const matches = (pattern: string) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  if (!safeSysctls.has(name) && !allowed.some(matches)) return `"${name}" not allowlisted`;
  const of = namespaceOf(name);
  if (of === 'net' && hostNetwork) return `"${name}" not allowed with host net enabled`;
  if (of === 'ipc' && hostIPC) return `"${name}" not allowed with host ipc enabled`;
  return undefined;
}
