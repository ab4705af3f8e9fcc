import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Event } from '../../api/kinds/event.ts';
import type { Client } from '../../client/client.ts';
import { EventCorrelator } from '../../client/event-correlator.ts';
import { EventRecorder } from '../../client/events.ts';
import { silent } from '../../lib/log.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';

const minute = 60_000;
const said = (message: string, reason = 'Failed', about = 'pod') => ({ about, type: 'Warning', reason, message });

test('events that differ in their message alone are combined after the ninth, until it has been quiet for ten minutes', () => {
  const correlator = new EventCorrelator();
  const say = (message: string, now: number, reason?: string) => correlator.correlate(said(message, reason), now);
  const first = Array.from({ length: 9 }, (_, i) => say(`at ${i}`, i));
  expect(new Set(first.map(({ key }) => key)).size).toBe(9);
  expect(say('at 3', 10).key).toBe(first[3]?.key);
  const [tenth, next] = [say('at 10', 11), say('at 11', 12)];
  expect([tenth.message, next.message]).toEqual([
    '(combined from similar events): at 10',
    '(combined from similar events): at 11',
  ]);
  expect(next.key).toBe(tenth.key);
  expect(say('at 12', 13, 'Other').message).toBe('at 12');
  expect(say('at 13', 13 + 11 * minute).message).toBe('at 13');
});

test('an object that much happens to is heard of twenty-five times, and once more each five minutes', () => {
  const correlator = new EventCorrelator();
  const loud = (now: number, about?: string) =>
    Array.from({ length: 30 }, () => correlator.correlate(said('again', 'Failed', about), now)).filter(
      ({ quiet }) => !quiet,
    ).length;
  expect(loud(0)).toBe(25);
  expect(loud(0, 'another')).toBe(25);
  expect(loud(4 * minute)).toBe(0);
  expect(loud(16 * minute)).toBe(3);
});

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(async () => {
  await server.stop();
});

const written = async (uid: string) =>
  (await client.list(Event, { fieldSelector: `involvedObject.uid=${uid}` })).items.map(
    ({ message, count }) => [message, count] as const,
  );

test('what is said a hundred times in other words is ten objects, the last of them with the rest', async () => {
  let now = Date.now();
  const recorder = new EventRecorder(client, 'test', silent, { now: () => now });
  const about = { kind: 'Pod', namespace: 'default', name: 'p', uid: 'many' };
  for (let i = 0; i < 25; i += 1) {
    recorder.record(about, 'Warning', 'Failed', `try ${i}`);
    await recorder.flush();
  }
  const events = await written('many');
  expect(events).toHaveLength(10);
  expect(events).toContainEqual(['(combined from similar events): try 24', 16]);
  // More of it is only counted, and told when there is room again.
  for (let i = 0; i < 75; i += 1) recorder.record(about, 'Warning', 'Failed', `later ${i}`);
  await recorder.flush();
  expect(await written('many')).toContainEqual(['(combined from similar events): try 24', 16]);
  now += 6 * minute;
  recorder.record(about, 'Warning', 'Failed', 'last');
  await recorder.flush();
  expect(await written('many')).toContainEqual(['(combined from similar events): last', 92]);
});

test('an event that ran out is written anew, and counts from one', async () => {
  const recorder = new EventRecorder(client, 'test', silent);
  const about = { kind: 'Pod', namespace: 'default', name: 'p', uid: 'old' };
  for (let i = 0; i < 3; i += 1) {
    recorder.record(about, 'Normal', 'Pulled', 'there');
    await recorder.flush();
  }
  expect(await written('old')).toEqual([['there', 3]]);
  await client.raw('DELETE', '/api/v1/namespaces/default/events?fieldSelector=involvedObject.uid%3Dold');
  recorder.record(about, 'Normal', 'Pulled', 'there');
  await recorder.flush();
  expect(await written('old')).toEqual([['there', 1]]);
});
