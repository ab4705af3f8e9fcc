import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { follow } from './follow.ts';
import { startServer, type TestServer } from './harness.ts';

const v1 = '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers';
const v2 = '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers';
const merge = { 'content-type': 'application/merge-patch+json' };
const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' };

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

test('an autoscaler made in one version is the same object in the other', async () => {
  const made = await s.call('POST', v1, {
    metadata: { name: 'one' },
    spec: { scaleTargetRef, maxReplicas: 5, targetCPUUtilizationPercentage: 60 },
  });
  expect(made.json).toMatchObject({ apiVersion: 'autoscaling/v1', spec: { targetCPUUtilizationPercentage: 60 } });
  const other = (await s.call('GET', `${v2}/one`)).json;
  expect(other).toMatchObject({
    apiVersion: 'autoscaling/v2',
    metadata: { uid: made.json['metadata']!['uid'], resourceVersion: made.json['metadata']!['resourceVersion'] },
    spec: { metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 60 } } }] },
  });
});

test('what v1 cannot say travels in its annotations and comes back', async () => {
  const metrics = [
    { type: 'Pods', pods: { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '5' } } },
    { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
  ];
  const behavior = { scaleDown: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] } };
  const made = await s.call('POST', v2, {
    metadata: { name: 'rich' },
    spec: { scaleTargetRef, maxReplicas: 5, metrics, behavior },
  });
  expect(made.status).toBe(201);
  const old = (await s.call('GET', `${v1}/rich`)).json;
  expect(old['metadata']!['annotations']).toMatchObject({
    'autoscaling.alpha.kubernetes.io/metrics': '[{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"5"}}]',
    'autoscaling.alpha.kubernetes.io/behavior': expect.stringContaining('"PeriodSeconds":60'),
  });
  const patched = await s.call('PATCH', `${v1}/rich`, { spec: { maxReplicas: 7 } }, merge);
  expect(patched.json).toMatchObject({ apiVersion: 'autoscaling/v1', spec: { maxReplicas: 7 } });
  const back = (await s.call('GET', `${v2}/rich`)).json;
  expect(back['spec']).toEqual({ ...made.json['spec'], maxReplicas: 7 });
  expect(back['metadata']!['annotations']).toBeUndefined();
});

test('a watch shows every object in the version it was asked in, whoever wrote in which', async () => {
  const from = String((await s.call('GET', v1)).json['metadata']!['resourceVersion']);
  const [older, newer] = [
    await follow(s, `${v1}?watch=1&resourceVersion=${from}`),
    await follow(s, `${v2}?watch=1&resourceVersion=${from}`),
  ];
  await s.call('PATCH', `${v2}/one`, { metadata: { labels: { a: 'b' } } }, merge);
  await s.call('DELETE', `${v1}/one`);
  expect((await older.next(2)).map(({ type, object }) => [type, object['apiVersion']])).toEqual([
    ['MODIFIED', 'autoscaling/v1'],
    ['DELETED', 'autoscaling/v1'],
  ]);
  expect((await newer.next(2)).map(({ type, object }) => [type, object['apiVersion']])).toEqual([
    ['MODIFIED', 'autoscaling/v2'],
    ['DELETED', 'autoscaling/v2'],
  ]);
  older.close();
  newer.close();
});

test('events are the same under both their groups', async () => {
  const made = await s.call('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
    metadata: { name: 'e' },
    regarding: { kind: 'Pod', namespace: 'default', name: 'p' },
    note: 'done',
    reason: 'R',
    action: 'A',
    type: 'Normal',
    reportingController: 'example.com/c',
    reportingInstance: 'c-1',
    eventTime: '2026-01-02T03:04:05.000006Z',
  });
  expect([made.status, made.json['message']]).toEqual([201, undefined]);
  expect((await s.call('GET', '/api/v1/namespaces/default/events/e')).json).toMatchObject({
    apiVersion: 'v1',
    involvedObject: { name: 'p' },
    message: 'done',
    reportingComponent: 'example.com/c',
  });
  const old = await s.call('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
    metadata: { name: 'old' },
    ...{ regarding: { kind: 'Pod', namespace: 'default', name: 'p' }, deprecatedCount: 2, type: 'Normal' },
  });
  expect([old.status, old.json['message']]).toEqual([
    422,
    'Event.events.k8s.io "old" is invalid: [eventTime: Required value, count: Invalid value: "": needs to be unset]',
  ]);
  const list = await s.call('GET', '/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dp');
  expect(list.json).toMatchObject({ kind: 'EventList', items: [{ apiVersion: 'events.k8s.io/v1', note: 'done' }] });
});
