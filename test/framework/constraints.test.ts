import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { NodeSelectorTerm, Pod } from '../../api/kinds/pod.ts';
import { fitsAffinity } from '../../api/node-selection.ts';
import { satisfies } from '../../devcluster/constraints.ts';
import { Agent } from '../../framework/agents.ts';
import { groupsFor } from '../../framework/constraints.ts';
import { labelsOf } from '../../framework/nodes.ts';
import { Quotas } from '../../framework/quotas.ts';
import { wantOf } from '../../framework/resources.ts';
import type { Attribute } from '../../mesos/types.ts';
import { makePod } from '../scheduler/builders.ts';
import { callsOf, callTypes, makeOffer, register, subscribed } from './builders.ts';

const rack = 'k8s.mesosphere.io/attribute-rack';
const zone = 'topology.kubernetes.io/zone';
const onRack = (value: string): Pod => makePod(`on-${value}`, { nodeSelector: { [rack]: value } });
const text = (name: string, value: string): Attribute => ({ name, type: 'TEXT', text: { value } });
const equals = (name: string, value: string) => ({
  selector: { attribute_name: name },
  predicate: { text_equals: { value } },
});
const hosts = (node: string) => (node === 'n1' ? 'N1' : undefined);
const withTerms = (name: string, ...nodeSelectorTerms: NodeSelectorTerm[]): Pod =>
  makePod(name, {
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  });

describe('offers are asked of', () => {
  test.each<[string, Pod[], unknown]>([
    ['agents with the attribute that a pod demands', [onRack('r1')], [[equals('rack', 'r1')]]],
    [
      'agents that one of the pods demands',
      [onRack('r1'), onRack('r2')],
      [[equals('rack', 'r1')], [equals('rack', 'r2')]],
    ],
    ['any agent when one pod demands nothing', [onRack('r1'), makePod('any')], undefined],
    [
      'any agent when a label is demanded that agents do not make',
      [makePod('p', { nodeSelector: { disk: 'ssd' } })],
      undefined,
    ],
    [
      'agents by one of several values',
      [withTerms('p', { matchExpressions: [{ key: rack, operator: 'In', values: ['r1', 'r2'] }] })],
      [[equals('rack', 'r1')], [equals('rack', 'r2')]],
    ],
    [
      'agents that have an attribute at all',
      [withTerms('p', { matchExpressions: [{ key: rack, operator: 'Gt', values: ['3'] }] })],
      [[{ selector: { attribute_name: 'rack' }, predicate: { exists: {} } }]],
    ],
    [
      'any agent when a label must be absent: its attribute may be one that no label can tell',
      [withTerms('p', { matchExpressions: [{ key: rack, operator: 'DoesNotExist' }] })],
      undefined,
    ],
    [
      'the agent of a node, by its own name',
      [withTerms('p', { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] })],
      [[{ selector: { pseudoattribute_type: 'HOSTNAME' }, predicate: { text_equals: { value: 'N1' } } }]],
    ],
    [
      'any agent when the one of the node is not known',
      [makePod('p', { nodeSelector: { 'kubernetes.io/hostname': 'n2' } })],
      undefined,
    ],
    [
      'agents of a zone, or of none',
      [makePod('p', { nodeSelector: { [zone]: 'z1' } })],
      [
        [{ selector: { pseudoattribute_type: 'ZONE' }, predicate: { text_equals: { value: 'z1' } } }],
        [{ selector: { pseudoattribute_type: 'ZONE' }, predicate: { not_exists: {} } }],
      ],
    ],
    ['any agent when pods are of too many minds', Array.from({ length: 70 }, (_, i) => onRack(`r${i}`)), undefined],
  ])('%s', (_what, pods, groups) => {
    expect(groupsFor(pods, hosts)).toEqual(groups);
  });

  test('every agent that one of the pods fits, whatever it is like', () => {
    const values = fc.constantFrom('a', 'b', 'not a label', '');
    const attribute = fc.oneof(
      fc.tuple(fc.constantFrom('x', 'y'), values).map(([name, value]) => text(name, value)),
      fc.constantFrom('x', 'y').map((name): Attribute => ({ name, type: 'SCALAR', scalar: { value: 3 } })),
    );
    const domain = fc.option(
      fc.constantFrom('a', 'b').map((name) => ({ fault_domain: { region: { name: 'r' }, zone: { name } } })),
      { nil: undefined },
    );
    const keys = ['x', 'y'].map((name) => `k8s.mesosphere.io/attribute-${name}`);
    const requirement = fc.record({
      key: fc.constantFrom(...keys, zone, 'kubernetes.io/hostname', 'other'),
      operator: fc.constantFrom(...(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt'] as const)),
      values: fc.array(fc.constantFrom('a', 'b', '', '3', '2', 'host'), { minLength: 1, maxLength: 2 }),
    });
    const terms = fc.array(fc.record({ matchExpressions: fc.array(requirement, { maxLength: 3 }) }), {
      minLength: 1,
      maxLength: 3,
    });
    const written = fc.record({ zone: fc.constantFrom(undefined, 'a', 'b'), other: fc.constantFrom(undefined, 'a') });
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 3 }),
        domain,
        written,
        fc.array(terms, { minLength: 1, maxLength: 3 }),
        (attributes, fault, hand, asked) => {
          const facts = { id: 'a', hostname: 'HOST', ip: '10.0.0.1', port: 5051, attributes, domain: fault, total: [] };
          const agent = new Agent('host', facts, {
            overhead: wantOf([]),
            lead: 0,
            maxPods: 110,
            quotas: new Quotas(),
            isRevocable: false,
          });
          const own = { ...(hand.zone ? { [zone]: hand.zone } : {}), ...(hand.other ? { other: hand.other } : {}) };
          const node = { metadata: { name: 'host', labels: { ...own, ...labelsOf(agent) } } };
          const pods = asked.map((wish, i) => withTerms(`p${i}`, ...wish));
          const groups = groupsFor(pods, (name) => (name === 'host' ? 'HOST' : undefined));
          const constraints = groups && {
            role_constraints: { web: { groups: groups.map((all) => ({ attribute_constraints: [...all] })) } },
          };
          const info = { hostname: 'HOST', attributes, ...(fault ? { domain: fault } : {}) };
          if (pods.some((pod) => fitsAffinity(pod)?.(node))) expect(satisfies(constraints, 'web', info)).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('the master is told', () => {
  const told = (effects: Parameters<typeof callsOf>[0]) =>
    callsOf(effects).flatMap((call) =>
      call.type === 'UPDATE_FRAMEWORK' ? [call.update_framework.offer_constraints?.role_constraints] : [],
    );
  const r1 = { '*': { groups: [{ attribute_constraints: [equals('rack', 'r1')] }] } };

  test('of less after a while, of more at once and before it is asked for offers', () => {
    const state = subscribed();
    expect(told(state.want([onRack('r1')], 0))).toEqual([]);
    expect(told(state.tick(900))).toEqual([]);
    expect(told(state.tick(1000))).toEqual([r1]);
    expect(told(state.tick(5000))).toEqual([]);
    const effects = state.want([onRack('r1'), makePod('any')], 5001);
    expect(told(effects)).toEqual([{}]);
    expect(callTypes(effects)).toEqual(['UPDATE_FRAMEWORK', 'REVIVE']);
  });

  test('nothing new when the last pod has its place, with the roles that want no offers', () => {
    const state = subscribed();
    state.want([onRack('r1')], 0);
    state.tick(1000);
    expect(told(state.want([], 1001))).toEqual([]);
    expect(callTypes(state.tick(1300))).toEqual(['SUPPRESS']);
    const [update] = callsOf(state.want([onRack('r2')], 2000));
    if (update?.type !== 'UPDATE_FRAMEWORK') throw new Error('expected an UPDATE_FRAMEWORK');
    expect(update.update_framework.suppressed_roles).toEqual([]);
    expect(update.update_framework.framework_info).toMatchObject({ id: { value: 'f-0001' }, user: 'root' });
  });

  test('the same of us as at the subscription: it takes no other user, checkpoint or principal', () => {
    const info = { user: 'km', name: 'test', roles: ['*'], checkpoint: true, principal: 'km', failover_timeout: 60 };
    const state = subscribed({ info });
    state.want([onRack('r1')], 0);
    const [update] = callsOf(state.tick(1000)).filter(({ type }) => type === 'UPDATE_FRAMEWORK');
    expect(update).toMatchObject({ update_framework: { framework_info: { ...info, id: { value: 'f-0001' } } } });
  });

  test('of the agent of a bound pod that has lost its task', () => {
    const state = subscribed();
    state.offered([makeOffer('a1', { cpus: 0.2 })], 0);
    register(state);
    state.addHomeless(makePod('p', { nodeName: 'host-a1' }), 0);
    const host = { selector: { pseudoattribute_type: 'HOSTNAME' }, predicate: { text_equals: { value: 'host-a1' } } };
    expect(told(state.tick(1500))).toEqual([{ '*': { groups: [{ attribute_constraints: [host] }] } }]);
  });

  test.each<[string, (state: ReturnType<typeof subscribed>) => void]>([
    ['is older than constraints', (state) => state.subscribed('f-0001', 0, '1.10.2')],
    ['does not say how old it is', (state) => state.subscribed('f-0001', 0, undefined)],
    ['has refused them', (state) => state.cannotNarrow()],
    [
      'has refused them before it was subscribed to anew',
      (state) => {
        state.cannotNarrow();
        state.subscribed('f-0001', 0, '1.12.0');
      },
    ],
  ])('nothing when it %s', (_when, happens) => {
    const state = subscribed();
    happens(state);
    state.want([onRack('r1')], 0);
    expect(told(state.tick(5000))).toEqual([]);
  });

  test('nothing where offers are how agents become known', () => {
    let mayNarrow = true;
    const state = subscribed({ mayNarrow: () => mayNarrow });
    state.want([onRack('r1')], 0);
    expect(told(state.tick(1000))).toEqual([r1]);
    mayNarrow = false;
    expect(told(state.tick(1001))).toEqual([{}]);
  });
});
