import { describe, expect, test } from '@jest/globals';
import { kindOf, lines, made } from './made.ts';

// https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/

const spec = (members: object) => ({ spec: members });
const devices = (members: object) => spec({ devices: members });
const exactly = (members: object) => ({ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com', ...members } });
const request = (members: object) => devices({ requests: [exactly(members)] });
const opaque = { driver: 'gpu.example.com', parameters: { a: 1 } };
const pod = (members: object) => spec({ containers: [{ name: 'c', image: 'i' }], ...members });
const claim = 'resource.k8s.io/v1/ResourceClaim';
const slice = 'resource.k8s.io/v1/ResourceSlice';

test('a request is for one device unless told, and tolerations for equal values', () => {
  expect(made(claim, request({ tolerations: [{ key: 'a' }] }))).toMatchObject(
    request({ allocationMode: 'ExactCount', count: 1, tolerations: [{ key: 'a', operator: 'Equal' }] }),
  );
  expect(made(claim, request({ allocationMode: 'All' }))).not.toHaveProperty('spec.devices.requests[0].exactly.count');
});

describe('a create is refused', () => {
  test.each<[id: string, patch: object, says: string]>([
    [claim, devices({ requests: [{ name: 'A', exactly: null }] }), 'spec.devices.requests[0].name: Invalid value: "A"'],
    [
      claim,
      devices({ requests: [{ name: 'a' }] }),
      'spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required',
    ],
    [
      claim,
      devices({ requests: [{ ...exactly({}), firstAvailable: [{ name: 'a', deviceClassName: 'x' }] }] }),
      'exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set',
    ],
    [claim, devices({ requests: [exactly({}), exactly({})] }), 'spec.devices.requests[1].name: Duplicate value: "gpu"'],
    [
      claim,
      devices({ requests: Array.from({ length: 33 }, (_, i) => ({ ...exactly({}), name: `r${i}` })) }),
      'spec.devices.requests: Too many: 33: must have at most 32 items',
    ],
    [claim, request({ deviceClassName: '' }), 'spec.devices.requests[0].exactly.deviceClassName: Required value'],
    [
      claim,
      request({ count: 0 }),
      'spec.devices.requests[0].exactly.count: Invalid value: 0: must be greater than zero',
    ],
    [
      claim,
      request({ allocationMode: 'All', count: 2 }),
      "count: Invalid value: 2: must not be specified when allocationMode is 'All'",
    ],
    [claim, request({ allocationMode: 'Some' }), 'allocationMode: Unsupported value: "Some"'],
    [claim, request({ selectors: [{}] }), 'spec.devices.requests[0].exactly.selectors[0].cel: Required value'],
    [
      claim,
      request({ selectors: [{ cel: { expression: 'device.driver ==' } }] }),
      'spec.devices.requests[0].exactly.selectors[0].cel.expression: Invalid value',
    ],
    [
      claim,
      request({ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }),
      'value: Invalid value: "b": must be empty for operator `Exists`',
    ],
    [
      claim,
      devices({ constraints: [{ requests: ['other'], matchAttribute: 'gpu.example.com/model' }] }),
      'spec.devices.constraints[0].requests[0]: Invalid value: "other": must be the name of a request in the claim',
    ],
    [
      claim,
      devices({ constraints: [{ matchAttribute: 'model' }] }),
      'spec.devices.constraints[0].matchAttribute: Invalid value: "model": must include a domain',
    ],
    [claim, devices({ config: [{ requests: ['gpu'] }] }), 'spec.devices.config[0].opaque: Required value'],
    [
      'resource.k8s.io/v1/ResourceClaimTemplate',
      spec({ spec: { devices: { requests: [{ name: 'a' }] } } }),
      'spec.spec.devices.requests[0]: Required value',
    ],
    [
      'resource.k8s.io/v1/DeviceClass',
      spec({ config: [{ opaque: { ...opaque, driver: 'No' } }] }),
      'spec.config[0].opaque.driver: Invalid value: "No"',
    ],
    [slice, spec({ nodeName: null }), 'spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes` or'],
    [slice, spec({ allNodes: true }), 'is required, but multiple fields are set'],
    [slice, spec({ driver: null }), 'spec.driver: Required value'],
    [slice, spec({ pool: { name: 'a/B' } }), 'spec.pool.name: Invalid value: "B"'],
    [slice, spec({ pool: { resourceSliceCount: 0 } }), 'spec.pool.resourceSliceCount: Invalid value: 0'],
    [slice, spec({ devices: [{ name: 'a' }, { name: 'a' }] }), 'spec.devices[1].name: Duplicate value: "a"'],
    [
      slice,
      spec({ devices: [{ name: 'a', taints: [{ key: 'b', effect: 'Never' }] }] }),
      'spec.devices[0].taints[0].effect: Unsupported value: "Never"',
    ],
    [
      'v1/Pod',
      pod({ resourceClaims: [{ name: 'gpu' }] }),
      'spec.resourceClaims[0]: Invalid value: {}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
    ],
    [
      'v1/Pod',
      pod({ resourceClaims: [{ name: 'gpu', resourceClaimName: 'a', resourceClaimTemplateName: 'b' }] }),
      'at most one of `resourceClaimName`, `resourceClaimTemplateName` may be specified',
    ],
    [
      'v1/Pod',
      pod({ containers: [{ name: 'c', image: 'i', resources: { claims: [{ name: 'gpu' }] } }] }),
      'spec.containers[0].resources.claims[0]: Not found: "gpu"',
    ],
  ])('%s with %j', (id, patch, says) => {
    expect(lines(kindOf(id).validate?.(made(id, patch))).join('\n')).toContain(says);
  });
});

describe('a claim', () => {
  const allocation = { devices: { results: [{ request: 'gpu', driver: 'd', pool: 'p', device: 'x' }] } };
  const user = { resource: 'pods', name: 'p', uid: 'u' };
  const having = (status: object) => ({ ...made(claim), status });
  const rules = kindOf(claim);

  test('stays as it is, and so does what it was given, until that is taken away', () => {
    expect(lines(rules.validateUpdate?.(made(claim, request({ count: 2 })), made(claim))).join()).toContain(
      'field is immutable',
    );
    const other = { devices: { results: [] } };
    expect(lines(rules.validateUpdate?.(having({ allocation: other }), having({ allocation }))).join()).toContain(
      'status.allocation: Invalid value',
    );
    expect(rules.validateUpdate?.(having({}), having({ allocation }))).toEqual([]);
  });

  test('is reserved for somebody only when there is something', () => {
    expect(lines(rules.validate?.(having({ reservedFor: [user] })))).toEqual([
      'status.reservedFor: Forbidden: may not be specified when `allocated` is not set',
    ]);
    expect(lines(rules.validate?.(having({ allocation, reservedFor: [user, user] })))).toEqual([
      'status.reservedFor[1].uid: Duplicate value: "u"',
    ]);
  });

  test('says how it stands', () => {
    const state = (status: object) => rules.columns?.find(({ name }) => name === 'State')?.value(having(status), 0);
    expect([{}, { allocation }, { allocation, reservedFor: [user] }].map(state)).toEqual([
      'pending',
      'allocated',
      'allocated,reserved',
    ]);
  });
});
