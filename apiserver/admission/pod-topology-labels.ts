import { Node } from '../../api/kinds/node.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates } from './requests.ts';

const copied = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone'];

/**
 * A pod that gets its node gets the node's region and zone as labels, so that the downward API can show them. The node's
 * word counts: nobody can claim another place. https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#podtopologylabels
 */
export function podTopologyLabels(feed: Feed): AdmissionRule {
  return {
    name: 'PodTopologyLabels',
    mutate: (request) => {
      const isBinding = request.operation === 'update' && request.options.subresource === 'binding';
      if (!isBinding && !creates(request, 'pods')) return;
      const { metadata, spec } = request.object as Pod;
      const labels = spec.nodeName && feed.cache(Node).get(spec.nodeName)?.object.metadata.labels;
      if (!labels) return;
      const place = copied.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]] as const]));
      if (place.length > 0) metadata.labels = { ...metadata.labels, ...Object.fromEntries(place) };
    },
  };
}
