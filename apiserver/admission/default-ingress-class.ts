import type { KubeObject } from '../../api/meta.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { creates, listIfServed, refusal } from './requests.ts';

const annotation = 'ingressclass.kubernetes.io/is-default-class';

/** An ingress that names no class gets the default one; two defaults are one too many. */
export const defaultIngressClass = (feed: Feed): AdmissionRule => ({
  name: 'DefaultIngressClass',
  mutate: (request) => {
    if (!creates(request, 'ingresses', 'networking.k8s.io')) return;
    const { spec, metadata } = request.object as KubeObject & { spec?: { ingressClassName?: string } };
    if (!spec || spec.ingressClassName !== undefined) return;
    if (metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return;
    const classes = listIfServed(feed, { group: 'networking.k8s.io', plural: 'ingressclasses' });
    const defaults = classes.filter((one) => one.metadata.annotations?.[annotation] === 'true');
    if (defaults.length > 1)
      throw refusal(request, `${defaults.length} default IngressClasses were found, only 1 allowed`);
    if (defaults[0]) spec.ingressClassName = defaults[0].metadata.name!;
  },
});
