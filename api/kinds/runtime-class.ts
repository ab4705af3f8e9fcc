import { ageColumn, nameColumn } from '../columns.ts';
import { immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkDnsLabel } from '../names.ts';
import { validateToleration } from '../pod-spec-validate.ts';
import { each, mustBeNamed } from '../rules.ts';
import { validateLabels } from '../validate-meta.ts';
import type { Toleration } from './pod.ts';

export interface RuntimeClass extends KubeObject {
  handler: string;
  overhead?: { podFixed?: Record<string, string> };
  scheduling?: { nodeSelector?: Record<string, string>; tolerations?: Toleration[] };
}

export const RuntimeClass = kind<RuntimeClass>({
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  plural: 'runtimeclasses',
  namespaced: false,
  generation: false,
  unconditionalUpdate: false,
  validate: ({ handler, scheduling }) => [
    ...mustBeNamed(handler, checkDnsLabel, 'handler'),
    ...validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector'),
    ...each(scheduling?.tolerations, 'scheduling.tolerations', validateToleration),
  ],
  validateUpdate: ({ handler }, old) => (handler === old.handler ? [] : [immutable('handler', handler)]),
  columns: [nameColumn, { name: 'Handler', value: ({ handler }) => handler }, ageColumn],
});
