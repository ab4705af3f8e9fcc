import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import type { Client } from '../../client/client.ts';
import { Records } from '../../framework/records.ts';
import { makePod } from '../scheduler/builders.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';
import { makeOffer, register, subscribed } from './builders.ts';

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(() => server.stop());

test('launches that leave together are one object, and are told one by one to the next scheduler', async () => {
  const state = subscribed();
  state.offered([makeOffer('a1'), makeOffer('a2')], 0);
  register(state);
  for (const agent of ['a1', 'a2']) state.reserve(makePod(agent), `host-${agent}`, { data: `of-${agent}` });
  const launches = state.takeLaunches(0);
  const [{ record } = { record: '' }] = launches;
  const records = new Records(client, 'kubernetes');
  await records.write(record, launches);
  const places = (await records.underWay()).map(({ key, agentId, node, record: of, volumes }) => {
    return [key, agentId, node, of, volumes];
  });
  expect(places).toEqual([
    ['default/a1', 'a1', 'host-a1', record, { data: 'of-a1' }],
    ['default/a2', 'a2', 'host-a2', record, { data: 'of-a2' }],
  ]);
  expect(await new Records(client, 'other').underWay()).toEqual([]);
  await records.erase(record);
  expect(await records.underWay()).toEqual([]);
  await records.erase(record);
});

test('a record of an older km names the agent of its tasks once', async () => {
  const task = { id: 'pod.u.0', key: 'default/p', uid: 'u', rebound: false };
  await client.create(ConfigMap, {
    metadata: { namespace: 'kube-system', name: 'launch-old', labels: { 'k8s.mesosphere.io/launch': 'kubernetes' } },
    data: { agentId: 'a1', node: 'host-a1', tasks: JSON.stringify([task]) },
  });
  expect(await new Records(client, 'kubernetes').underWay()).toEqual([
    { ...task, agentId: 'a1', node: 'host-a1', anyPorts: [], stage: 'launching', record: 'launch-old' },
  ]);
});
