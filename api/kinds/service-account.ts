import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

export interface ServiceAccount extends KubeObject {
  secrets?: { name?: string }[];
  imagePullSecrets?: { name: string }[];
  automountServiceAccountToken?: boolean;
}

export const ServiceAccount = kind<ServiceAccount>({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  short: ['sa'],
  namespaced: true,
  subresources: ['token'],
  generation: false,
  columns: [
    nameColumn,
    { name: 'Secrets', type: 'string', value: (account) => account.secrets?.length ?? 0 },
    ageColumn,
  ],
});
