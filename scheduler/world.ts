import { CSINode } from '../api/kinds/csi-node.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PodDisruptionBudget } from '../api/kinds/pod-disruption-budget.ts';
import { Service } from '../api/kinds/service.ts';
import { StorageClass } from '../api/kinds/storage-class.ts';
import { compareQuantities } from '../api/quantity.ts';
import type { Informers } from '../client/informer.ts';
import type { Storage, World } from './plugin.ts';

/** What policies look up beside pods and nodes, from the informers' copies. */
export function worldOf(informers: Informers): World {
  const namespaces = informers.of(Namespace);
  const services = informers.of(Service);
  const budgets = informers.of(PodDisruptionBudget);
  const storage = storageOf(informers);
  return {
    storage,
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

function storageOf(informers: Informers): Storage {
  const claims = informers.of(PersistentVolumeClaim);
  const volumes = informers.of(PersistentVolume);
  const classes = informers.of(StorageClass);
  const nodes = informers.of(CSINode);
  const size = ({ spec }: PersistentVolume) => spec.capacity?.['storage'] ?? '0';
  return {
    claim: (namespace, name) => claims.get(`${namespace}/${name}`),
    volume: (name) => volumes.get(name),
    volumes: () => [...volumes.list()].sort((a, b) => compareQuantities(size(a), size(b))),
    storageClass: (name) => classes.get(name),
    attachLimits: (node) =>
      new Map(
        (nodes.get(node)?.spec.drivers ?? []).flatMap(({ name, allocatable }): [string, number][] =>
          allocatable?.count === undefined ? [] : [[name, allocatable.count]],
        ),
      ),
  };
}
