import { describe, expect, test } from '@jest/globals';
import {
  mandatoryLevels,
  mandatorySchemas,
  suggestedLevels,
  suggestedSchemas,
} from '../../../apiserver/flow/defaults.ts';
import { Seats } from '../../../apiserver/flow/level.ts';
import { matches } from '../../../apiserver/flow/match.ts';
import { dealHand, Queues } from '../../../apiserver/flow/queues.ts';
import { attributes } from '../../../apiserver/auth/authorize.ts';

// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/

const limited = (name: string, shares: number, more: object = {}, response: object = queue(8, 2, 3)) => ({
  metadata: { name },
  spec: {
    type: 'Limited' as const,
    limited: { nominalConcurrencyShares: shares, lendablePercent: 0, limitResponse: response, ...more },
  },
});
const queue = (queues: number, handSize: number, queueLengthLimit: number) => ({
  type: 'Queue' as const,
  queuing: { queues, handSize, queueLengthLimit },
});

describe('the lines of a level', () => {
  test('a flow has always the same few of them, each once', () => {
    for (const flow of ['a', 'b', 'c']) {
      const hand = dealHand(flow, 64, 6);
      expect(new Set(hand).size).toBe(6);
      expect(dealHand(flow, 64, 6)).toEqual(hand);
    }
    expect(dealHand('a', 64, 6)).not.toEqual(dealHand('b', 64, 6));
    expect(dealHand('a', 3, 3).sort()).toEqual([0, 1, 2]);
  });

  test('who comes late does not wait behind a flood, and who was away gets no turns for that', () => {
    const queues = new Queues<{ name: string; seats: number }>(64, 1, 1000);
    const add = (name: string) => queues.add(name, { name, seats: 1 });
    for (let i = 0; i < 500; i++) add('flood');
    for (let i = 0; i < 10; i++) expect(queues.next()?.name).toBe('flood');
    for (let i = 0; i < 10; i++) add('calm');
    const order = Array.from({ length: 20 }, () => queues.next()?.name);
    expect(order.filter((one) => one === 'calm')).toHaveLength(10);
    expect(order.slice(0, 5).filter((one) => one === 'calm').length).toBeGreaterThanOrEqual(2);
    expect(order.slice(0, 5)).toContain('flood');
  });

  test('who takes many seats at a time has fewer turns', () => {
    const queues = new Queues<{ name: string; seats: number }>(64, 1, 1000);
    for (let i = 0; i < 20; i++)
      for (const name of ['wide', 'narrow']) queues.add(name, { name, seats: name === 'wide' ? 5 : 1 });
    const order = Array.from({ length: 12 }, () => queues.next()?.name);
    expect(order.filter((one) => one === 'wide')).toHaveLength(2);
  });

  test('are full at their limit', () => {
    const queues = new Queues(8, 2, 3);
    const taken = Array.from({ length: 10 }, () => queues.add('flood', { seats: 1 }));
    expect(taken.filter(Boolean)).toHaveLength(6);
    expect(queues.size).toBe(6);
  });
});

describe('the seats of levels', () => {
  const nobody = () => undefined;

  test('go by shares of the whole', () => {
    const seats = new Seats();
    seats.configure([...mandatoryLevels, ...suggestedLevels], 600);
    const nominal = Object.fromEntries([...seats.levels].map(([name, level]) => [name, level.nominal]));
    expect(nominal).toEqual({
      exempt: 0,
      'catch-all': 13,
      system: 74,
      'node-high': 98,
      'leader-election': 25,
      'workload-high': 98,
      'workload-low': 245,
      'global-default': 49,
    });
  });

  test('are lent while they are free, and given back before anybody borrows again', async () => {
    const seats = new Seats();
    seats.configure([limited('lender', 1, { lendablePercent: 50 }), limited('borrower', 1)], 8);
    const [lender, borrower] = [seats.levels.get('lender')!, seats.levels.get('borrower')!];
    while (borrower.take(1));
    expect(borrower.inUse).toBe(6);
    while (lender.take(1));
    expect(lender.inUse).toBe(2);
    let isIn = '';
    void borrower.wait('b', 1, 1000, nobody).then(() => (isIn += 'b'));
    void lender.wait('l', 1, 1000, nobody).then(() => (isIn += 'l'));
    borrower.leave(1);
    await Promise.resolve();
    expect(isIn).toBe('l');
    borrower.leave(1);
    borrower.leave(1);
    await Promise.resolve();
    expect(isIn).toBe('lb');
  });

  test('are taken several at a time, by one request no more than a part of the level, and only together', async () => {
    const seats = new Seats();
    seats.configure([limited('a', 1)], 20);
    const level = seats.levels.get('a')!;
    expect([level.clip(10), level.clip(2)]).toEqual([3, 2]);
    for (let i = 0; i < 6; i++) expect(level.take(3)).toBe(true);
    expect(level.take(3)).toBe(false);
    let order = '';
    void level.wait('wide', 3, 1000, nobody).then(() => (order += 'w'));
    // Two are free, but nobody passes who waits for three.
    expect(level.take(1)).toBe(false);
    void level.wait('narrow', 1, 1000, nobody).then(() => (order += 'n'));
    level.leave(3);
    await Promise.resolve();
    expect(order).toBe('wn');
    expect(level.inUse).toBe(19);
  });

  test('are counted when everybody has left, whatever changed meanwhile', () => {
    const seats = new Seats();
    const set = (lendablePercent: number, total: number) =>
      seats.configure([limited('a', 1, { lendablePercent }), limited('b', 1)], total);
    set(50, 8);
    const [a, b] = [seats.levels.get('a')!, seats.levels.get('b')!];
    while (a.take(1));
    while (b.take(1));
    set(0, 2);
    expect([a.take(1), b.take(1)]).toEqual([false, false]);
    while (a.inUse > 0) a.leave(1);
    while (b.inUse > 0) b.leave(1);
    expect(seats.lent).toBe(0);
    expect([a.take(1), a.take(1), b.take(1), b.take(1)]).toEqual([true, false, true, false]);
  });

  test.each([
    ['a full line', 'queue-full', queue(1, 1, 0), 1000],
    ['no line at all', 'concurrency-limit', { type: 'Reject' as const }, 1000],
    ['its turn not coming in time', 'time-out', queue(1, 1, 5), 5],
  ])('are refused for %s', async (_, why, response, ms) => {
    const seats = new Seats();
    seats.configure([limited('a', 1, {}, response)], 1);
    const level = seats.levels.get('a')!;
    expect(level.take(1)).toBe(true);
    expect(await level.wait('f', 1, ms, nobody)).toBe(why);
    expect(level.waiting).toBe(0);
  });

  test('who hangs up waits no more; who waits when the lines change keeps waiting', async () => {
    const seats = new Seats();
    seats.configure([limited('a', 1)], 1);
    const level = seats.levels.get('a')!;
    level.take(1);
    let hangUp: () => void = nobody;
    const gone = level.wait('f', 1, 1000, (end) => (hangUp = end));
    const stays = level.wait('g', 1, 1000, nobody);
    hangUp();
    expect(await gone).toBe('cancelled');
    seats.configure([limited('a', 1, {}, queue(4, 1, 9))], 1);
    expect(level.waiting).toBe(1);
    level.leave(1);
    expect(await stays).toBeUndefined();
  });
});

describe('the default schemas', () => {
  const all = [...mandatorySchemas, ...suggestedSchemas].sort(
    (a, b) => a.spec!.matchingPrecedence! - b.spec!.matchingPrecedence!,
  );
  const node = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
  const account = (namespace: string, name: string) => ({
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  });
  const lease = { verb: 'update', group: 'coordination.k8s.io', resource: 'leases', namespace: 'kube-node-lease' };
  const pods = { verb: 'list', resource: 'pods', namespace: 'default' };
  test.each([
    ['an administrator', { name: 'root', groups: ['system:masters'] }, pods, 'exempt'],
    [
      'a probe',
      { name: 'system:anonymous', groups: ['system:unauthenticated'] },
      { verb: 'get', path: '/readyz' },
      'probes',
    ],
    ['a lease of a node', node, lease, 'system-node-high'],
    [
      'the status of a node',
      node,
      { verb: 'patch', resource: 'nodes', subresource: 'status', name: 'n1' },
      'system-node-high',
    ],
    ['anything else of a node', node, pods, 'system-nodes'],
    ['a leader', { name: 'system:kube-scheduler', groups: ['system:authenticated'] }, lease, 'system-leader-election'],
    ['the scheduler', { name: 'system:kube-scheduler', groups: ['system:authenticated'] }, pods, 'kube-scheduler'],
    ['an account of the system', account('kube-system', 'dns'), pods, 'kube-system-service-accounts'],
    [
      'the endpoints of a controller',
      account('kube-system', 'endpoint-controller'),
      { verb: 'update', resource: 'endpoints', namespace: 'a' },
      'endpoint-controller',
    ],
    ['a workload', account('default', 'app'), pods, 'service-accounts'],
    ['a person', { name: 'jane', groups: ['system:authenticated'] }, pods, 'global-default'],
    ['somebody of no group', { name: 'x', groups: [] }, pods, undefined],
  ])('%s', (_, user, asked, name) => {
    const found = all.find((schema) => matches(schema, user, attributes(asked)));
    expect(found?.metadata.name).toBe(name);
  });
});
