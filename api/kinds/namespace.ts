import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { checkDnsLabel } from '../names.ts';

export interface Namespace extends KubeObject {
  spec?: { finalizers?: string[] };
  status?: { phase?: 'Active' | 'Terminating'; conditions?: Condition[] };
}

export const Namespace = kind<Namespace>({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  short: ['ns'],
  namespaced: false,
  subresources: ['status', 'finalize'],
  generation: false,
  checkName: checkDnsLabel,
  defaults: (namespace) => {
    if (!namespace.metadata.name) return;
    namespace.metadata.labels = {
      ...namespace.metadata.labels,
      'kubernetes.io/metadata.name': namespace.metadata.name,
    };
  },
  prepareCreate: (namespace) => {
    const finalizers = namespace.spec?.finalizers ?? [];
    namespace.spec = { finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'] };
    namespace.status = { phase: 'Active' };
  },
  prepareUpdate: (namespace, old) => {
    namespace.spec = { finalizers: old.spec?.finalizers ?? [] };
  },
  columns: [nameColumn, { name: 'Status', value: (namespace) => namespace.status?.phase ?? '' }, ageColumn],
  selectableFields: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
});
