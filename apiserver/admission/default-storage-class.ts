import type { KubeObject } from '../../api/meta.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates, defaultOf, listIfServed } from './requests.ts';

/** A claim that names no storage class gets the default one, if there is one. */
export const defaultStorageClass = (feed: Feed): AdmissionRule => ({
  name: 'DefaultStorageClass',
  mutate: (request) => {
    if (!creates(request, 'persistentvolumeclaims')) return;
    const { spec, metadata } = request.object as KubeObject & { spec?: { storageClassName?: string } };
    const old = 'volume.beta.kubernetes.io/storage-class';
    if (!spec || spec.storageClassName !== undefined || metadata.annotations?.[old] !== undefined) return;
    const classes = listIfServed(feed, { group: 'storage.k8s.io', plural: 'storageclasses' });
    const name = defaultOf(classes, 'storageclass.kubernetes.io/is-default-class')?.metadata.name;
    if (name) spec.storageClassName = name;
  },
});
