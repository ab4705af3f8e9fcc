import type { Pod, Toleration } from '../../api/kinds/pod.ts';
import { equal } from '../../lib/equal.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates, namespaceOf, refusal } from './requests.ts';

const defaults = 'scheduler.alpha.kubernetes.io/defaultTolerations';
const whitelist = 'scheduler.alpha.kubernetes.io/tolerationsWhitelist';

/** A namespace's annotations say what its pods tolerate by default, and what they may at all. */
export const podTolerationRestriction = (feed: Feed): AdmissionRule => ({
  name: 'PodTolerationRestriction',
  mutate: (request) => {
    if (!creates(request, 'pods')) return;
    const { spec, metadata } = request.object as Pod;
    const annotations = namespaceOf(feed, metadata.namespace ?? '')?.metadata.annotations ?? {};
    const added = read(annotations[defaults]);
    if (added)
      spec.tolerations = [
        ...(spec.tolerations ?? []),
        ...added.filter((one) => !spec.tolerations?.some((own) => equal(own, one))),
      ];
    const allowed = read(annotations[whitelist]);
    if (allowed && !(spec.tolerations ?? []).every((own) => allowed.some((one) => contains(one, own))))
      throw refusal(
        request,
        `pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist`,
      );
  },
});

function read(json: string | undefined): Toleration[] | undefined {
  if (!json) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? (value as Toleration[]) : undefined;
  } catch {
    return undefined; // whoever wrote the annotation finds his pods unrestricted, as in Kubernetes
  }
}

/** Everything that `own` tolerates, `wide` tolerates too. */
function contains(wide: Toleration, own: Toleration): boolean {
  if (!wide.key && wide.operator === 'Exists') return !wide.effect || wide.effect === own.effect;
  if (wide.key !== own.key || (wide.effect && wide.effect !== own.effect)) return false;
  if (wide.tolerationSeconds !== undefined && (own.tolerationSeconds ?? Infinity) > wide.tolerationSeconds)
    return false;
  return wide.operator === 'Exists' || ((own.operator ?? 'Equal') === 'Equal' && wide.value === own.value);
}
