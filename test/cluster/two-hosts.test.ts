import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import type { KubeList, Stored } from '../../api/meta.ts';
import { containerdIsHere } from '../executor/containerd.ts';
import { eventually } from '../eventually.ts';
import { Hosts } from './hosts.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

/** Says its name by HTTP; one on each host, and the host's port 31088 leads to it. */
const site = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'c',
            image: 'k8s.test/busybox:1',
            command: ['sh', '-c', 'mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www'],
            ports: [{ containerPort: 8080, hostPort: 31088 }],
          },
        ],
      },
    },
  },
};
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080, nodePort: 30088 }] },
};

describeHere('two hosts with pods of their own network, iptables and portmap', () => {
  let hosts: Hosts;
  let pods: (Pod & Stored)[];
  beforeAll(async () => {
    hosts = await Hosts.start('iptables');
    for (const object of [site, service]) {
      const { code, stderr } = await hosts.kubectl.feed(JSON.stringify(object), 'apply', '-f', '-');
      expect([code, stderr]).toEqual([0, '']);
    }
    await hosts.kubectl.run('rollout', 'status', 'deployment/web', '--timeout=90s');
    const shown = await hosts.kubectl.run('get', 'pods', '-l', 'app=web', '-o', 'json');
    pods = (JSON.parse(shown) as KubeList<Pod & Stored>).items;
  }, 300_000);
  afterAll(() => hosts?.stop(), 60_000);

  const names = () => pods.map(({ metadata }) => metadata.name).sort();
  const ask = (from: string, address: string) =>
    hosts.on(from, 'curl', '-s', '-m', '3', '-H', 'connection: close', `http://${address}/`).trim();
  const askMany = (from: string, address: string) =>
    [...new Set(Array.from({ length: 16 }, () => ask(from, address)))].sort();

  test('km up says how many agents there are', () => {
    expect(hosts.said).toMatch(/development Mesos .*, 2 agents/);
  });

  test('a Service leads from each host to the pods of both, by its address and by node ports', async () => {
    const ip = await hosts.kubectl.run('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    for (const { name } of hosts.hosts) {
      await eventually(() => expect(askMany(name, ip)).toEqual(names()), 30_000);
      expect(hosts.on(name, 'iptables-save', '-t', 'nat')).toContain(`-d ${ip}/32`);
    }
    for (const host of hosts.hosts) expect(askMany('control', `${host.ip}:30088`)).toEqual(names());
  }, 90_000);

  test('a host port leads to the pod that asked for it, on its host alone', () => {
    expect(pods.map(({ spec }) => spec.nodeName).sort()).toEqual(['host-1', 'host-2']);
    for (const { metadata, spec } of pods)
      expect(askMany('control', `${hosts.host(spec.nodeName ?? '').ip}:31088`)).toEqual([metadata.name]);
  }, 60_000);
});
