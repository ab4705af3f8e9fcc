import type { Pod } from '../../api/kinds/pod.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates, namespaceOf, refusal } from './requests.ts';

const annotation = 'scheduler.alpha.kubernetes.io/node-selector';

/** A namespace's annotation keeps its pods on certain nodes. */
export const podNodeSelector = (feed: Feed): AdmissionRule => ({
  name: 'PodNodeSelector',
  mutate: (request) => {
    if (!creates(request, 'pods')) return;
    const { spec, metadata } = request.object as Pod;
    const text = namespaceOf(feed, metadata.namespace ?? '')?.metadata.annotations?.[annotation];
    if (!text) return;
    const wanted = Object.fromEntries(text.split(',').map((pair) => pair.trim().split(/=(.*)/s).slice(0, 2)));
    for (const [key, value] of Object.entries(spec.nodeSelector ?? {}))
      if (wanted[key] !== undefined && wanted[key] !== value)
        throw refusal(request, 'pod node label selector conflicts with its namespace node label selector');
    spec.nodeSelector = { ...spec.nodeSelector, ...wanted };
  },
});
