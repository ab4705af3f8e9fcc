import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { between, mustBeOneOf, notNegative } from '../rules.ts';

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
  validate: validateLevel,
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

function validateLevel(level: PriorityLevelConfiguration): FieldError[] {
  const { type, limited, exempt } = level.spec ?? {};
  const errors = mustBeOneOf(type, ['Exempt', 'Limited'], 'spec.type');
  if (type === 'Limited' && !limited) errors.push(required('spec.limited', 'must not be empty when type is Limited'));
  if (type === 'Limited' && exempt) errors.push(forbiddenField('spec.exempt', 'must be nil if the type is Limited'));
  if (type === 'Exempt' && limited)
    errors.push(forbiddenField('spec.limited', 'must be nil if the type is not Limited'));
  for (const [name, shares] of Object.entries({ limited, exempt }))
    errors.push(
      ...notNegative(shares?.nominalConcurrencyShares, `spec.${name}.nominalConcurrencyShares`),
      ...between(shares?.lendablePercent, 0, 100, `spec.${name}.lendablePercent`),
    );
  if (!limited) return errors;
  const at = 'spec.limited.limitResponse';
  const { type: response, queuing: queues } = limited.limitResponse ?? {};
  errors.push(...mustBeOneOf(response, ['Queue', 'Reject'], `${at}.type`));
  if (response === 'Queue' && !queues)
    errors.push(required(`${at}.queuing`, 'must not be empty if limited.limitResponse.type is Queue'));
  if (response === 'Reject' && queues)
    errors.push(forbiddenField(`${at}.queuing`, 'must be nil if limited.limitResponse.type is not Limited'));
  if (queues && (queues.handSize ?? 0) > (queues.queues ?? 0))
    errors.push(bad(`${at}.queuing.handSize`, queues.handSize, `should not be greater than queues (${queues.queues})`));
  return errors;
}
