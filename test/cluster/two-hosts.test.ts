import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import type { KubeList, Stored } from '../../api/meta.ts';
import { containerdIsHere } from '../executor/containerd.ts';
import { eventually } from '../eventually.ts';
import { Hosts } from './hosts.ts';
import { deploymentOf, sayingItsName, serviceOf } from './manifests.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

/** One on each host, and the host's port 31088 leads to it. */
const site = [
  deploymentOf('web', 2, { ...sayingItsName(), ports: [{ containerPort: 8080, hostPort: 31_088 }] }),
  serviceOf('web', { port: 80, targetPort: 8080, nodePort: 30_088 }, { type: 'NodePort' }),
];

/** Two on each host, on ports that Mesos offered. */
const mapped = [
  deploymentOf(
    'web',
    4,
    { ...sayingItsName(), ports: [{ name: 'http', containerPort: 8080 }] },
    {
      labels: { 'k8s.mesosphere.io/portMapping': 'wildcard' },
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: { matchLabels: { app: 'web' } },
        },
      ],
    },
  ),
  serviceOf('web', { port: 80, targetPort: 'http', nodePort: 30_088 }, { type: 'NodePort' }),
];

/** Hosts with this on them, and what they are asked. */
function withHosts(start: () => Promise<Hosts>, objects: readonly object[]) {
  let hosts: Hosts;
  let pods: (Pod & Stored)[];
  beforeAll(async () => {
    hosts = await start();
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    expect(await hosts.kubectl.feed(list, 'apply', '-f', '-')).toMatchObject({ code: 0, stderr: '' });
    await hosts.kubectl.run('rollout', 'status', 'deployment/web', '--timeout=90s');
    const shown = await hosts.kubectl.run('get', 'pods', '-l', 'app=web', '-o', 'json');
    pods = (JSON.parse(shown) as KubeList<Pod & Stored>).items;
  }, 300_000);
  afterAll(() => hosts?.stop(), 60_000);

  const ask = (from: string, address: string) => {
    try {
      return hosts.on(from, 'curl', '-sS', '-m', '3', '-H', 'connection: close', `http://${address}/`).trim();
    } catch (error) {
      return String((error as { stderr?: unknown }).stderr ?? error).trim();
    }
  };
  return {
    hosts: () => hosts,
    pods: () => pods,
    names: () => pods.map(({ metadata }) => metadata.name).sort(),
    ipOf: (pod: Pod) => hosts.host(pod.spec.nodeName ?? '').ip,
    clusterIp: () => hosts.kubectl.run('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'),
    /** Whoever answered or what went wrong, each once. */
    askMany: (from: string, address: string, times = 16) =>
      [...new Set(Array.from({ length: times }, () => ask(from, address)))].sort(),
  };
}

describeHere('two hosts with pods of their own network, iptables and portmap', () => {
  const { hosts, pods, names, ipOf, clusterIp, askMany } = withHosts(() => Hosts.start('iptables'), site);

  test('km up says how many agents there are', () => {
    expect(hosts().said).toMatch(/development Mesos .*, 2 agents/);
  });

  test('a Service leads from each host to the pods of both, by its address and by node ports', async () => {
    const ip = await clusterIp();
    for (const { name } of hosts().hosts) {
      await eventually(() => expect(askMany(name, ip)).toEqual(names()), 30_000);
      expect(hosts().on(name, 'iptables-save', '-t', 'nat')).toContain(`-d ${ip}/32`);
    }
    for (const host of hosts().hosts) expect(askMany('control', `${host.ip}:30088`)).toEqual(names());
  }, 90_000);

  test('a host port leads to the pod that asked for it, on its host alone', () => {
    expect(
      pods()
        .map(({ spec }) => spec.nodeName)
        .sort(),
    ).toEqual(['host-1', 'host-2']);
    for (const pod of pods()) expect(askMany('control', `${ipOf(pod)}:31088`)).toEqual([pod.metadata.name]);
  }, 60_000);
});

// Not by rules of the kernel: what they have translated to a port of this host they do not translate again, to the pod behind it.
describeHere('two hosts whose Services lead to ports that Mesos offered, userspace and portmap', () => {
  const start = () => Hosts.start('userspace', { KM_HOST_PORT_ENDPOINTS: 'true' });
  const { hosts, pods, names, ipOf, clusterIp, askMany } = withHosts(start, mapped);
  const addressOf = (pod: Pod & Stored) =>
    `${ipOf(pod)}:${pod.metadata.annotations?.['k8s.mesosphere.io/port_TCP_8080']}`;

  test('each pod has a port of its host, and answers there', () => {
    const addresses = pods().map(addressOf).sort();
    expect(addresses.map((address) => address.replace(/\d{3}$/, ''))).toEqual([
      ...['10.90.0.2:31', '10.90.0.2:31', '10.90.0.3:31', '10.90.0.3:31'],
    ]);
    expect(new Set(addresses).size).toBe(4);
    for (const pod of pods()) expect(askMany('control', addressOf(pod), 4)).toEqual([pod.metadata.name]);
  }, 60_000);

  test('a Service leads from each host to the pods of both', async () => {
    const ends = '{range .items[0].endpoints[*]}{.addresses[0]}{"\\n"}{end}';
    await eventually(async () => {
      const slices = await hosts().kubectl.run(
        'get',
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=web',
        '-o',
        `jsonpath=${ends}`,
      );
      for (const { ip } of hosts().hosts) expect(slices).toContain(ip);
    }, 30_000);
    const ip = await clusterIp();
    for (const { name } of hosts().hosts)
      await eventually(() => expect([name, askMany(name, ip, 32)]).toEqual([name, names()]), 30_000);
    for (const host of hosts().hosts) expect(askMany('control', `${host.ip}:30088`, 32)).toEqual(names());
    const many = `for n in $(seq 32); do busybox wget -q -O - http://${ip}/; done`;
    const heard = await hosts().kubectl.run('exec', names()[0] ?? '', '--', 'sh', '-c', many);
    expect([...new Set(heard.trim().split('\n'))].sort()).toEqual(names());
  }, 120_000);
});
