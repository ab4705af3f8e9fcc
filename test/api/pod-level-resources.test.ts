import { describe, expect, test } from '@jest/globals';
import type { Container, PodSpec } from '../../api/kinds/pod.ts';
import { defaultPod } from '../../api/pod-spec-defaults.ts';
import { validatePodSpec } from '../../api/pod-spec-validate.ts';
import { podRequests } from '../../api/pod-requests.ts';
import { podResources } from '../../api/pod-resources.ts';
import { qosClass } from '../../api/qos-class.ts';

type Amounts = Record<string, string>;
const container = (requests?: Amounts, limits?: Amounts): Container => ({
  name: 'c',
  image: 'i',
  resources: { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) },
});
const spec = (resources: { requests?: Amounts; limits?: Amounts }, ...containers: Container[]): PodSpec => {
  const made: PodSpec = { containers: containers.map((c, i) => ({ ...c, name: `c${i}` })), resources };
  defaultPod({ metadata: { name: 'p' }, spec: made });
  return made;
};
const errors = (made: PodSpec) => validatePodSpec(made, 'spec').map(({ field, detail }) => `${field}: ${detail}`);

describe('resources of a pod as a whole', () => {
  test('stand for those of its containers, with overhead on top', () => {
    const made = spec(
      { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
      container({ cpu: '100m', memory: '64Mi' }),
    );
    expect(made.resources!.requests).toEqual({ cpu: '1', memory: '64Mi' });
    made.overhead = { cpu: '250m' };
    expect(podRequests({ metadata: {}, spec: made })).toEqual({ cpu: 1250, memory: 64 * 2 ** 20 });
    expect(podResources(made, 'requests')).toEqual({ cpu: '1250m', memory: '64Mi' });
    expect(podResources(made, 'limits')).toEqual({ memory: '1Gi' });
  });

  test('are asked for as the limit, where nothing else is said', () => {
    expect(spec({ limits: { cpu: '2', memory: '1Gi' } }, container()).resources!.requests).toEqual({
      cpu: '2',
      memory: '1Gi',
    });
  });

  test('decide the class', () => {
    expect(qosClass(spec({ limits: { cpu: '2', memory: '1Gi' } }, container()))).toBe('Guaranteed');
    expect(qosClass(spec({ limits: { cpu: '2' } }, container()))).toBe('Burstable');
    expect(qosClass(spec({}, container()))).toBe('BestEffort');
  });

  test('hold what the containers ask for', () => {
    expect(errors(spec({ requests: { cpu: '100m' } }, container({ cpu: '80m' }), container({ cpu: '80m' })))).toEqual([
      'spec.resources.requests[cpu]: must be greater than or equal to aggregate container requests of 160m',
    ]);
    expect(errors(spec({ limits: { memory: '1Mi' } }, container(undefined, { memory: '1Mi' })))).toEqual([]);
    expect(errors(spec({ limits: { memory: '1Mi' } }, container({ memory: '0' }, { memory: '2Mi' })))).toEqual([
      'spec.containers[c0].resources.limits[memory]: must be less than or equal to pod limits of 1Mi',
    ]);
    expect(errors(spec({ requests: { cpu: '2' }, limits: { cpu: '1' } }, container()))).toEqual([
      'spec.resources.requests: must be less than or equal to cpu limit of 1',
    ]);
    expect(errors(spec({ limits: { 'ephemeral-storage': '1Gi' } }, container())).join()).toContain('spec.resources');
  });
});
