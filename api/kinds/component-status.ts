import { nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

/** Never kept: made when asked for. */
export interface ComponentStatus extends KubeObject {
  conditions?: { type: 'Healthy'; status: 'True' | 'False' | 'Unknown'; message?: string; error?: string }[];
}

const healthy = ({ conditions = [] }: ComponentStatus) => conditions.find(({ type }) => type === 'Healthy');

export const ComponentStatus = kind<ComponentStatus>({
  group: '',
  version: 'v1',
  kind: 'ComponentStatus',
  plural: 'componentstatuses',
  short: ['cs'],
  namespaced: false,
  verbs: ['get', 'list'],
  deprecation: 'v1 ComponentStatus is deprecated in v1.19+',
  columns: [
    nameColumn,
    {
      name: 'Status',
      value: (component) => {
        const condition = healthy(component);
        return !condition ? 'Unknown' : condition.status === 'True' ? 'Healthy' : 'Unhealthy';
      },
    },
    { name: 'Message', value: (component) => healthy(component)?.message ?? '' },
    { name: 'Error', value: (component) => healthy(component)?.error ?? '' },
  ],
});
