import { describe, expect, test } from '@jest/globals';
import type { ConfigMap } from '../../api/kinds/config-map.ts';
import type { Container } from '../../api/kinds/pod.ts';
import type { Secret } from '../../api/kinds/secret.ts';
import type { Service } from '../../api/kinds/service.ts';
import { type EnvFacts, containerEnv, expand, resourceField } from '../../executor/env.ts';
import { aPod } from './pods-for-tests.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const service = (
  name: string,
  namespace: string,
  clusterIP: string,
  ports: NonNullable<Service['spec']['ports']>,
): Service => ({
  metadata: { name, namespace },
  spec: { clusterIP, ports },
});
const facts: EnvFacts = {
  nodeName: 'node-1',
  hostIps: ['10.0.0.1', 'fd00::1'],
  podIps: ['10.1.0.5', 'fd00::5'],
  allocatable: { cpu: 3900, memory: 2 * 1024 ** 3, disk: 5 * 1024 ** 3 },
  services: [
    service('kubernetes', 'default', '10.96.0.1', [{ name: 'https', port: 443 }]),
    service('my-db', 'shop', '10.96.0.9', [
      { name: 'sql', port: 5432 },
      { name: 'stats', port: 9090, protocol: 'UDP' },
    ]),
    service('headless', 'shop', 'None', [{ port: 1 }]),
    service('elsewhere', 'other', '10.96.0.7', [{ port: 1 }]),
  ],
  configMap: (name) =>
    Promise.resolve(name === 'cm' ? ({ metadata: {}, data: { A: 'a', B: 'b' } } as ConfigMap) : undefined),
  secret: (name) =>
    Promise.resolve(name === 's' ? ({ metadata: {}, data: { K: base64('key') } } as Secret) : undefined),
};
const env = (container: Partial<Container>, spec = {}) => {
  const pod = aPod({ ...container }, spec);
  pod.metadata.namespace = 'shop';
  pod.metadata.labels = { app: 'web', "it's": 'x' };
  return containerEnv(pod, pod.spec.containers[0]!, facts);
};

describe('the environment of a container', () => {
  test('names services of its namespace, and always the apiserver', async () => {
    const all = Object.fromEntries(await env({}));
    expect(all).toMatchObject({
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
      KUBERNETES_PORT: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
      MY_DB_SERVICE_HOST: '10.96.0.9',
      MY_DB_SERVICE_PORT_STATS: '9090',
      MY_DB_PORT_9090_UDP_PROTO: 'udp',
    });
    expect(Object.keys(all).filter((name) => /HEADLESS|ELSEWHERE/.test(name))).toEqual([]);
    const unlinked = Object.fromEntries(await env({}, { enableServiceLinks: false }));
    expect(unlinked.MY_DB_SERVICE_HOST).toBeUndefined();
    expect(unlinked.KUBERNETES_SERVICE_HOST).toBe('10.96.0.1');
  });

  test('takes fields, resources, config maps and secrets, later ones over earlier ones', async () => {
    const all = Object.fromEntries(
      await env({
        envFrom: [{ configMapRef: { name: 'cm' } }, { prefix: 'S_', secretRef: { name: 's' } }],
        env: [
          { name: 'B', value: 'mine' },
          { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['it's']" } } },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
          { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
          { name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'K' } } },
          { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'cm', key: 'nope', optional: true } } },
          { name: 'URL', value: 'http://$(IP):$(MY_DB_SERVICE_PORT)/$(B)' },
          { name: 'MY_DB_SERVICE_HOST', value: 'override' },
        ],
      }),
    );
    expect(all).toMatchObject({
      A: 'a',
      B: 'mine',
      S_K: 'key',
      LABEL: 'x',
      IP: '10.1.0.5',
      IPS: '10.1.0.5,fd00::5',
      CPU: '4',
      KEY: 'key',
      URL: 'http://10.1.0.5:5432/mine',
      MY_DB_SERVICE_HOST: 'override',
    });
    expect('NONE' in all).toBe(false);
  });

  test('says what is missing', async () => {
    await expect(env({ envFrom: [{ secretRef: { name: 'no' } }] })).rejects.toThrow('secret "no" not found');
    await expect(
      env({ env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'cm', key: 'Z' } } }] }),
    ).rejects.toThrow("couldn't find key Z in ConfigMap shop/cm");
    await expect(env({ env: [{ name: 'X', valueFrom: { fieldRef: { fieldPath: 'constructor' } } }] })).rejects.toThrow(
      'unsupported fieldPath',
    );
    const fileKeyRef = { volumeName: 'v', path: 'p', key: 'k' };
    await expect(env({ env: [{ name: 'X', valueFrom: { fileKeyRef } as object }] })).rejects.toThrow(
      'environment variable "X" has its value from fileKeyRef, which this node cannot provide yet',
    );
  });
});

test('expansion knows $$ and leaves alone what it does not know', () => {
  const lookup = (name: string) => ({ A: 'a', EMPTY: '' })[name];
  expect(expand('$(A) $$(A) $(B) $A $ $(EMPTY)| $$$(A) $(A', lookup)).toBe('a $(A) $(B) $A $ | $a $(A');
});

test('resource fields are rounded up in units of the divisor', () => {
  const pod = aPod({ resources: { limits: { cpu: '250m', memory: '100M' }, requests: { cpu: '1' } } });
  const of = (resource: string, divisor?: string) =>
    resourceField(pod, pod.spec.containers[0]!, { resource, ...(divisor ? { divisor } : {}) }, facts.allocatable);
  expect([
    of('limits.cpu'),
    of('limits.cpu', '1m'),
    of('limits.memory', '1Mi'),
    of('requests.cpu'),
    of('requests.memory'),
  ]).toEqual(['1', '250', '96', '1', '0']);
});

test.each(['unset', '0'])('a limit that is %s is what pods can have of the node; a request is none', (amount) => {
  const names = ['cpu', 'memory', 'ephemeral-storage', 'hugepages-2Mi'];
  const limits = amount === 'unset' ? {} : Object.fromEntries(names.map((name) => [name, amount]));
  const pod = aPod({ resources: { limits, requests: limits } });
  const of = (resource: string, divisor: string) =>
    resourceField(pod, pod.spec.containers[0]!, { resource, divisor }, facts.allocatable);
  const all = (kind: string) => names.map((name) => of(`${kind}.${name}`, name === 'cpu' ? '1m' : '1Gi'));
  expect(all('limits')).toEqual(['3900', '2', '5', '0']);
  expect(all('requests')).toEqual(['0', '0', '0', '0']);
});
