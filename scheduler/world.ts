import { Namespace } from '../api/kinds/namespace.ts';
import { PodDisruptionBudget } from '../api/kinds/pod-disruption-budget.ts';
import { Service } from '../api/kinds/service.ts';
import type { Informers } from '../client/informer.ts';
import type { World } from './plugin.ts';

/** What policies look up beside pods and nodes, from the informers' copies. */
export function worldOf(informers: Informers): World {
  const namespaces = informers.of(Namespace);
  const services = informers.of(Service);
  const budgets = informers.of(PodDisruptionBudget);
  return {
    budgets: () =>
      [...budgets.list()].map(({ metadata, spec, status }) => ({
        namespace: metadata.namespace ?? '',
        selector: spec?.selector,
        allowed: status?.disruptionsAllowed ?? 0,
        disrupted: new Set(Object.keys(status?.disruptedPods ?? {})),
      })),
    namespaceLabels: (name) => namespaces.get(name)?.metadata.labels,
    serviceSelectors: (namespace) =>
      [...services.list()].flatMap(({ metadata, spec }) =>
        metadata.namespace === namespace && spec?.selector ? [spec.selector] : [],
      ),
  };
}
