import { HorizontalPodAutoscaler, type MetricStatus } from '../api/kinds/horizontal-pod-autoscaler.ts';
import { Pod } from '../api/kinds/pod.ts';
import { type Condition, type Stored, timestamp } from '../api/meta.ts';
import { matches, parseLabelSelector } from '../api/selector.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { type Bounded, type Memory, bounded } from './common/autoscale.ts';
import { byNamespace } from './common/ownership.ts';
import { type Proposal, propose } from './common/pod-metrics.ts';
import { type Scalable, type Scale, Scales } from './common/scales.ts';

type Autoscaler = HorizontalPodAutoscaler & Stored;
type Verdict = [type: string, status: 'True' | 'False', reason: string, message: string];

/** Milliseconds between two looks at the metrics. */
const period = 15_000;
const longestWindow = 3_600_000;

/** Sizes anything that has a scale subresource by what its pods use. */
export function horizontalPodAutoscaler(world: World): Reconciler {
  const { client, informer, events, now } = world;
  const all = informer(HorizontalPodAutoscaler);
  const pods = informer(Pod, { indexes: byNamespace });
  const scales = new Scales(client, now);
  const memories = new Map<string, Memory>();

  const memoryOf = (key: string): Memory => {
    const memory = memories.get(key) ?? { recommended: [], steps: [] };
    const recent = ({ at }: { at: number }) => at > now() - longestWindow;
    const kept = { recommended: memory.recommended.filter(recent), steps: memory.steps.filter(recent) };
    memories.set(key, kept);
    return kept;
  };

  const ask = async (autoscaler: Autoscaler, scale: Scale, current: number, signal: AbortSignal) => {
    const namespace = autoscaler.metadata.namespace!;
    const selector = scale.status?.selector ?? '';
    const requirements = parseLabelSelector(selector);
    const own = pods.by('namespace', namespace).filter(({ metadata }) => matches(requirements, metadata.labels));
    const metrics = autoscaler.spec.metrics ?? [];
    const resourceOf = (object: Scalable) => scales.resourceOf(object, signal);
    const scaled = { namespace, selector, pods: own, current, resourceOf };
    const answers = await Promise.allSettled(metrics.map((metric) => propose(client, metric, scaled, signal)));
    signal.throwIfAborted();
    const proposals = answers.flatMap((answer): Proposal[] => (answer.status === 'fulfilled' ? [answer.value] : []));
    const failed = answers.findIndex(({ status }) => status === 'rejected');
    const [answer] = failed < 0 ? [] : answers.slice(failed);
    const error = answer?.status === 'rejected' ? (answer.reason as Error) : undefined;
    return { proposals, error, source: metrics[failed]?.type ?? '' };
  };

  const write = async (
    { metadata, status: before, spec }: Autoscaler,
    verdicts: readonly Verdict[],
    counts: { current: number; desired: number; metrics?: MetricStatus[]; scaled?: boolean },
    signal: AbortSignal,
  ) => {
    const conditions = new Map((before?.conditions ?? []).map((condition) => [condition.type, condition]));
    for (const [type, status, reason, message] of verdicts) {
      const known = conditions.get(type);
      const lastTransitionTime = known?.status === status ? known.lastTransitionTime : timestamp(now());
      conditions.set(type, { type, status, reason, message, lastTransitionTime } as Condition);
    }
    const status = {
      ...before,
      ...(spec && metadata.generation ? { observedGeneration: metadata.generation } : {}),
      currentReplicas: counts.current,
      desiredReplicas: counts.desired,
      ...(counts.metrics ? { currentMetrics: counts.metrics } : {}),
      ...(counts.scaled ? { lastScaleTime: timestamp(now()) } : {}),
      conditions: [...conditions.values()],
    };
    if (!equal(status, before))
      await client.patch(HorizontalPodAutoscaler, metadata, { status }, { subresource: 'status' }, signal);
  };

  return {
    name: 'horizontal-pod-autoscaler',
    watches: [
      watching(all, ({ type, object, ...change }) => {
        const key = `${object.metadata.namespace}/${object.metadata.name}`;
        if (type === 'deleted') memories.delete(key);
        return type === 'updated' && equal((change as { old?: Autoscaler }).old?.spec, object.spec) ? [] : [key];
      }),
    ],
    async reconcile(key, signal) {
      const autoscaler = all.get(key);
      if (!autoscaler || autoscaler.metadata.deletionTimestamp) return;
      const { scaleTargetRef: target, minReplicas = 1, maxReplicas } = autoscaler.spec;
      const { namespace = '', name } = autoscaler.metadata;
      const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
        events.record(
          {
            apiVersion: 'autoscaling/v2',
            kind: 'HorizontalPodAutoscaler',
            metadata: { name, namespace, uid: autoscaler.metadata.uid },
          },
          type,
          reason,
          message,
        );
      const scale = await scales.get(namespace, target, signal);
      if (!scale) {
        const message = `the HPA controller was unable to get the target's current scale: ${target.kind} ${target.name} not found`;
        tell('Warning', 'FailedGetScale', message);
        const { currentReplicas: current = 0, desiredReplicas: desired = 0 } = autoscaler.status ?? {};
        await write(autoscaler, [['AbleToScale', 'False', 'FailedGetScale', message]], { current, desired }, signal);
        return { again: period };
      }
      const current = scale.spec?.replicas ?? 0;
      const able: Verdict = [
        'AbleToScale',
        'True',
        'SucceededGetScale',
        "the HPA controller was able to get the target's current scale",
      ];
      if (current === 0 && minReplicas > 0) {
        const off: Verdict = [
          'ScalingActive',
          'False',
          'ScalingDisabled',
          'scaling is disabled since the replica count of the target is zero',
        ];
        await write(autoscaler, [able, off], { current, desired: 0 }, signal);
        return { again: period };
      }
      const memory = memoryOf(key);
      const isOutside = current > maxReplicas || current < minReplicas;
      const { proposals, error, source } = isOutside
        ? { proposals: [], error: undefined, source: '' }
        : await ask(autoscaler, scale, current, signal);
      const wished = Math.max(...proposals.map(({ replicas }) => replicas));
      // What is not known may be a reason to stay, never one to shrink.
      if (!isOutside && (proposals.length === 0 || (error && wished <= current))) {
        const reason = `FailedGet${source}Metric`;
        const message = `the HPA was unable to compute the replica count: ${error?.message ?? 'there are no metrics'}`;
        tell('Warning', reason, message);
        await write(
          autoscaler,
          [able, ['ScalingActive', 'False', reason, message]],
          { current, desired: current },
          signal,
        );
        return { again: period };
      }
      const clamp = Math.min(maxReplicas, Math.max(minReplicas, current));
      if (!isOutside) memory.recommended.push({ at: now(), replicas: wished });
      const decided: Bounded = isOutside
        ? { replicas: clamp }
        : bounded(autoscaler.spec, current, wished, memory, now());
      const isStep = decided.replicas !== current;
      if (isStep) {
        await scales.set(namespace, target, scale, decided.replicas, signal);
        memory.steps.push({ at: now(), change: decided.replicas - current });
        tell(
          'Normal',
          'SuccessfulRescale',
          `New size: ${decided.replicas}; reason: ${isOutside ? 'the current size is out of bounds' : 'metrics'}`,
        );
      }
      await write(
        autoscaler,
        [
          isStep
            ? [
                'AbleToScale',
                'True',
                'SucceededRescale',
                `the HPA controller was able to update the target scale to ${decided.replicas}`,
              ]
            : decided.stabilized
              ? [
                  'AbleToScale',
                  'True',
                  'ScaleDownStabilized',
                  'recent recommendations were higher than current one, applying the highest recent recommendation',
                ]
              : ['AbleToScale', 'True', 'ReadyForNewScale', 'recommended size matches current size'],
          ...(isOutside
            ? []
            : [
                [
                  'ScalingActive',
                  'True',
                  'ValidMetricFound',
                  'the HPA was able to successfully calculate a replica count',
                ] as Verdict,
              ]),
          decided.limited
            ? [
                'ScalingLimited',
                'True',
                decided.limited,
                'the desired replica count is beyond what bounds or policies allow',
              ]
            : ['ScalingLimited', 'False', 'DesiredWithinRange', 'the desired count is within the acceptable range'],
        ],
        { current, desired: decided.replicas, metrics: proposals.map(({ status }) => status), scaled: isStep },
        signal,
      );
      return { again: period };
    },
  };
}
