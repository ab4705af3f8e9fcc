import { expect, test } from '@jest/globals';
import { startServer } from './harness.ts';

test('tells how long the store takes, by what is done to which resource', async () => {
  const s = await startServer();
  const path = '/apis/apps/v1/namespaces/default/controllerrevisions';
  const body = (revision: number) => ({ metadata: { name: 'measured' }, data: {}, revision });
  expect((await s.call('POST', path, body(1))).status).toBe(201);
  expect((await s.call('PUT', `${path}/measured`, body(2))).status).toBe(200);
  expect((await s.call('DELETE', `${path}/measured`)).status).toBe(200);
  const { text } = await s.call('GET', '/metrics');
  for (const operation of ['create', 'update', 'delete'])
    expect(text).toMatch(
      new RegExp(
        `^etcd_request_duration_seconds_count\\{operation="${operation}",group="apps",resource="controllerrevisions"\\} 1$`,
        'm',
      ),
    );
  expect(text).toMatch(/^etcd_request_duration_seconds_count\{operation="create",group="",resource="namespaces"\} \d/m);
  await s.stop();
});
