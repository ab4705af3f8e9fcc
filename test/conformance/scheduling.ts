import { byTitle, type Section } from './section.ts';

/** Where pods are placed. */
export const scheduling: Section = {
  covers: /^\[sig-scheduling\]/,
  specs: byTitle({
    'cluster/conformance-scheduling.test.ts': [
      'SchedulerPredicates validates resource limits of pods that are allowed to run',
      'SchedulerPredicates validates that NodeSelector is respected if not matching',
      'SchedulerPredicates validates that NodeSelector is respected if matching',
      'SchedulerPredicates validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP',
      'SchedulerPreemption validates basic preemption works',
      'SchedulerPreemption validates lower priority pod preemption by critical pod',
      'SchedulerPreemption PreemptionExecutionPath runs ReplicaSets to verify preemption running path',
      'SchedulerPreemption PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods',
      'LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.',
    ],
  }),
};
