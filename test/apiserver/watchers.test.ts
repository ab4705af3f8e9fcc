import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CacheEvent, Follower } from '../../apiserver/cache.ts';
import { Watchers } from '../../apiserver/watchers.ts';
import { startServer, type TestServer } from './harness.ts';

// Many watches are told together what happens in a moment; nothing else about them may differ from a few.

let s: TestServer;
beforeAll(async () => {
  s = await startServer();
});
afterAll(() => s.stop());

const maps = '/api/v1/namespaces/default/configmaps';

interface Heard {
  type: string;
  object: { metadata: { resourceVersion: string; annotations?: object } };
}

test('a hundred watches that begin and end while something is always written hear everything once, in order, up to what their last bookmark says', async () => {
  const written: number[] = [];
  const { json } = await s.call('GET', maps);
  const from = Number(json['metadata']!['resourceVersion']);
  let isOver = false;
  const write = async (writer: number) => {
    for (let i = 0; !isOver; i++) {
      const made = await s.call('POST', maps, { metadata: { name: `m-${writer}-${i}` } });
      written.push(Number(made.json['metadata']!['resourceVersion']));
    }
  };
  const writers = Promise.all([0, 1, 2, 3].map(write));
  const watch = async (i: number) => {
    await new Promise((resolve) => setTimeout(resolve, i * 8));
    // Some begin at the first revision, some at the newest that anybody has seen.
    const first = i % 2 === 0 ? from : Math.max(from, ...written);
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=2&resourceVersion=${first}`;
    const { text } = await s.call('GET', `${maps}?${query}`);
    const heard = text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Heard);
    return { first, heard };
  };
  const watches = await Promise.all(Array.from({ length: 100 }, (_, i) => watch(i)));
  isOver = true;
  await writers;
  written.sort((a, b) => a - b);
  for (const { first, heard } of watches) {
    const revisions = heard
      .filter(({ type }) => type === 'ADDED')
      .map(({ object }) => Number(object.metadata.resourceVersion));
    const bookmark = heard.findLast(({ type }) => type === 'BOOKMARK');
    const seen = Number(bookmark?.object.metadata.resourceVersion);
    expect(revisions.length).toBeGreaterThan(10);
    expect(revisions.filter((revision) => revision <= seen)).toEqual(
      written.filter((revision) => revision > first && revision <= seen),
    );
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  }
}, 60_000);

const event = (revision: number) => ({ revision }) as CacheEvent;

function told(watches: number): { watchers: Watchers; batches: number[][] } {
  const watchers = new Watchers();
  const batches: number[][] = [];
  const quiet = (): Follower => ({ events: () => undefined, lost: () => undefined });
  for (let i = 1; i < watches; i++) watchers.follow(quiet());
  watchers.follow({ ...quiet(), events: (events) => batches.push(events.map(({ revision }) => revision)) });
  return { watchers, batches };
}

test('a few are told at once, each time', () => {
  const { watchers, batches } = told(9);
  for (const revision of [1, 2, 3]) watchers.tell([event(revision)]);
  expect(batches).toEqual([[1], [2], [3]]);
});

test('many are told at once of what comes alone, and together of what comes right after it', async () => {
  const { watchers, batches } = told(100);
  for (const revision of [1, 2, 3]) watchers.tell([event(revision)]);
  expect(batches).toEqual([[1]]);
  watchers.flush();
  watchers.tell([event(4), event(5)]);
  watchers.tell([event(6)]);
  expect(batches).toEqual([[1], [2, 3]]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(batches).toEqual([[1], [2, 3], [4, 5, 6]]);
});

test('who loses its place is told nothing any more', async () => {
  const { watchers, batches } = told(100);
  for (const revision of [1, 2]) watchers.tell([event(revision)]);
  watchers.lost();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([watchers.size, batches]).toEqual([0, [[1]]]);
});
