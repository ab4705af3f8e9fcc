import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { options, start } from '../../executor/index.ts';
import { nodeIps } from '../../executor/node-ips.ts';
import { inOrder } from '../../executor/runtimes/addresses.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { type ExecutorForTests, startExecutorForTests, testNode } from './executor-for-tests.ts';
import { busyboxImage } from './images.ts';
import { aPod, eventually } from './pods-for-tests.ts';

// https://kubernetes.io/docs/concepts/services-networking/dual-stack/

test.each<[what: string, found: string[], node: string, expected: object]>([
  ['one', ['10.0.0.5'], '192.0.2.1', { ip: '10.0.0.5' }],
  ['none yet', ['', ''], '192.0.2.1', { ip: '' }],
  ['the family of the node first', ['fd00::5', '10.0.0.5'], '192.0.2.1', { ip: '10.0.0.5', otherIp: 'fd00::5' }],
  ['also where that is IPv6', ['10.0.0.5', 'fd00::5'], '2001:db8::1', { ip: 'fd00::5', otherIp: '10.0.0.5' }],
  ['only the other family', ['fd00::5'], '192.0.2.1', { ip: 'fd00::5' }],
  ['one of each', ['10.0.0.5', '10.0.0.6', 'fd00::5', 'fd00::6'], '192.0.2.1', { ip: '10.0.0.5', otherIp: 'fd00::5' }],
])('of the addresses of a pod: %s', (_, found, node, expected) => {
  expect(inOrder(found, node)).toEqual(expected);
});

test('a node has the addresses that it is given, or that of its agent', async () => {
  expect(nodeIps([], 'agent.example')).toEqual(['agent.example']);
  expect(nodeIps(['fd00::1', '10.0.0.1'], '10.0.0.9')).toEqual(['fd00::1', '10.0.0.1']);
  for (const wrong of [['10.0.0.1', '10.0.0.2'], ['here'], ['10.0.0.1', '::1', '::2']])
    expect(() => nodeIps(wrong, '10.0.0.9')).toThrow(
      `--node-ip: expected one IP address, or one of each family, got "${wrong.join(',')}"`,
    );
  const env = {
    MESOS_EXECUTOR_ID: 'e',
    MESOS_SLAVE_ID: 'a',
    MESOS_FRAMEWORK_ID: 'f',
    MESOS_AGENT_ENDPOINT: '10.0.0.9:5051',
    MESOS_SANDBOX: '/',
  };
  const starting = start(
    { ...defaultsOf(options), nodeIp: ['here'] },
    { log: silent, signal: AbortSignal.abort(), env },
  );
  await expect(starting).rejects.toThrow('--node-ip: expected');
});

/** Gives each pod an address of IPv6, too. */
async function withTwoFamilies({ directory, kill, start }: Containerd): Promise<void> {
  const path = join(directory, 'net.d/10-km.conflist');
  const network = JSON.parse(readFileSync(path, 'utf8')) as { plugins: [{ ipam: Record<string, unknown[]> }] };
  const { ipam } = network.plugins[0];
  ipam['ranges']!.push([{ subnet: 'fd00:89::/112' }]);
  ipam['routes']!.push({ dst: '::/0' });
  writeFileSync(path, JSON.stringify(network));
  await kill();
  await start();
}

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
describeHere('a node with an address of each family, whose pods have two, too', () => {
  let containerd: Containerd;
  let place: ExecutorForTests;
  beforeAll(async () => {
    containerd = await startContainerd(28);
    await withTwoFamilies(containerd);
    const criSocket = `unix://${containerd.socket}`;
    place = await startExecutorForTests({
      ...{ runtime: 'cri', criSocket, cgroupParent: containerd.cgroup, nodeIp: ['127.0.0.1', '::1'] },
    });
  }, 60_000);
  afterAll(async () => {
    await place?.close();
    await containerd?.stop();
  }, 60_000);

  test('a pod has both in its status, its environment and its hosts file', async () => {
    const fieldRef = { fieldPath: 'status.podIPs' };
    const container = {
      image: busyboxImage,
      command: ['sh', '-c', 'echo "$IPS" > /dev/termination-log; grep -w two /etc/hosts >> /dev/termination-log'],
      env: [{ name: 'IPS', valueFrom: { fieldRef } }],
    };
    await place.place(aPod(container, { restartPolicy: 'Never' }, 'two'));
    const status = await eventually(async () => {
      const now = (await place.client.get(Pod, { namespace: 'default', name: 'two' })).status;
      return now?.phase === 'Succeeded' ? now : undefined;
    }, 'its end');
    const ips = (status.podIPs ?? []).map(({ ip }) => ip);
    expect(ips).toEqual([expect.stringMatching(/^10\.89\.28\./), expect.stringMatching(/^fd00:89::/)]);
    expect(status.podIP).toBe(ips[0]);
    const words = status.containerStatuses?.[0]?.state?.terminated?.message?.trim().split('\n');
    expect(words).toEqual([ips.join(','), ...ips.map((ip) => `${ip}\ttwo`)]);
  }, 60_000);

  test('the Node says both, and pods on its network have them', async () => {
    const addresses = async () => (await place.client.get(Node, { name: testNode })).status?.addresses;
    const both = [
      { type: 'InternalIP', address: '127.0.0.1' },
      { type: 'InternalIP', address: '::1' },
    ];
    await eventually(async () => (await addresses())?.length === 3, 'both addresses');
    expect(await addresses()).toEqual([...both, { type: 'Hostname', address: testNode }]);
    const env = [{ name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.hostIPs' } } }];
    const container = { image: busyboxImage, command: ['sh', '-c', 'echo "$IPS" > /dev/termination-log'], env };
    await place.place(aPod(container, { restartPolicy: 'Never', hostNetwork: true }, 'host'));
    const status = await eventually(async () => {
      const now = (await place.client.get(Pod, { namespace: 'default', name: 'host' })).status;
      return now?.phase === 'Succeeded' ? now : undefined;
    }, 'its end');
    const ips = both.map(({ address: ip }) => ({ ip }));
    expect([status.hostIP, status.hostIPs, status.podIP, status.podIPs]).toEqual(['127.0.0.1', ips, '127.0.0.1', ips]);
    expect(status.containerStatuses?.[0]?.state?.terminated?.message).toBe('127.0.0.1,::1\n');
  }, 60_000);
});
