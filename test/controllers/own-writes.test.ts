import { mock } from 'node:test';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { Informer } from '../../client/informer.ts';
import { OwnWrites } from '../../controllers/common/own-writes.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let cluster: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  cluster = await startControllers();
}, 60_000);
afterAll(() => cluster.stop(), 60_000);

const named = (name: string): ConfigMap => ({ metadata: { name, namespace: 'default' } });

/** A cache of the ConfigMaps, and what was written to them. */
async function caching(now = Date.now) {
  const cache = new Informer(cluster.client, ConfigMap, { namespace: 'default' }, silent);
  const own = new OwnWrites(cache, now);
  return { cache, own, start: () => cache.start(cluster.signal) };
}

test('a write is unseen until the cache has it', async () => {
  const { own, start } = await caching();
  own.note('owner', await cluster.client.create(ConfigMap, named('one')));
  expect(own.seen('owner')).toBe(false);
  expect(own.seen('another')).toBe(true);
  await start();
  await eventually(() => expect(own.seen('owner')).toBe(true));
});

test('an object that came and went before the answer was read is not waited for', async () => {
  const { cache, own, start } = await caching();
  await start();
  const written = await cluster.client.create(ConfigMap, named('short-lived'));
  await cluster.client.delete(ConfigMap, written.metadata);
  const later = await cluster.client.create(ConfigMap, named('later'));
  await eventually(() => expect(cache.isAsNewAs(later.metadata.resourceVersion)).toBe(true));
  own.note('owner', written);
  expect(own.seen('owner')).toBe(true);
});

test('a deletion is unseen while the cache shows the object as one that stays', async () => {
  const { cache, own, start } = await caching();
  await start();
  const written = await cluster.client.create(ConfigMap, named('leaving'));
  await eventually(() => expect(cache.get('default/leaving')).toBeDefined());
  own.noteDeleted('owner', written);
  expect(own.seen('owner')).toBe(false);
  await cluster.client.delete(ConfigMap, written.metadata);
  await eventually(() => expect(own.seen('owner')).toBe(true));
});

test('what the cache never shows is waited for half a minute', async () => {
  let now = 0;
  const { own } = await caching(() => now);
  own.note('owner', await cluster.client.create(ConfigMap, named('never-shown')));
  now = 30_000;
  expect(own.seen('owner')).toBe(false);
  now = 30_001;
  expect(own.seen('owner')).toBe(true);
});

test('a ReplicaSet gets its pods though they are deleted before it knows that they were made', async () => {
  const { client, own } = cluster;
  // Answers are read late, as in a process that has much to do.
  const create = own.create.bind(own);
  const late = mock.method(own, 'create', async (...args: Parameters<typeof create>) => {
    const answer = await create(...args);
    await delay(100);
    return answer;
  });
  const over = new AbortController();
  const pods = new Informer(client, Pod, { labelSelector: 'app=hunted' }, silent);
  let hunted = 0;
  pods.on(({ type, object }) => {
    if (type !== 'added' || hunted >= 10) return;
    hunted += 1;
    void client.delete(Pod, object.metadata, { gracePeriodSeconds: 0 });
  });
  await pods.start(over.signal);
  const labels = { app: 'hunted' };
  await client.create(ReplicaSet, {
    metadata: { name: 'hunted', namespace: 'default' },
    spec: {
      replicas: 5,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  });
  await eventually(() => {
    expect(hunted).toBe(10);
    expect(pods.size).toBe(5);
  }, 10_000);
  over.abort();
  late.mock.restore();
}, 30_000);
