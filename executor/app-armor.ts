import { readFileSync } from 'node:fs';
import type { AppArmorProfile, Container, Pod } from '../api/kinds/pod.ts';
import { containersOf } from './containers.ts';
import type { Failure } from './status.ts';

const annotationPrefix = 'container.apparmor.security.beta.kubernetes.io/';
const localhost = 'localhost/';

/** The profile that a container is to be confined by: its own, the pod's, or that of the annotation of before; undefined: the runtime's usual. */
export function appArmorOf({ metadata, spec }: Pod, { name, securityContext }: Container): AppArmorProfile | undefined {
  const field = securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile;
  if (field) return field;
  const text = metadata.annotations?.[annotationPrefix + name];
  if (text === undefined) return undefined;
  if (text === 'unconfined') return { type: 'Unconfined' };
  return text.startsWith(localhost)
    ? { type: 'Localhost', localhostProfile: text.slice(localhost.length) }
    : { type: 'RuntimeDefault' };
}

/** Whether the kernel of this machine confines by AppArmor. */
export function hasAppArmor(file = '/sys/module/apparmor/parameters/enabled'): boolean {
  try {
    return readFileSync(file, 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}

/** Why a pod may not run here: it wants to be confined, and would not be. */
export function unconfined(pod: Pod, isEnabled: boolean): Failure | undefined {
  if (isEnabled) return undefined;
  const wants = containersOf(pod).some(
    (container) => (appArmorOf(pod, container)?.type ?? 'Unconfined') !== 'Unconfined',
  );
  return wants
    ? { reason: 'AppArmor', message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host' }
    : undefined;
}
