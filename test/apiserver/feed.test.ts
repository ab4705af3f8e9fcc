import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { Cache } from '../../apiserver/cache.ts';
import { Feed } from '../../apiserver/feed.ts';

test('reading a large store says how far it has come, and what there was', async () => {
  const store = openEmbedded(':memory:');
  const count = 10_001;
  const value = (i: number) => Buffer.from(JSON.stringify({ metadata: { name: `c-${i}`, namespace: 'default' } }));
  for (let i = 0; i < count; i++) await store.put(`/registry/configmaps/default/c-${i}`, value(i), 0);
  const lines: unknown[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const stopping = new AbortController();
  await new Feed(store, [ConfigMap as never], 10, log).start(stopping.signal);
  stopping.abort();
  await store.close();
  const revision: unknown = expect.any(Number);
  expect(lines).toEqual([
    expect.objectContaining({ objects: 10_000, revision, msg: 'reading what the store holds' }),
    expect.objectContaining({ objects: count, revision, msg: 'has read what the store holds' }),
  ]);
}, 60_000);

test('whoever follows again when a cache is filled anew hears what comes after', () => {
  const cache = new Cache(ConfigMap as never, 10);
  const heard: number[] = [];
  const follow = () =>
    void cache.follow({ events: (events) => heard.push(...events.map(({ revision }) => revision)), lost: follow });
  const put = (revision: number) =>
    cache.apply([
      {
        type: 'put',
        item: { key: '/registry/configmaps/default/a', value: Buffer.from('{"metadata":{"name":"a"}}'), revision },
      },
    ] as never);
  follow();
  put(1);
  cache.reset([], 5);
  put(6);
  expect(heard).toEqual([1, 6]);
});
