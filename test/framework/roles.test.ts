import { describe, expect, test } from '@jest/globals';
import type { Namespace } from '../../api/kinds/namespace.ts';
import { annotations } from '../../api/kinds/names.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { quotaOf } from '../../framework/quotas.ts';
import { Roles } from '../../framework/roles.ts';
import type { Effect } from '../../framework/effects.ts';
import { State } from '../../framework/state.ts';
import { silent } from '../../lib/log.ts';
import type { Offer } from '../../mesos/offers.ts';
import type { Resource } from '../../mesos/types.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, makeOffer, register, scalar, stateOptions } from './builders.ts';

const roleOf = ({ metadata }: Pod): string => metadata.namespace!;
const podOf = (role: string, name = role) => makePod(name, {}, { namespace: role });

function twoRoles(): State {
  const state = new State({ ...stateOptions, roles: ['web', 'ops'], roleOf }, silent);
  state.subscribed('f-0001', 0);
  return state;
}

const offerTo = (role: string, agent: string, more: Parameters<typeof makeOffer>[1] = {}): Offer => {
  const offer = makeOffer(agent, more);
  const allocation_info = { role };
  return { ...offer, allocation_info, resources: offer.resources!.map((one) => ({ ...one, allocation_info })) };
};

test('a limit of the role above counts all below it, what is offered too', () => {
  const held = (name: string, cpus: number, mem: number) => ({
    name,
    weight: 1,
    resources: [scalar('cpus', cpus), scalar('mem', mem)],
  });
  const configs = [{ role: 'eng', limits: { cpus: { value: 2 }, mem: { value: 100 } } }, { role: 'ops' }];
  const roles = [held('eng', 1.5, 120), held('eng/web', 0.5, 20), held('ops', 1, 1)];
  expect(quotaOf('eng/web', configs, roles)).toEqual({ role: 'eng/web', left: { cpu: 500, memory: 0 } });
  expect(quotaOf('eng', configs, [])).toEqual({ role: 'eng', left: { cpu: 2000, memory: 100 * 1024 * 1024 } });
  expect(quotaOf('ops', configs, roles)).toBeUndefined();
  const state = twoRoles();
  expect(state.limited([{ role: 'web', limits: { cpus: { value: 1 } } }], [])).toBe(true);
  expect(state.limited([{ role: 'web', limits: { cpus: { value: 1 } } }], [])).toBe(false);
  state.offered([offerTo('web', 'a1')], 0);
  expect(state.nodesFor(podOf('web'))[0]!.quota).toEqual({ role: 'web', left: { cpu: 1000 } });
  expect(state.nodesFor(podOf('ops'))[0]!.quota).toBeUndefined();
});

const accepts = (effects: readonly Effect[]) =>
  callsOf(effects).flatMap((call) => (call.type === 'ACCEPT' ? [call.accept] : []));

describe('offers of a role', () => {
  test('are used for pods of that role only, each role in an ACCEPT of its own', () => {
    const state = twoRoles();
    const [web, ops] = [podOf('web'), podOf('ops')];
    state.offered([offerTo('web', 'a1', { executor: true })], 0);
    register(state);
    state.executors.runs('a1', { type: 'CUSTOM', executor_id: { value: 'km-test' }, command: {} }, state.frameworkId);
    expect(state.nodesFor(web)[0]!.free.cpu).toBe(4000);
    expect(state.nodesFor(ops)[0]!.unavailable).toBe('no offer yet');
    expect(state.reserve(ops, 'host-a1')).toBeUndefined();
    const more = offerTo('ops', 'a1', { executor: true });
    state.offered([more], 0);
    expect(state.reserve(web, 'host-a1')).toBeDefined();
    expect(state.reserve(ops, 'host-a1')).toBeDefined();
    const [first, second] = state.takeLaunches(0).map((launch) => accepts(state.recorded(launch, 0))[0]!);
    const rolesIn = (resources: Resource[] = []) =>
      new Set(resources.map(({ allocation_info }) => allocation_info?.role));
    expect(rolesIn(first!.operations![0]!.launch!.task_infos![0]!.resources)).toEqual(new Set(['web']));
    expect(rolesIn(second!.operations![0]!.launch!.task_infos![0]!.resources)).toEqual(new Set(['ops']));
    expect(second!.offer_ids).toEqual([more.id]);
  });

  test('wait for the executor that seats of another role bring, and then repeat it', () => {
    const state = twoRoles();
    const [web, ops] = [podOf('web'), podOf('ops')];
    state.offered([offerTo('web', 'a1'), offerTo('ops', 'a1')], 0);
    register(state);
    state.reserve(web, 'host-a1');
    expect(state.nodesFor(ops)[0]!.unavailable).toBe('no offer yet');
    expect(state.reserve(ops, 'host-a1')).toBeUndefined();
    const [launch] = state.takeLaunches(0);
    expect(state.reserve(ops, 'host-a1')).toBeUndefined();
    const executor = accepts(state.recorded(launch!, 0))[0]!.operations![0]!.launch!.task_infos![0]!.executor!;
    expect(executor.resources!.map(({ allocation_info }) => allocation_info!.role)).toEqual(['web', 'web']);
    expect(state.reserve(ops, 'host-a1')).toBeDefined();
    const [other] = state.takeLaunches(1);
    expect(accepts(state.recorded(other!, 1))[0]!.operations![0]!.launch!.task_infos![0]!.executor).toEqual(executor);
  });

  test('bring the executor themselves when the other role gave up', () => {
    const state = twoRoles();
    const [web, ops] = [podOf('web'), podOf('ops')];
    const given = offerTo('web', 'a1');
    state.offered([given, offerTo('ops', 'a1')], 0);
    register(state);
    state.reserve(web, 'host-a1');
    state.rescinded(given.id.value, 1);
    expect(state.nodesFor(ops)[0]!.unavailable).toBeUndefined();
    expect(state.reserve(ops, 'host-a1')).toBeDefined();
    const [launch] = state.takeLaunches(1);
    expect(launch!.tasks[0]!.carriesExecutor).toBe(true);
    state.notRecorded(launch!, 'no apiserver', 1);
    state.offered([offerTo('web', 'a1')], 2);
    expect(state.reserve(podOf('web', 'again'), 'host-a1')).toBeDefined();
  });

  test('are asked for and left to others role by role', () => {
    const state = twoRoles();
    const said = (effects: readonly Effect[]) =>
      callsOf(effects).flatMap((call) => {
        if (call.type === 'REVIVE') return [`REVIVE ${call.revive?.roles?.join()}`];
        return call.type === 'SUPPRESS' ? [`SUPPRESS ${call.suppress?.roles?.join()}`] : [call.type];
      });
    const ops = podOf('ops');
    expect(said(state.want([ops], 0))).toEqual(['REVIVE ops']);
    state.offered([offerTo('web', 'a1'), offerTo('ops', 'a1')], 0);
    register(state);
    expect(said(state.tick(300))).toEqual(['DECLINE', 'SUPPRESS web', 'DECLINE']);
    expect(said(state.want([ops, podOf('web')], 2000))).toEqual(['REVIVE web']);
    expect(said([...state.want([], 3000), ...state.tick(3300)])).toEqual(['SUPPRESS web', 'SUPPRESS ops']);
  });

  test('take what is reserved for the role before the rest', () => {
    const state = twoRoles();
    const reserved = { ...scalar('cpus', 0.1), allocation_info: { role: 'web' } };
    reserved.reservations = [{ type: 'STATIC', role: 'web' }];
    const offer = offerTo('web', 'a1');
    state.offered([{ ...offer, resources: [...offer.resources!, reserved] }], 0);
    register(state);
    state.executors.runs('a1', { type: 'CUSTOM', executor_id: { value: 'km-test' }, command: {} }, state.frameworkId);
    state.reserve(podOf('web'), 'host-a1');
    const cpus = state.takeLaunches(0)[0]!.tasks[0]!.resources.filter(({ name }) => name === 'cpus');
    expect(cpus.map(({ scalar: amount, reservations }) => [amount!.value, reservations?.[0]?.role])).toEqual([
      [0.1, 'web'],
      [0.15, undefined],
    ]);
  });

  test('make up the node, without what is reserved for others', () => {
    const state = twoRoles();
    const reserved = (role: string): Resource => ({ ...scalar('cpus', 1), reservations: [{ type: 'STATIC', role }] });
    const facts = { id: 'a1', hostname: 'host', ip: '10.0.0.1', port: 5051, attributes: [], domain: undefined };
    state.learnAgent({ ...facts, total: [scalar('cpus', 4), reserved('web'), reserved('ops'), reserved('dev')] });
    expect(state.nodes[0]!.allocatable.cpu).toBe(5900);
  });

  test('that we do not have are named to the pods that want them', () => {
    const state = twoRoles();
    state.offered([offerTo('web', 'a1')], 0);
    register(state);
    expect(state.nodesFor(podOf('dev')).map(({ unavailable }) => unavailable)).toEqual([
      'node(s) offer nothing to the Mesos role "dev" of namespace dev, which is not in --mesos-roles',
    ]);
    expect(callsOf(state.want([podOf('dev')], 0))).toEqual([]);
    expect(state.reserve(podOf('dev'), 'host-a1')).toBeUndefined();
  });
});

describe('the role of a pod', () => {
  const namespaces = (marks: Record<string, string>) => ({
    get: (name: string): (Namespace & Stored) | undefined =>
      name in marks
        ? { metadata: { name, uid: name, resourceVersion: '1', annotations: { [annotations.role]: marks[name]! } } }
        : undefined,
  });
  const options = { mesosRole: '*', mesosRoles: ['eng/web'], namespaceRoles: ['prod=ops', 'dev=ops'] };

  test('is its namespace’s: by annotation, else by configuration, else the common one', () => {
    const roles = new Roles(options, namespaces({ dev: 'eng/web', test: 'other' }));
    expect(roles.all).toEqual(['*', 'eng/web', 'ops']);
    expect(['prod', 'dev', 'test', 'default'].map((name) => roles.of(podOf(name)))).toEqual([
      'ops',
      'eng/web',
      'other',
      '*',
    ]);
  });

  test('is configured in pairs, or not at all', () => {
    expect(() => new Roles({ ...options, namespaceRoles: ['prod'] }, namespaces({}))).toThrow(
      '--namespace-roles: expected namespace=role, got "prod"',
    );
  });
});
