import type { Pod } from '../api/kinds/pod.ts';
import type { LabelSelector } from '../api/meta.ts';
import { type Requirement, fromLabelSelector, matches } from '../api/selector.ts';
import { type Column, Columns, podColumn } from './column.ts';
import type { World } from './plugin.ts';

/** Which pods a term or a constraint means. Equal ones have equal keys. */
export interface PodSelection {
  key: string;
  has(pod: Pod): boolean;
}

type Labels = Readonly<Record<string, string>>;

export const namespaceOf = (pod: Pod): string => pod.metadata.namespace ?? 'default';

/** A selector as it stands for this pod: the pod's own values of some label keys narrow it, or are left out of it. */
export function narrowed(
  selector: LabelSelector | undefined,
  pod: Pod,
  { matchLabelKeys = [], mismatchLabelKeys = [] }: { matchLabelKeys?: string[]; mismatchLabelKeys?: string[] } = {},
): Requirement[] | undefined {
  const requirements = fromLabelSelector(selector);
  if (!requirements) return undefined;
  const own = (keys: string[], operator: 'In' | 'NotIn'): Requirement[] =>
    keys.flatMap((key) => {
      const value = pod.metadata.labels?.[key];
      return value === undefined ? [] : [{ key, operator, values: [value] }];
    });
  return [...requirements, ...own(matchLabelKeys, 'In'), ...own(mismatchLabelKeys, 'NotIn')];
}

/** `isIn` says which namespaces; it must depend on nothing but what `where` names. */
export function selection(
  requirements: readonly Requirement[] | undefined,
  where: string,
  isIn: (namespace: string) => boolean,
): PodSelection {
  return {
    key: `${where} ${JSON.stringify(requirements)}`,
    has: (pod) => requirements !== undefined && isIn(namespaceOf(pod)) && matches(requirements, pod.metadata.labels),
  };
}

/** Without those that are about to end. */
export const alive = ({ key, has }: PodSelection): PodSelection => ({
  key: `alive ${key}`,
  has: (pod) => !pod.metadata.deletionTimestamp && has(pod),
});

/** The selectors of the services that the pod belongs to. */
export const servicesOf = (pod: Pod, world: World | undefined): Labels[] =>
  (world?.serviceSelectors?.(namespaceOf(pod)) ?? []).filter((selector) => selects(selector, pod));

export const selects = (selector: Labels, pod: Pod): boolean =>
  Object.entries(selector).every(([key, value]) => pod.metadata.labels?.[key] === value);

const counts = new Columns<Column<number>>();

/** How many pods of each node are meant. */
export const countColumn = ({ key, has }: PodSelection): Column<number> =>
  counts.get(key, () =>
    podColumn(
      ({ pods }) => {
        let count = 0;
        for (const pod of pods.values()) if (has(pod)) count += 1;
        return count;
      },
      (count) => count === 0,
    ),
  );
