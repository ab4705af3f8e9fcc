import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, required } from '../field-error.ts';
import { checkPathSegment } from '../names.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';

/** A group version, and who serves it: this server (no service) or another one behind a Service. */
export interface APIService extends KubeObject {
  spec: {
    group?: string;
    version?: string;
    service?: { namespace?: string; name?: string; port?: number };
    /** PEM, base64. */
    caBundle?: string;
    insecureSkipTLSVerify?: boolean;
    groupPriorityMinimum: number;
    versionPriority: number;
  };
  status?: { conditions?: Condition[] };
}

const available = ({ status }: APIService): Condition | undefined =>
  status?.conditions?.find(({ type }) => type === 'Available');

export const APIService = kind<APIService>({
  group: 'apiregistration.k8s.io',
  version: 'v1',
  kind: 'APIService',
  plural: 'apiservices',
  categories: ['api-extensions'],
  namespaced: false,
  subresources: ['status'],
  // `v1.` is the name of the core group's.
  checkName: checkPathSegment,
  defaults: ({ spec }) => {
    if (spec?.service) spec.service.port ??= 443;
  },
  prepareCreate: (service) => {
    service.status = spec(service).service ? {} : { conditions: [localCondition()] };
  },
  validate: (service) => {
    const {
      group = '',
      version = '',
      service: reference,
      caBundle,
      insecureSkipTLSVerify,
      groupPriorityMinimum,
      versionPriority,
    } = spec(service);
    const errors: FieldError[] = [];
    const name = `${version}.${group}`;
    if (service.metadata.name !== name)
      errors.push(bad('metadata.name', service.metadata.name, `must be \`spec.version+"."+spec.group\`: "${name}"`));
    if (!version) errors.push(required('spec.version'));
    if (groupPriorityMinimum <= 0 || groupPriorityMinimum > 20_000)
      errors.push(bad('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000'));
    if (versionPriority <= 0 || versionPriority > 1000)
      errors.push(bad('spec.versionPriority', versionPriority, 'must be positive and less than 1000'));
    if (!reference) {
      if (caBundle)
        errors.push(bad('spec.caBundle', `${caBundle.length} bytes`, 'local APIServices may not have a caBundle'));
      if (insecureSkipTLSVerify)
        errors.push(bad('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'));
      return errors;
    }
    if (!reference.namespace) errors.push(required('spec.service.namespace'));
    if (!reference.name) errors.push(required('spec.service.name'));
    if (insecureSkipTLSVerify && caBundle)
      errors.push(forbiddenField('spec.insecureSkipTLSVerify', 'may not be true if caBundle is present'));
    return errors;
  },
  columns: [
    nameColumn,
    { name: 'Service', value: ({ spec: { service } }) => (service ? `${service.namespace}/${service.name}` : 'Local') },
    {
      name: 'Available',
      value: (service) => {
        const condition = available(service);
        if (!condition) return 'Unknown';
        return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason})`;
      },
    },
    ageColumn,
  ],
});

const spec = (service: APIService): APIService['spec'] =>
  service.spec ?? { groupPriorityMinimum: 0, versionPriority: 0 };

/** What is said of a group version that this server serves itself. */
export const localCondition = (): Condition => ({
  type: 'Available',
  status: 'True',
  reason: 'Local',
  message: 'Local APIServices are always available',
});
