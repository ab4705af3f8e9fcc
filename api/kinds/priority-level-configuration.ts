import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';

export interface PriorityLevelConfiguration extends KubeObject {
  spec?: {
    type: 'Limited' | 'Exempt';
    limited?: Shares & {
      borrowingLimitPercent?: number;
      limitResponse?: { type?: 'Queue' | 'Reject'; queuing?: Queuing };
    };
    exempt?: Shares;
  };
  status?: { conditions?: Condition[] };
}

interface Shares {
  nominalConcurrencyShares?: number;
  lendablePercent?: number;
}

interface Queuing {
  queues?: number;
  handSize?: number;
  queueLengthLimit?: number;
}

const queuing = ({ spec }: PriorityLevelConfiguration): Queuing => spec?.limited?.limitResponse?.queuing ?? {};
const shown = (value: number | undefined): string => (value === undefined ? '<none>' : String(value));

export const PriorityLevelConfiguration = kind<PriorityLevelConfiguration>({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'PriorityLevelConfiguration',
  plural: 'prioritylevelconfigurations',
  namespaced: false,
  subresources: ['status'],
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (spec?.exempt) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (!spec?.limited) return;
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queues = spec.limited.limitResponse?.queuing;
    if (!queues) return;
    queues.handSize ||= 8;
    queues.queues ||= 64;
    queues.queueLengthLimit ||= 50;
  },
  prepareCreate: (level) => {
    level.status = {};
  },
  columns: [
    nameColumn,
    { name: 'Type', value: ({ spec }) => spec?.type ?? '' },
    { name: 'NominalConcurrencyShares', value: ({ spec }) => shown(spec?.limited?.nominalConcurrencyShares) },
    { name: 'Queues', value: (level) => shown(queuing(level).queues) },
    { name: 'HandSize', value: (level) => shown(queuing(level).handSize) },
    { name: 'QueueLengthLimit', value: (level) => shown(queuing(level).queueLengthLimit) },
    ageColumn,
  ],
});
