import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Pod, type Pod as PodObject } from '../../api/kinds/pod.ts';
import type { Client } from '../../client/client.ts';
import { EventRecorder } from '../../client/events.ts';
import { silent } from '../../lib/log.ts';
import { Evictor } from '../../scheduler/evictor.ts';
import { Nominations } from '../../scheduler/nominations.ts';
import { type TestServer, startServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { makeNode } from './builders.ts';

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(() => server.stop());

const create = async (name: string, priority: number) => {
  const spec = { containers: [{ name: 'c', image: 'busybox' }], terminationGracePeriodSeconds: 0 };
  const pod = await client.create(Pod, { metadata: { name, namespace: 'default' }, spec });
  return { ...pod, spec: { ...pod.spec, priority } };
};
const nominated = async (name: string) =>
  (await client.get(Pod, { namespace: 'default', name })).status?.nominatedNodeName;
const nameOf = ({ metadata }: PodObject) => metadata.name;

test('victims end, their node is kept for whom they made room, and for nobody who is less important', async () => {
  let now = 0;
  const nominations = new Nominations(() => []);
  const events = new EventRecorder(client, 'test', silent);
  const evictor = new Evictor({ client, events, log: silent, now: () => now, nominations });
  const [urgent, lesser, low, victim] = [
    await create('urgent', 100),
    await create('lesser', 50),
    await create('low', 1),
    await create('victim', 1),
  ];
  const node = makeNode('a', { pods: [low, victim] });
  expect(evictor.awaits(lesser, [node])).toBe(false);
  evictor.evict(lesser, { node: 'a', victims: [low] }, 'default-scheduler');
  await eventually(async () => expect(await nominated('lesser')).toBe('a'));
  expect(evictor.awaits(lesser, [node])).toBe(true);

  evictor.evict(urgent, { node: 'a', victims: [victim] }, 'default-scheduler');
  expect(nominations.on('a').map(nameOf)).toEqual(['urgent']);
  await eventually(async () => {
    expect([await nominated('urgent'), await nominated('lesser')]).toEqual(['a', undefined]);
    const { items } = await client.list(Pod, { namespace: 'default' });
    expect(items.map(nameOf).sort()).toEqual(['lesser', 'urgent']);
  });
  expect([evictor.awaits(urgent, [node]), evictor.awaits(lesser, [node])]).toEqual([true, false]);

  // What they held is offered a little later than they have ended.
  const empty = makeNode('a');
  expect(evictor.awaits(urgent, [empty])).toBe(true);
  now += 5000;
  expect(evictor.awaits(urgent, [empty])).toBe(false);

  evictor.withdraw(urgent);
  expect(nominations.on('a')).toEqual([]);
  await eventually(async () => expect(await nominated('urgent')).toBeUndefined());
});
