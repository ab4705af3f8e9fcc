import { describe, expect, test } from '@jest/globals';
import { Node } from '../../api/kinds/node.ts';
import { parseCidr } from '../../api/cidr.ts';
import { CidrSet } from '../../controllers/common/cidr-set.ts';
import { rangesOf } from '../../controllers/node-ipam.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const masks = { nodeCidrMaskSize: 0, nodeCidrMaskSizeIpv4: 0, nodeCidrMaskSizeIpv6: 0 };
const options = (clusterCidr: string[], more: object = {}) => ({
  clusterCidr,
  serviceClusterIpRange: [],
  ...masks,
  ...more,
});

describe('a set of ranges', () => {
  test.each([
    ['10.0.0.0/22', 24, ['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24', '10.0.3.0/24', undefined]],
    ['10.1.2.3/31', 32, ['10.1.2.2/32', '10.1.2.3/32', undefined]],
    ['fd00:1::/63', 64, ['fd00:1::/64', 'fd00:1:0:1::/64', undefined]],
    ['::ffff:1.2.3.4/127', 127, ['::ffff:102:304/127', undefined]],
  ])('%s gives blocks of /%d: %j', (cidr, mask, blocks) => {
    const set = new CidrSet(cidr, mask);
    expect(blocks.map(() => set.take())).toEqual(blocks);
  });

  test('gives a block that came back after all others, and none that somebody holds', () => {
    const set = new CidrSet('10.0.0.0/22', 24);
    expect(set.hold('10.0.1.128/25')).toBe(true);
    expect(set.hold('10.9.0.0/24')).toBe(false);
    expect(set.take()).toBe('10.0.0.0/24');
    set.release('10.0.0.0/24');
    expect([set.take(), set.take(), set.take(), set.take()]).toEqual([
      '10.0.2.0/24',
      '10.0.3.0/24',
      '10.0.0.0/24',
      undefined,
    ]);
  });

  test('a block that two hold is free when both have let go', () => {
    const set = new CidrSet('10.0.0.0/24', 24);
    set.hold('10.0.0.0/24');
    set.hold('10.0.0.0/16');
    set.release('10.0.0.0/24');
    expect(set.take()).toBeUndefined();
    set.release('10.0.0.0/16');
    expect(set.take()).toBe('10.0.0.0/24');
  });

  test.each(['10.0.0.0', '10.0.0.0/33', 'fe80::1%eth0/64', 'x/8', '10.0.0.0/', '10.0.0.0/-1'])(
    '%s is no range',
    (text) => expect(parseCidr(text)).toBeUndefined(),
  );
});

test.each([
  [options([]), 'needs --cluster-cidr'],
  [options(['10.0.0.0/16', '10.1.0.0/16']), 'different families'],
  [options(['10.0.0.0/16', 'fd00::/56'], { nodeCidrMaskSize: 24 }), '--node-cidr-mask-size-ipv4'],
  [options(['10.0.0.0/25']), 'does not fit'],
  [options(['fd00::/32']), 'more than 65536'],
  [options(['nowhere']), 'expected a range'],
])('%j cannot be', (given, words) => expect(() => rangesOf(given)).toThrow(words));

test('nodes of a cluster get ranges that do not overlap, those that services have left out', () => {
  const [v4, v6] = rangesOf(options(['10.0.0.0/22', 'fd00::/56'], { serviceClusterIpRange: ['10.0.0.0/23'] }));
  expect([v4!.take(), v4!.take(), v4!.take(), v6!.take()]).toEqual([
    '10.0.2.0/24',
    '10.0.3.0/24',
    undefined,
    'fd00::/64',
  ]);
});

test('a node has its range from when it comes; it is free when the node is gone; those of before are heeded', async () => {
  const ipam = { controllers: ['node-ipam'], allocateNodeCidrs: true, clusterCidr: ['10.20.0.0/22', 'fd00:20::/56'] };
  const w = await startControllers({ controllers: [] });
  const make = (name: string, podCIDR?: string) =>
    w.client.create(Node, { metadata: { name }, ...(podCIDR ? { spec: { podCIDR } } : {}) });
  const cidrsOf = async (name: string) => (await w.client.get(Node, { name })).spec?.podCIDRs;
  await make('old', '10.20.1.0/24');
  await make('without');
  await w.another(ipam);
  await Promise.all(['a', 'b'].map((name) => make(name)));
  const all = await eventually(async () => {
    const found = await Promise.all(['old', 'without', 'a', 'b'].map(cidrsOf));
    expect(found.every((one) => one !== undefined)).toBe(true);
    return found.map((one) => one!);
  });
  expect(all[0]).toEqual(['10.20.1.0/24']);
  expect(all.map(([v4]) => v4).sort()).toEqual(['10.20.0.0/24', '10.20.1.0/24', '10.20.2.0/24', '10.20.3.0/24']);
  expect(new Set(all.slice(1).map(([, v6]) => v6)).size).toBe(3);
  await make('late');
  await w.client.delete(Node, { name: 'old' });
  await eventually(async () => expect((await cidrsOf('late'))?.[0]).toBe('10.20.1.0/24'));
  const changed = w.client.patch(Node, { name: 'late' }, { spec: { podCIDR: '1.2.3.0/24', podCIDRs: ['1.2.3.0/24'] } });
  await expect(changed).rejects.toThrow('may not change podCIDR except from "" to valid');
  await w.stop();
});
