import { ageColumn, nameColumn, shortened } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { validateIngress, validateIngressClass } from '../validate-ingress.ts';

export interface Ingress extends KubeObject {
  spec?: {
    ingressClassName?: string;
    defaultBackend?: IngressBackend;
    tls?: { hosts?: string[]; secretName?: string }[];
    rules?: IngressRule[];
  };
  status?: {
    loadBalancer?: {
      ingress?: { ip?: string; hostname?: string; ports?: { port: number; protocol: string; error?: string }[] }[];
    };
  };
}

export interface IngressRule {
  host?: string;
  http?: { paths: { path?: string; pathType?: string; backend: IngressBackend }[] };
}

export interface IngressBackend {
  service?: { name: string; port?: { name?: string; number?: number } };
  resource?: { apiGroup?: string; kind: string; name: string };
}

export const Ingress = kind<Ingress>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  plural: 'ingresses',
  short: ['ing'],
  namespaced: true,
  subresources: ['status'],
  prepareCreate: (ingress) => {
    ingress.status = { loadBalancer: {} };
  },
  validate: validateIngress,
  validateRules: (ingress, old) => (old ? [] : validateIngressClass(ingress)),
  columns: [
    nameColumn,
    { name: 'Class', value: ({ spec }) => spec?.ingressClassName ?? '<none>' },
    {
      name: 'Hosts',
      value: ({ spec }) =>
        shortened(
          (spec?.rules ?? []).flatMap(({ host }) => host || []),
          '*',
        ),
    },
    {
      name: 'Address',
      value: ({ status }) =>
        (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip || hostname || []).join(','),
    },
    { name: 'Ports', value: ({ spec }) => (spec?.tls?.length ? '80, 443' : '80') },
    ageColumn,
  ],
});
