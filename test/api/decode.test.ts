import { expect, test } from '@jest/globals';
import { DecodeContext, decoderOf } from '../../api/decode.ts';

function decode(definition: string, value: unknown) {
  const context = new DecodeContext();
  return { value: decoderOf(definition)(structuredClone(value), context), unknown: context.unknown };
}
const pod = (spec: unknown) => decode('io.k8s.api.core.v1.Pod', { metadata: { name: 'a' }, spec });

test('drops nulls and unknown fields and says where they were', () => {
  const { value, unknown } = pod({ containers: [{ name: 'c', foo: 1, image: null }], bar: {} });
  expect(value).toEqual({ metadata: { name: 'a' }, spec: { containers: [{ name: 'c' }] } });
  expect(unknown).toEqual(['spec.containers[0].foo', 'spec.bar']);
});

test('refuses wrong types in the words of Go', () => {
  expect(() => pod({ containers: 'x' })).toThrow(
    'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
  );
  expect(() => pod({ containers: [{ name: 1 }] })).toThrow(
    'json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string',
  );
  expect(() => decode('io.k8s.api.core.v1.ConfigMap', { data: { a: 1 } })).toThrow(
    'cannot unmarshal number into Go struct field ConfigMap.data of type string',
  );
  expect(() => decode('io.k8s.api.core.v1.Secret', { data: { a: '!' } })).toThrow(
    'illegal base64 data at input byte 0',
  );
});

test('brings quantities and times into their canonical form', () => {
  const { value } = pod({ containers: [{ name: 'c', resources: { limits: { cpu: 0.5, memory: '1024Mi' } } }] });
  expect(value).toMatchObject({ spec: { containers: [{ resources: { limits: { cpu: '500m', memory: '1Gi' } } }] } });
  expect(() => pod({ containers: [{ name: 'c', resources: { limits: { cpu: 'lots' } } }] })).toThrow(
    'quantities must match',
  );
  const lease = decode('io.k8s.api.coordination.v1.Lease', { spec: { renewTime: '2026-01-01T00:00:00.5Z' } });
  expect(lease.value).toEqual({ spec: { renewTime: '2026-01-01T00:00:00.500000Z' } });
});

test('keys with a meaning in JavaScript stay what they are', () => {
  const given = JSON.parse('{"data":{"__proto__":"x","constructor":"y"},"__proto__":{"polluted":true}}') as object;
  const context = new DecodeContext();
  const value = decoderOf('io.k8s.api.core.v1.ConfigMap')(given, context) as { data: object };
  expect(Object.keys(value.data)).toEqual(['__proto__', 'constructor']);
  expect(context.unknown).toEqual(['__proto__']);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});
