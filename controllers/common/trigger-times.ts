import type { Pod } from '../../api/kinds/pod.ts';
import type { Service } from '../../api/kinds/service.ts';
import { type ObjectMeta, type Stored, keyOf } from '../../api/meta.ts';

/** When happened what made the endpoints change: who programs them measures by it how late he is. */
export const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

/**
 * Remembers of every service what was seen of it, to tell the earliest thing that is new. Kubernetes' rule: a service counts by
 * its creation, a pod by the last change of its readiness.
 */
export class TriggerTimes {
  readonly #seen = new Map<string, Map<string, string>>();

  /**
   * The time of the first change since what was last noted of this service; undefined when nothing of it is new. `note` is called
   * when the write that tells it went through.
   */
  news(service: Service & Stored, pods: readonly (Pod & Stored)[]): { time: string | undefined; note: () => void } {
    const key = keyOf(service);
    const before = this.#seen.get(key);
    const now = new Map<string, string>();
    const see = (name: string, time: string | null | undefined) => void (time && now.set(name, time));
    see('', service.metadata.creationTimestamp);
    for (const pod of pods) see(pod.metadata.name, readyTime(pod));
    const news = [...now].filter(([name, time]) => time > (before?.get(name) ?? '')).map(([, time]) => time);
    return { time: news.sort()[0], note: () => void this.#seen.set(key, now) };
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}

const readyTime = ({ status }: Pod): string | null | undefined =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;

/** The metadata with this trigger time among its annotations, or without any. */
export function withTrigger(metadata: ObjectMeta, time: string | undefined): ObjectMeta {
  const { annotations = {}, ...rest } = metadata;
  const { [triggerAnnotation]: _old, ...others } = annotations;
  const all = time ? { ...others, [triggerAnnotation]: time } : others;
  return Object.keys(all).length > 0 ? { ...rest, annotations: all } : rest;
}
