import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { version } from '../../apiserver/version.ts';
import { listOf, startServer, type Json, type TestServer } from './harness.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 ([sig-api-machinery]) and its promise.

const maps = '/api/v1/namespaces/default/configmaps';
const merge = { 'content-type': 'application/merge-patch+json' };
let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

const make = async (name: string, label: string): Promise<string> => {
  const { json } = await s.call('POST', maps, { metadata: { name, labels: { watch: label } } });
  return String(json['metadata']!['resourceVersion']);
};
const change = async (name: string, body: object): Promise<string> =>
  String((await s.call('PATCH', `${maps}/${name}`, body, merge)).json['metadata']!['resourceVersion']);
const remove = (name: string) => s.call('DELETE', `${maps}/${name}`);
const now = async () => String((await s.call('GET', maps)).json['metadata']!['resourceVersion']);

interface Heard {
  type: string;
  object: { metadata: { name: string; resourceVersion: string }; data?: Record<string, string> };
}
async function heard(selector: string, from: string): Promise<Heard[]> {
  const query = `watch=true&labelSelector=${encodeURIComponent(selector)}&resourceVersion=${from}&timeoutSeconds=1`;
  const { text } = await s.call('GET', `${maps}?${query}`);
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Heard);
}
const told = (events: Heard[]) => events.map(({ type, object }) => `${type} ${object.metadata.name}`);

describe('Watchers', () => {
  test('Watchers should observe add, update, and delete watch notifications on configmaps', async () => {
    const from = await now();
    await make('a', 'A');
    await change('a', { data: { mutation: '1' } });
    await change('a', { data: { mutation: '2' } });
    await remove('a');
    await make('b', 'B');
    await remove('b');
    const a = ['ADDED a', 'MODIFIED a', 'MODIFIED a', 'DELETED a'];
    expect(told(await heard('watch=A', from))).toEqual(a);
    expect(told(await heard('watch=B', from))).toEqual(['ADDED b', 'DELETED b']);
    expect(told(await heard('watch in (A,B)', from))).toEqual([...a, 'ADDED b', 'DELETED b']);
  });

  test('Watchers should be able to start watching from a specific resource version', async () => {
    await make('from', 'from');
    const first = await change('from', { data: { mutation: '1' } });
    await change('from', { data: { mutation: '2' } });
    await remove('from');
    const events = await heard('watch=from', first);
    expect(told(events)).toEqual(['MODIFIED from', 'DELETED from']);
    expect(events.map(({ object }) => object.data)).toEqual([{ mutation: '2' }, { mutation: '2' }]);
  });

  test('Watchers should be able to restart watching from the last resource version observed by the previous watch', async () => {
    const from = await now();
    await make('again', 'again');
    await change('again', { data: { mutation: '1' } });
    const before = await heard('watch=again', from);
    expect(told(before)).toEqual(['ADDED again', 'MODIFIED again']);
    await change('again', { data: { mutation: '2' } });
    await remove('again');
    const last = before.at(-1)!.object.metadata.resourceVersion;
    expect(told(await heard('watch=again', last))).toEqual(['MODIFIED again', 'DELETED again']);
  });

  test('Watchers should observe an object deletion if it stops meeting the requirements of the selector', async () => {
    const from = await now();
    await make('moves', 'here');
    await change('moves', { data: { mutation: '1' } });
    await change('moves', { metadata: { labels: { watch: 'away' } } });
    await change('moves', { data: { mutation: '2' } });
    await change('moves', { metadata: { labels: { watch: 'here' } } });
    await change('moves', { data: { mutation: '3' } });
    await remove('moves');
    const expected = ['ADDED', 'MODIFIED', 'DELETED', 'ADDED', 'MODIFIED', 'DELETED'].map((type) => `${type} moves`);
    expect(told(await heard('watch=here', from))).toEqual(expected);
  });

  test('Watchers should receive events on concurrent watches in same order', async () => {
    const from = await now();
    const starts = [from];
    for (let i = 0; i < 20; i++) {
      starts.push(await make(`order-${i}`, 'order'));
      starts.push(await change(`order-${i}`, { data: { i: `${i}` } }));
    }
    const all = await Promise.all(starts.map((start) => heard('watch=order', start)));
    const versions = all.map((events) => events.map(({ object }) => object.metadata.resourceVersion));
    for (const [i, found] of versions.entries()) expect(found).toEqual(versions[0]!.slice(i));
  });
});

test('Discovery should validate PreferredVersion for each APIGroup', async () => {
  for (const group of listOf<Json>((await s.call('GET', '/apis')).json['groups'])) {
    const { json } = await s.call('GET', `/apis/${String(group['name'])}`);
    expect(json['preferredVersion']).toEqual(group['preferredVersion']);
    expect(listOf(json['versions'])).toContainEqual(json['preferredVersion']);
  }
});

test('Servers with support for Table transformation should return a 406 for a backend which does not implement metadata', async () => {
  const review = { spec: { nonResourceAttributes: { verb: 'get', path: '/' } } };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const { status, json } = await s.call('POST', path, review, {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  });
  expect([status, json['reason']]).toEqual([406, 'NotAcceptable']);
});

test('server version should find the server version', async () => {
  const { json } = await s.call('GET', '/version');
  expect(json).toMatchObject({ major: version.major, minor: version.minor });
  expect(String(json['major'])).toMatch(/^[1-9]$/);
});
