import { PriorityClass } from '../../api/kinds/priority-class.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { creates, refusal, writes } from './requests.ts';

/**
 * A pod's priority is that of the class it names, or of the default one.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
 */
export const priority = (feed: Feed): AdmissionRule => {
  const classes = () =>
    feed
      .cache(PriorityClass)
      .list()
      .map(({ object }) => object as Readonly<PriorityClass>);
  return {
    name: 'Priority',
    mutate: (request) => (creates(request, 'pods') ? prioritize(request, classes()) : undefined),
    validate: (request) => {
      if (!writes(request, 'priorityclasses', 'scheduling.k8s.io')) return;
      const one = request.object as PriorityClass;
      if (!one.globalDefault) return;
      const other = classes().find(
        ({ globalDefault, metadata }) => globalDefault && metadata.name !== one.metadata.name,
      );
      if (other)
        throw refusal(
          request,
          `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
        );
    },
  };
};

function prioritize(request: AdmissionRequest, classes: readonly Readonly<PriorityClass>[]): void {
  const { spec } = request.object as Pod & { spec: { preemptionPolicy?: string } };
  const asked = spec.priorityClassName;
  // Several defaults cannot be, but if they are, the lowest is meant.
  const chosen = asked
    ? classes.find(({ metadata }) => metadata.name === asked)
    : classes.filter(({ globalDefault }) => globalDefault).sort((a, b) => a.value - b.value)[0];
  if (asked && !chosen) throw refusal(request, `no PriorityClass with name ${asked} was found`);
  const value = chosen?.value ?? 0;
  const policy = chosen?.preemptionPolicy ?? 'PreemptLowerPriority';
  if (chosen && !asked) spec.priorityClassName = chosen.metadata.name!;
  if (spec.priority !== undefined && spec.priority !== value)
    throw refusal(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy)
    throw refusal(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
    );
  spec.priority = value;
  spec.preemptionPolicy = policy;
}
