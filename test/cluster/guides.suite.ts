import { expect, test } from '@jest/globals';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import { type TestCluster } from './harness.ts';

// The manifests of Kubernetes' first guides, with images of ours: they apply and converge.

export function describeGuides(cluster: () => TestCluster): void {
  const kubectl = (...args: string[]) => cluster().kubectl.run(...args);
  const apply = (name: string) => kubectl('apply', '-f', join(import.meta.dirname, 'guides', `${name}.yaml`));
  const ready = (namespace: string, name: string, count: number) =>
    eventually(async () => {
      const said = await kubectl('get', 'rc', name, '-n', namespace, '-o', 'jsonpath={.status.readyReplicas}');
      expect(said).toBe(`${count}`);
    }, 60_000);
  const endpoints = (namespace: string, name: string, count: number) =>
    eventually(async () => {
      const path = 'jsonpath={.subsets[0].addresses[*].targetRef.name}';
      const names = await kubectl('get', 'endpoints', name, '-n', namespace, '-o', path);
      expect(names.split(' ').filter(Boolean)).toHaveLength(count);
    }, 30_000);

  test('the guestbook of replication controllers', async () => {
    await apply('guestbook');
    for (const [name, count] of [
      ['redis-master', 1],
      ['redis-slave', 2],
      ['frontend', 3],
    ] as const) {
      await ready('default', name, count);
      await endpoints('default', name, count);
    }
    // Services that were there before a pod are in its environment.
    const address = await kubectl('get', 'service', 'redis-master', '-o', 'jsonpath={.spec.clusterIP}');
    await eventually(async () =>
      expect(await kubectl('logs', '-l', 'app=guestbook')).toContain(`master at ${address}`),
    );
    await kubectl('scale', 'rc', 'frontend', '--replicas=5');
    await ready('default', 'frontend', 5);
    await kubectl('delete', 'rc,services', '-l', 'app in (redis, guestbook)');
    await eventually(
      async () => expect(await kubectl('get', 'pods', '-l', 'app in (redis, guestbook)', '-o', 'name')).toBe(''),
      30_000,
    );
  }, 150_000);

  test('kube-ui and the three containers of SkyDNS, as services of the cluster', async () => {
    for (const name of ['kube-ui', 'skydns']) await apply(name);
    await ready('kube-system', 'kube-ui-v1', 1);
    await ready('kube-system', 'kube-dns-v8', 1);
    await endpoints('kube-system', 'kube-ui', 1);
    await endpoints('kube-system', 'kube-dns', 1);
    const states = 'jsonpath={.items[0].status.containerStatuses[*].ready}';
    expect(await kubectl('get', 'pods', '-n', 'kube-system', '-l', 'k8s-app=kube-dns', '-o', states)).toBe(
      'true true true',
    );
    const info = await kubectl('cluster-info');
    expect(info).toMatch(/KubeDNS.* is running at/);
    expect(info).toMatch(/KubeUI.* is running at/);
  }, 120_000);

  test('a daemon on every node, a rollout of settings, a name of somebody else', async () => {
    await apply('others');
    await kubectl('rollout', 'status', 'daemonset/collector', '--timeout=60s');
    const nodes = (await kubectl('get', 'nodes', '-o', 'name')).split('\n').filter(Boolean);
    const daemons = await kubectl('get', 'pods', '-l', 'app=collector', '-o', 'jsonpath={.items[*].spec.nodeName}');
    expect(new Set(daemons.split(' ')).size).toBe(nodes.length);

    await kubectl('rollout', 'status', 'deployment/configured', '--timeout=60s');
    const says = (words: string) =>
      eventually(
        async () => expect(await kubectl('logs', '-l', 'app=configured')).toBe(`${words}\n${words}\n`),
        30_000,
      );
    await says('hello');
    const at = '/spec/template/spec/containers/0/env/0/valueFrom/configMapKeyRef/name';
    const next = JSON.stringify([{ op: 'replace', path: at, value: 'settings-v2' }]);
    await kubectl('patch', 'deployment', 'configured', '--type=json', '-p', next);
    await kubectl('rollout', 'status', 'deployment/configured', '--timeout=60s');
    await says('goodbye');
    await kubectl('rollout', 'undo', 'deployment/configured');
    await kubectl('rollout', 'status', 'deployment/configured', '--timeout=60s');
    await says('hello');

    expect(
      await kubectl('get', 'service', 'database', '-o', 'jsonpath={.spec.clusterIP} {.spec.externalName}'),
    ).toMatch(/^(None)? ?db\.example\.com$/);
  }, 180_000);
}
