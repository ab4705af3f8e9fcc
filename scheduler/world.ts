import { CSIDriver } from '../api/kinds/csi-driver.ts';
import { CSINode } from '../api/kinds/csi-node.ts';
import { CSIStorageCapacity } from '../api/kinds/csi-storage-capacity.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PodDisruptionBudget } from '../api/kinds/pod-disruption-budget.ts';
import { Service } from '../api/kinds/service.ts';
import { StorageClass } from '../api/kinds/storage-class.ts';
import type { Stored } from '../api/meta.ts';
import { compareQuantities } from '../api/quantity.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Change, Informers } from '../client/informer.ts';
import { equal } from '../lib/equal.ts';
import type { Storage, World } from './plugin.ts';
import { selects } from './pod-selection.ts';

/** What policies look up beside pods and nodes, from the informers' copies. */
export function worldOf(informers: Informers): World & { storage: Storage } {
  const namespaces = informers.of(Namespace);
  const services = informers.of(Service);
  const budgets = informers.of(PodDisruptionBudget);
  const storage = storageOf(informers);
  let namespaceChanges = 0;
  namespaces.on((change) => {
    if (isRelabelled(change)) namespaceChanges += 1;
  });
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
    namespaceChanges: () => namespaceChanges,
    serviceSelectors: (namespace) =>
      [...services.list()].flatMap(({ metadata, spec }) =>
        metadata.namespace === namespace && spec?.selector ? [spec.selector] : [],
      ),
  };
}

/** Says which pods may fit now that did not, whenever something changes that policies look up; pods and nodes aside. */
export function followWorld(informers: Informers, changed: (helps: (pod: Pod) => boolean) => void): void {
  informers
    .of(PersistentVolumeClaim)
    .on(({ object: { metadata } }) =>
      changed((pod) => pod.metadata.namespace === metadata.namespace && claimNames(pod).includes(metadata.name)),
    );
  const anyVolume = () => changed((pod) => claimNames(pod).length > 0);
  informers.of(PersistentVolume).on(anyVolume);
  informers.of(StorageClass).on(anyVolume);
  informers.of(CSINode).on(anyVolume);
  informers.of(CSIDriver).on(anyVolume);
  informers.of(CSIStorageCapacity).on(anyVolume);
  informers.of(Service).on((change) => {
    const old = change.type === 'updated' ? change.old.spec?.selector : undefined;
    const { metadata, spec } = change.object;
    if (equal(spec?.selector, old)) return;
    const selectors = [spec?.selector, old].filter((selector) => selector !== undefined);
    changed((pod) => pod.metadata.namespace === metadata.namespace && selectors.some((one) => selects(one, pod)));
  });
  informers.of(Namespace).on((change) => {
    if (isRelabelled(change)) changed(namesNamespaces);
  });
}

const isRelabelled = (change: Change<Namespace>): boolean =>
  change.type !== 'updated' || !equal(change.object.metadata.labels, change.old.metadata.labels);

/** By their labels, in what it wants to be near to or away from. */
const namesNamespaces = ({ spec: { affinity = {} } }: Pod): boolean =>
  JSON.stringify([affinity.podAffinity, affinity.podAntiAffinity]).includes('"namespaceSelector"');

function storageOf(informers: Informers): Storage {
  const claims = informers.of(PersistentVolumeClaim);
  const volumes = informers.of(PersistentVolume);
  const classes = informers.of(StorageClass);
  const nodes = informers.of(CSINode);
  const drivers = informers.of(CSIDriver);
  const capacities = informers.of(CSIStorageCapacity);
  const size = ({ spec }: PersistentVolume) => spec.capacity?.['storage'] ?? '0';
  const smallerFirst = (a: PersistentVolume & Stored, b: PersistentVolume & Stored) =>
    compareQuantities(size(a), size(b)) || (a.metadata.name < b.metadata.name ? -1 : 1);
  return {
    claim: (namespace, name) => claims.get(`${namespace}/${name}`),
    volume: (name) => volumes.get(name),
    volumes: () => [...volumes.list()].sort(smallerFirst),
    storageClass: (name) => classes.get(name),
    capacities: ({ metadata, provisioner }) =>
      drivers.get(provisioner)?.spec.storageCapacity
        ? [...capacities.list()].filter(({ storageClassName }) => storageClassName === metadata.name)
        : undefined,
    attachLimits: (node) =>
      new Map(
        (nodes.get(node)?.spec.drivers ?? []).flatMap(({ name, allocatable }): [string, number][] =>
          allocatable?.count === undefined ? [] : [[name, allocatable.count]],
        ),
      ),
  };
}
