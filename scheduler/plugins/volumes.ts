import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { claimNames, serves } from '../../api/volume-claims.ts';
import type { Storage } from '../plugin.ts';
import { namespaceOf } from '../pod-selection.ts';

export { claimNames, serves };

export const claimsOf = (pod: Pod, storage: Storage): (PersistentVolumeClaim | undefined)[] =>
  claimNames(pod).map((name) => storage.claim(namespaceOf(pod), name));
