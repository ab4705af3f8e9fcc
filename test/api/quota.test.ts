import { expect, test } from '@jest/globals';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { ResourceQuota, ScopeRequirement } from '../../api/kinds/resource-quota.ts';
import { inScope } from '../../api/quota.ts';

// https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes

const container = { name: 'c', image: 'x' };
const pod = (spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name: 'p' },
  spec: { containers: [container], ...spec },
});
const asking = { containers: [{ ...container, resources: { requests: { cpu: '1' } } }] };
const near = (more: object) => ({
  affinity: {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 1, podAffinityTerm: { topologyKey: 'zone', labelSelector: {}, ...more } },
      ],
    },
  },
});
const by = (scopeName: string, operator: ScopeRequirement['operator'], ...values: string[]): ResourceQuota => ({
  metadata: { name: 'q' },
  spec: { scopeSelector: { matchExpressions: [{ scopeName, operator, ...(values.length > 0 ? { values } : {}) }] } },
});
const scopes = (...names: string[]): ResourceQuota => ({ metadata: { name: 'q' }, spec: { scopes: names } });

test.each<[ResourceQuota['spec'], Pod, boolean]>([
  [scopes('Terminating').spec, pod({ activeDeadlineSeconds: 0 }), true],
  [scopes('Terminating').spec, pod(), false],
  [scopes('NotTerminating').spec, pod(), true],
  [scopes('BestEffort').spec, pod(), true],
  [scopes('BestEffort').spec, pod(asking), false],
  [scopes('NotBestEffort').spec, pod(asking), true],
  [scopes('NotBestEffort', 'Terminating').spec, pod(asking), false],
  [by('PriorityClass', 'Exists').spec, pod({ priorityClassName: 'high' }), true],
  [by('PriorityClass', 'Exists').spec, pod(), false],
  [by('PriorityClass', 'DoesNotExist').spec, pod(), true],
  [by('PriorityClass', 'In', 'high', 'higher').spec, pod({ priorityClassName: 'high' }), true],
  [by('PriorityClass', 'In', 'high').spec, pod(), false],
  [by('PriorityClass', 'NotIn', 'high').spec, pod({ priorityClassName: 'high' }), false],
  [by('PriorityClass', 'NotIn', 'high').spec, pod({ priorityClassName: 'low' }), true],
  [by('PriorityClass', 'NotIn', 'high').spec, pod(), true],
  [by('CrossNamespacePodAffinity', 'Exists').spec, pod(near({ namespaces: ['other'] })), true],
  [by('CrossNamespacePodAffinity', 'Exists').spec, pod(near({ namespaceSelector: {} })), true],
  [by('CrossNamespacePodAffinity', 'Exists').spec, pod(near({})), false],
])('a quota with %j is about %j: %s', (spec, object, is) =>
  expect(inScope({ metadata: { name: 'q' }, ...(spec ? { spec } : {}) }, { group: '', plural: 'pods' }, object)).toBe(
    is,
  ),
);

test('a quota of volume attributes is about claims of its class, one of pods about no claim', () => {
  const claims = { group: '', plural: 'persistentvolumeclaims' };
  const claim: PersistentVolumeClaim = { metadata: { name: 'c' }, spec: { volumeAttributesClassName: 'gold' } };
  expect(inScope(by('VolumeAttributesClass', 'In', 'gold'), claims, claim)).toBe(true);
  expect(inScope(by('VolumeAttributesClass', 'In', 'silver'), claims, claim)).toBe(false);
  expect(inScope(scopes('BestEffort'), claims, claim)).toBe(false);
  expect(inScope(scopes(), claims, claim)).toBe(true);
});
