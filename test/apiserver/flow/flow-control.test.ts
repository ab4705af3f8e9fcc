import { connect, constants } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEmbedded } from '../../../apiserver/embedded.ts';
import type { Store } from '../../../apiserver/store.ts';
import { FlowSchema } from '../../../api/kinds/flow-schema.ts';
import { Pod } from '../../../api/kinds/pod.ts';
import { PriorityLevelConfiguration } from '../../../api/kinds/priority-level-configuration.ts';
import { attributes } from '../../../apiserver/auth/authorize.ts';
import { Feed } from '../../../apiserver/feed.ts';
import { FlowControl } from '../../../apiserver/flow/flow-control.ts';
import { widthOf } from '../../../apiserver/flow/width.ts';
import { silent } from '../../../lib/log.ts';
import { eventually } from '../../eventually.ts';
import { startServer, type Reply, type TestServer } from '../harness.ts';

// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/

const api = '/apis/flowcontrol.apiserver.k8s.io/v1';
const merge = { 'content-type': 'application/merge-patch+json' };
const configMaps = '/api/v1/namespaces/default/configmaps';
const tokens = [
  { token: 'admin-token', user: { name: 'admin', groups: ['system:masters'] } },
  { token: 'flood', user: { name: 'flood', groups: ['system:authenticated'] } },
  { token: 'calm', user: { name: 'calm', groups: ['system:authenticated'] } },
  { token: 'node', user: { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] } },
];
const as = (token: string) => ({ authorization: `Bearer ${token}` });

/** The embedded store behind a disk that takes its time. */
function slowStore(ms: number): Store {
  const store = openEmbedded(':memory:');
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== 'function') return member;
      const method = (member as (...args: unknown[]) => unknown).bind(target);
      return name === 'put' ? (...args: unknown[]) => pause(ms).then(() => method(...args)) : method;
    },
  });
}

const small = { maxRequestsInflight: 16, maxMutatingRequestsInflight: 8, authorizationMode: ['AlwaysAllow'] };
let s: TestServer;
let store: Store;
beforeAll(async () => {
  store = slowStore(10);
  s = await startServer(small, { tokens, store });
});
afterAll(async () => {
  await s.stop();
  await store.close();
});

const get = async (path: string) => (await s.call('GET', `${api}/${path}`)).json;
const metric = async (name: string, labels: string): Promise<number> => {
  const { text } = await s.call('GET', '/metrics');
  const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(labels));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
};

describe('API priority and fairness', () => {
  test('the default objects are there, and say that their levels are', async () => {
    const levels = (await get('prioritylevelconfigurations'))['items'] as unknown as { metadata: { name: string } }[];
    expect(levels.map(({ metadata }) => metadata.name)).toEqual([
      'catch-all',
      'exempt',
      'global-default',
      'leader-election',
      'node-high',
      'system',
      'workload-high',
      'workload-low',
    ]);
    expect(await get('flowschemas/system-node-high')).toMatchObject({
      metadata: { annotations: { 'apf.kubernetes.io/autoupdate-spec': 'true' } },
      spec: { matchingPrecedence: 400, priorityLevelConfiguration: { name: 'node-high' } },
      status: { conditions: [{ type: 'Dangling', status: 'False', reason: 'Found' }] },
    });
  });

  test('each answer says by which schema and level it was let in', async () => {
    const { headers } = await s.call('GET', configMaps, undefined, as('node'));
    const uid = async (path: string) => String((await get(path))['metadata']!['uid']);
    expect(headers).toMatchObject({
      'x-kubernetes-pf-flowschema-uid': await uid('flowschemas/system-nodes'),
      'x-kubernetes-pf-prioritylevel-uid': await uid('prioritylevelconfigurations/system'),
    });
  });

  test('a flood of one client keeps no kubelet from renewing its lease, nor another client from its turn', async () => {
    await s.call('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    await s.call('POST', leases, { metadata: { name: 'n1' }, spec: { holderIdentity: 'n1' } });
    const answers: Reply[] = [];
    const flood = Array.from({ length: 600 }, async (_, i) => {
      answers.push(await s.call('POST', configMaps, { metadata: { name: `flood-${i}` } }, as('flood')));
    });
    await eventually(async () =>
      expect(await metric('apiserver_flowcontrol_current_inqueue_requests', '"global-default"')).toBeGreaterThan(50),
    );
    const renewals: number[] = [];
    for (let i = 0; i < 10; i++) {
      const began = performance.now();
      const spec = { spec: { renewTime: new Date(Date.UTC(2026, 0, 1, 0, 0, i)).toISOString().replace('Z', '000Z') } };
      const { status } = await s.call('PATCH', `${leases}/n1`, spec, { ...merge, ...as('node') });
      expect(status).toBe(200);
      renewals.push(performance.now() - began);
    }
    const calm = await s.call('POST', configMaps, { metadata: { name: 'calm' } }, as('calm'));
    expect(calm.status).toBe(201);
    const waiting = await metric('apiserver_flowcontrol_current_inqueue_requests', '"global-default"');
    expect(waiting).toBeGreaterThan(0);
    await Promise.all(flood);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toMatchObject({
      headers: { 'retry-after': '1' },
      json: { reason: 'TooManyRequests', message: 'Too many requests, please try again later.' },
    });
    expect(answers.filter(({ status }) => status === 201).length + refused.length).toBe(600);
    expect(Math.max(...renewals)).toBeLessThan(1000);
    expect(await metric('apiserver_flowcontrol_rejected_requests_total', '"queue-full"')).toBe(refused.length);
    expect(await metric('apiserver_flowcontrol_current_executing_seats', '"global-default"')).toBe(0);
  }, 60_000);

  test('a watch gives its seat back once it has begun, and who hangs up gives theirs', async () => {
    const session = connect(s.url.replace(/:\d+$/, `:${s.port}`), { ca: s.ca.pem, servername: 'localhost' });
    const watches = Array.from({ length: 40 }, () =>
      session.request({ ':path': `${configMaps}?watch=true`, ...as('flood') }),
    );
    const codes = await Promise.all(
      watches.map((stream) => new Promise((done) => stream.once('response', (headers) => done(headers[':status'])))),
    );
    expect(new Set(codes)).toEqual(new Set([200]));
    expect(await metric('apiserver_flowcontrol_current_executing_seats', '"global-default"')).toBe(0);
    const writes = Array.from({ length: 40 }, () => {
      // Their bodies never come.
      const headers = { ':path': configMaps, ':method': 'POST', 'content-type': 'application/json', ...as('flood') };
      const stream = session.request(headers);
      stream.on('error', () => undefined);
      return stream;
    });
    await eventually(async () =>
      expect(await metric('apiserver_flowcontrol_current_inqueue_requests', '"global-default"')).toBeGreaterThan(10),
    );
    for (const stream of writes) stream.close(constants.NGHTTP2_CANCEL);
    await eventually(async () => {
      expect(await metric('apiserver_flowcontrol_current_inqueue_requests', '"global-default"')).toBe(0);
      expect(await metric('apiserver_flowcontrol_current_executing_seats', '"global-default"')).toBe(0);
    });
    session.destroy();
  });

  test('a new schema and level count at once; one whose level is missing is passed over', async () => {
    await s.call('POST', `${api}/prioritylevelconfigurations`, {
      metadata: { name: 'none' },
      spec: {
        type: 'Limited',
        limited: { nominalConcurrencyShares: 0, limitResponse: { type: 'Reject' }, borrowingLimitPercent: 0 },
      },
    });
    const rules = [
      {
        subjects: [{ kind: 'User', user: { name: 'calm' } }],
        resourceRules: [{ verbs: ['list'], apiGroups: [''], resources: ['secrets'], namespaces: ['*'] }],
      },
    ];
    const schema = (name: string, level: string, matchingPrecedence: number) =>
      s.call('POST', `${api}/flowschemas`, {
        metadata: { name },
        spec: { matchingPrecedence, priorityLevelConfiguration: { name: level }, rules },
      });
    await schema('dangling', 'no-such', 50);
    await schema('shut', 'none', 60);
    const list = (resource: string) => s.call('GET', `/api/v1/namespaces/default/${resource}`, undefined, as('calm'));
    await eventually(async () => expect((await list('secrets')).status).toBe(429));
    expect((await list('configmaps')).status).toBe(200);
    await s.call('DELETE', `${api}/flowschemas/shut`);
    await eventually(async () => expect((await list('secrets')).status).toBe(200));
  });

  test('mandatory objects come back as they were; suggested ones stay as an administrator made them', async () => {
    const shares = { spec: { limited: { nominalConcurrencyShares: 7 } } };
    const level = (name: string) => `${api}/prioritylevelconfigurations/${name}`;
    await s.call('PATCH', level('catch-all'), shares, merge);
    const own = { metadata: { annotations: { 'apf.kubernetes.io/autoupdate-spec': 'false' } }, ...shares };
    await s.call('PATCH', level('workload-low'), own, merge);
    await s.call('DELETE', `${api}/flowschemas/exempt`);
    await eventually(async () => {
      expect((await get('prioritylevelconfigurations/catch-all'))['spec']).toMatchObject({
        limited: { nominalConcurrencyShares: 5 },
      });
      expect(await get('flowschemas/exempt')).toMatchObject({ spec: { matchingPrecedence: 1 } });
      const dangling = await get('flowschemas/dangling');
      expect(dangling['status']).toMatchObject({ conditions: [{ type: 'Dangling', status: 'True' }] });
    }, 15_000);
    expect((await get('prioritylevelconfigurations/workload-low'))['spec']).toMatchObject({
      limited: { nominalConcurrencyShares: 7 },
    });
  }, 20_000);
});

// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#seats-occupied-by-a-request
describe('seats occupied by a request', () => {
  const asked = (verb: string) => attributes({ verb, resource: 'pods', version: 'v1' });
  const width = (verb: string, query: string, size: number, watchers = 0) =>
    widthOf(
      asked(verb),
      new URLSearchParams(query),
      () => size,
      () => watchers,
    );

  test('a list takes one for each hundred objects that are stored, and how long requests wait is measured', async () => {
    const seats = (verb: string, query: string, size: number) => width(verb, query, size).seats;
    expect(seats('get', '', 5000)).toBe(1);
    expect(seats('list', '', 99)).toBe(1);
    expect(seats('list', '', 301)).toBe(4);
    expect(seats('list', '', 100_000)).toBe(10);
    expect(seats('list', 'limit=150', 100_000)).toBe(2);
    expect(seats('watch', 'resourceVersion=7', 5000)).toBe(1);
    expect(seats('watch', '', 5000)).toBe(10);
    expect(seats('watch', 'resourceVersion=7&sendInitialEvents=true', 5000)).toBe(10);

    await s.call('GET', configMaps, undefined, as('calm'));
    const labels = 'flow_schema="global-default"';
    expect(await metric('apiserver_flowcontrol_request_wait_duration_seconds_count', labels)).toBeGreaterThan(0);
    expect(await metric('apiserver_flowcontrol_request_execution_seconds_count', labels)).toBeGreaterThan(0);
  });

  test('a write takes one for each ten who watch, and keeps them while those are told', () => {
    expect(width('create', '', 0, 9)).toEqual({ seats: 1, lingersMs: 0 });
    expect(width('patch', '', 0, 25)).toEqual({ seats: 3, lingersMs: 5 });
    expect(width('update', '', 0, 1000)).toEqual({ seats: 10, lingersMs: 50 });
    expect(width('get', '', 0, 1000)).toEqual({ seats: 1, lingersMs: 0 });
  });

  test('seats that a write keeps are in use after its answer, and given back', async () => {
    const feed = new Feed(store, [Pod, FlowSchema, PriorityLevelConfiguration] as never, 10, silent);
    for (let i = 0; i < 25; i++) feed.cache(Pod).watchers.follow({ events: () => undefined, lost: () => undefined });
    const flows = new FlowControl(feed, 100);
    const user = { name: 'writer', groups: ['system:authenticated'] };
    const caller = { once: () => undefined };
    const seat = await flows.enter(user, asked('create'), new URLSearchParams(), caller);
    const [flow] = flows.flows.filter(({ executing }) => executing > 0);
    const { seats } = flow!;
    seat.leave();
    expect([flow!.executing, flow!.seats, flow!.level.inUse]).toEqual([0, seats, seats]);
    await eventually(() => expect([flow!.seats, flow!.level.inUse]).toEqual([0, 0]));
  });
});

test('without it, only numbers count: past them everybody but administrators is refused', async () => {
  const slow = slowStore(50);
  const plain = await startServer({ ...small, enablePriorityAndFairness: false }, { tokens, store: slow });
  try {
    const made = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        plain.call('POST', configMaps, { metadata: { name: `c-${i}` } }, as(i < 10 ? 'admin-token' : 'flood')),
      ),
    );
    expect(made.slice(0, 10).every(({ status }) => status === 201)).toBe(true);
    expect(made.slice(10).some(({ status }) => status === 429)).toBe(true);
    expect((await plain.call('POST', configMaps, { metadata: { name: 'later' } }, as('flood'))).status).toBe(201);
  } finally {
    await plain.stop();
    await slow.close();
  }
});
