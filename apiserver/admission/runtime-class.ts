import type { Pod, Toleration } from '../../api/kinds/pod.ts';
import type { KubeObject } from '../../api/meta.ts';
import { equal } from '../../lib/equal.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates, listIfServed, refusal } from './requests.ts';

interface RuntimeClass extends KubeObject {
  overhead?: { podFixed?: Record<string, string> };
  scheduling?: { nodeSelector?: Record<string, string>; tolerations?: Toleration[] };
}

/** A pod of a runtime class pays for its overhead and goes where that runtime is. */
export const runtimeClass = (feed: Feed): AdmissionRule => ({
  name: 'RuntimeClass',
  mutate: (request) => {
    if (!creates(request, 'pods')) return;
    const { spec } = request.object as Pod;
    const name = spec.runtimeClassName;
    if (!name) {
      if (spec.overhead)
        throw refusal(request, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
      return;
    }
    const found = listIfServed<RuntimeClass>(feed, { group: 'node.k8s.io', plural: 'runtimeclasses' }).find(
      ({ metadata }) => metadata.name === name,
    );
    if (!found) throw refusal(request, `pod rejected: RuntimeClass "${name}" not found`);
    const { overhead, scheduling } = found;
    if (spec.overhead && !equal(spec.overhead, overhead?.podFixed ?? {}))
      throw refusal(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    if (overhead?.podFixed) spec.overhead = { ...overhead.podFixed };
    for (const [key, value] of Object.entries(scheduling?.nodeSelector ?? {})) {
      if (spec.nodeSelector?.[key] !== undefined && spec.nodeSelector[key] !== value)
        throw refusal(
          request,
          `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${spec.nodeSelector[key]}`,
        );
      spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
    }
    const more = (scheduling?.tolerations ?? []).filter((one) => !spec.tolerations?.some((own) => equal(own, one)));
    if (more.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...structuredClone(more)];
  },
});
