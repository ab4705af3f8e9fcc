import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { Compacted, FutureRevision, type Batch, type Change, type Store } from '../../apiserver/store.ts';

const bytes = (text: string) => Buffer.from(text);
const text = (value: Uint8Array | undefined) => (value ? Buffer.from(value).toString() : undefined);

/** What one write did, in a form that is easy to compare. */
const brief = (change: Change): string =>
  change.type === 'put' ? `put ${change.item.key}=${text(change.item.value)}` : `delete ${change.key}`;

/** Reads a watch until `count` events have come. */
async function collect(watch: AsyncIterable<Batch>, count: number): Promise<Change[]> {
  const out: Change[] = [];
  for await (const { events } of watch) {
    out.push(...events);
    if (out.length >= count) return out;
  }
  return out;
}

async function put(store: Store, key: string, value: string, expected = 0): Promise<number> {
  const written = await store.put(key, bytes(value), expected);
  if (!written.ok) throw new Error(`${key} was not written`);
  return written.revision;
}

/** The behaviour of the Store port; run it over every implementation. `open` gives an empty store under a fresh prefix. */
export function storeSuite(name: string, open: () => Promise<{ store: Store; prefix: string }>): void {
  describe(`the ${name} store`, () => {
    let store: Store;
    let p: string;
    let stop: AbortController;

    beforeEach(async () => {
      ({ store, prefix: p } = await open());
      stop = new AbortController();
    });
    afterEach(async () => {
      stop.abort();
      await store.close();
    });

    test('gives back what was put, with the revision of the write', async () => {
      const revision = await put(store, `${p}a`, 'one');
      const { item } = await store.get(`${p}a`);
      expect(item).toMatchObject({ key: `${p}a`, revision, created: revision });
      expect(text(item!.value)).toBe('one');
      expect((await store.get(`${p}b`)).item).toBeUndefined();
    });

    test('creates a key only once and tells what is there', async () => {
      const revision = await put(store, `${p}a`, 'one');
      const again = await store.put(`${p}a`, bytes('two'), 0);
      expect(again).toMatchObject({ ok: false, current: { revision } });
    });

    test('updates and deletes only the revision that was expected', async () => {
      const first = await put(store, `${p}a`, 'one');
      const second = await put(store, `${p}a`, 'two', first);
      expect(second).toBeGreaterThan(first);
      expect((await store.put(`${p}a`, bytes('three'), first)).ok).toBe(false);
      expect((await store.delete(`${p}a`, first)).ok).toBe(false);
      expect((await store.delete(`${p}a`, second)).ok).toBe(true);
      expect(await store.delete(`${p}a`, second)).toEqual({ ok: false, current: undefined });
      expect((await store.get(`${p}a`)).item).toBeUndefined();
    });

    test('lists a prefix in key order, page by page, of one revision', async () => {
      for (const key of ['c', 'a', 'e', 'b', 'd']) await put(store, `${p}${key}`, key);
      const all = await store.list(p);
      expect(all.items.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd', 'e'].map((key) => p + key));
      expect(all).toMatchObject({ more: false, remaining: 0 });
      const first = await store.list(p, { limit: 2 });
      expect(first).toMatchObject({ more: true, remaining: 3 });
      await put(store, `${p}bb`, 'later');
      const next = await store.list(p, { limit: 2, revision: first.revision, from: `${first.items.at(-1)!.key}\0` });
      expect(next.items.map(({ key }) => key)).toEqual([`${p}c`, `${p}d`]);
      expect(next).toMatchObject({ more: true, remaining: 1, revision: first.revision });
    });

    test('shows the past at a past revision', async () => {
      const first = await put(store, `${p}a`, 'one');
      const second = await put(store, `${p}a`, 'two', first);
      await store.delete(`${p}a`, second);
      expect((await store.list(p, { revision: first })).items.map((item) => text(item.value))).toEqual(['one']);
      expect((await store.list(p)).items).toEqual([]);
    });

    test('refuses revisions that are gone or not yet there', async () => {
      const first = await put(store, `${p}a`, 'one');
      const second = await put(store, `${p}a`, 'two', first);
      const third = await put(store, `${p}a`, 'three', second);
      await store.compact(third);
      await expect(store.list(p, { revision: first })).rejects.toThrow(Compacted);
      await expect(store.list(p, { revision: third + 1000 })).rejects.toThrow(FutureRevision);
      expect((await store.list(p, { revision: third })).items.map((item) => text(item.value))).toEqual(['three']);
    });

    test('compacting twice is no error', async () => {
      const revision = await put(store, `${p}a`, 'one');
      await store.compact(revision);
      await store.compact(revision);
    });

    test('watches from the past through the present, in order, none twice', async () => {
      const before = await put(store, `${p}a`, '1');
      const first = await put(store, `${p}b`, '2');
      const seen = collect(store.watch(p, before, stop.signal), 4);
      const second = await put(store, `${p}b`, '3', first);
      await store.delete(`${p}b`, second);
      await put(store, `${p.slice(0, -1)}0-elsewhere`, 'x');
      await put(store, `${p}c`, '4');
      expect((await seen).map(brief)).toEqual([`put ${p}b=2`, `put ${p}b=3`, `delete ${p}b`, `put ${p}c=4`]);
    });

    test('a watch older than the history says so', async () => {
      let revision = await put(store, `${p}a`, '0');
      const old = revision;
      for (let i = 1; i < 5; i++) revision = await put(store, `${p}a`, String(i), revision);
      await store.compact(revision);
      await expect(collect(store.watch(p, old, stop.signal), 1)).rejects.toThrow(Compacted);
    });

    test('a watch ends when its signal aborts', async () => {
      const revision = await put(store, `${p}a`, '0');
      const seen = collect(store.watch(p, revision, stop.signal), 1);
      stop.abort();
      expect(await seen).toEqual([]);
    });

    test('many writers of one key lose no update', async () => {
      await put(store, `${p}n`, '0');
      const add = async () => {
        for (;;) {
          const { item } = await store.get(`${p}n`);
          const next = String(Number(text(item!.value)) + 1);
          if ((await store.put(`${p}n`, bytes(next), item!.revision)).ok) return;
        }
      };
      await Promise.all(Array.from({ length: 24 }, add));
      expect(text((await store.get(`${p}n`)).item!.value)).toBe('24');
    });

    test('agrees with a plain map under any sequence of writes, and its watch replays them', async () => {
      const step = fc.record({
        key: fc.constantFrom('a', 'b', 'c', 'a/b'),
        kind: fc.constantFrom('put', 'create', 'delete', 'stale'),
        value: fc.string({ maxLength: 8 }),
      });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          const root = `${p}run${run++}/`;
          const model = new Map<string, { value: string; revision: number }>();
          const expected: string[] = [];
          const { revision: start } = await store.get(root);
          for (const { key, kind, value } of steps) {
            const at = model.get(key)?.revision ?? 0;
            const asked = kind === 'create' ? 0 : kind === 'stale' ? at + 1_000_000 : at;
            const written =
              kind === 'delete'
                ? await store.delete(root + key, asked)
                : await store.put(root + key, bytes(value), asked);
            const should = asked === at && !(kind === 'delete' && at === 0);
            expect(written.ok).toBe(should);
            if (!written.ok) continue;
            expected.push(kind === 'delete' ? `delete ${root}${key}` : `put ${root}${key}=${value}`);
            if (kind === 'delete') model.delete(key);
            else model.set(key, { value, revision: written.revision });
          }
          const listed = (await store.list(root)).items.map((item) => [item.key, text(item.value)]);
          expect(listed).toEqual([...model].map(([key, { value }]) => [root + key, value]).sort(byKey));
          if (expected.length > 0) {
            const replay = await collect(store.watch(root, start, stop.signal), expected.length);
            expect(replay.map(brief)).toEqual(expected);
          }
        }),
        { numRuns: 40 },
      );
    });
  });
}

const byKey = ([a]: unknown[], [b]: unknown[]): number => ((a as string) < (b as string) ? -1 : 1);
