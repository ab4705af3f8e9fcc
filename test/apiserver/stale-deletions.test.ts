import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEmbedded } from '../../apiserver/embedded.ts';
import type { Batch, Store } from '../../apiserver/store.ts';
import { type TestServer, startServer } from './harness.ts';

/** A store whose news come late while it is held: who follows it knows an old state. */
class LateStore {
  #held: PromiseWithResolvers<void> | undefined;

  hold(): void {
    this.#held = Promise.withResolvers<void>();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  over(store: Store): Store {
    const news = (prefix: string, after: number, signal: AbortSignal) => this.#late(store.watch(prefix, after, signal));
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'watch') return news;
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  }

  async *#late(batches: AsyncIterable<Batch>): AsyncIterable<Batch> {
    for await (const batch of batches) {
      await this.#held?.promise;
      yield batch;
    }
  }
}

const cms = '/api/v1/namespaces/default/configmaps';
const late = new LateStore();
let store: Store;
let writer: TestServer;
let s: TestServer;

beforeAll(async () => {
  store = openEmbedded(':memory:');
  writer = await startServer({}, { store });
  s = await startServer({}, { store: late.over(store) });
});
afterAll(async () => {
  late.release();
  await s.stop();
  await writer.stop();
  await store.close();
});

const questions = async () => {
  const { text } = await s.call('GET', '/metrics');
  const count = /^etcd_request_duration_seconds_count\{operation="get",group="",resource="configmaps"\} (\d+)$/m.exec(
    text,
  );
  return Number(count?.[1] ?? 0);
};
const known = async (name: string) => {
  await writer.call('POST', cms, { metadata: { name } });
  // A list of what is newest waits for the cache.
  await s.call('GET', cms);
};

test('what the cache holds is deleted without a question to the store', async () => {
  await known('plain');
  const before = await questions();
  expect((await s.call('DELETE', `${cms}/plain`)).status).toBe(200);
  expect(await questions()).toBe(before);
  expect((await writer.call('GET', `${cms}/plain`)).status).toBe(404);
});

test('a finalizer that the cache has not heard of holds what is deleted', async () => {
  await known('held');
  late.hold();
  await writer.call('PATCH', `${cms}/held`, { metadata: { finalizers: ['example.com/wait'] } }, merge);
  const { json } = await s.call('DELETE', `${cms}/held`);
  late.release();
  expect(json).toMatchObject({ metadata: { name: 'held', deletionTimestamp: expect.any(String) } });
  expect((await writer.call('GET', `${cms}/held`)).status).toBe(200);
});

test('who names the newest version is not refused because of an older one; who names an older one is', async () => {
  await known('versioned');
  late.hold();
  const before = (await s.call('GET', `${cms}/versioned`)).json['metadata']!['resourceVersion'];
  const { json } = await writer.call('PATCH', `${cms}/versioned`, { data: { a: 'b' } }, merge);
  const asked = (resourceVersion: unknown) =>
    s.call('DELETE', `${cms}/versioned`, { preconditions: { resourceVersion } });
  expect((await asked(before)).status).toBe(409);
  expect((await asked(json['metadata']!['resourceVersion'])).status).toBe(200);
  late.release();
});

test('what somebody else deleted is not there to be deleted again, nor is what was marked and then went', async () => {
  await known('gone');
  await writer.call('POST', cms, { metadata: { name: 'marked', finalizers: ['example.com/wait'] } });
  await writer.call('DELETE', `${cms}/marked`);
  await s.call('GET', cms);
  late.hold();
  await writer.call('DELETE', `${cms}/gone`);
  await writer.call('PATCH', `${cms}/marked`, { metadata: { finalizers: null } }, merge);
  expect((await s.call('DELETE', `${cms}/gone`)).status).toBe(404);
  expect((await s.call('DELETE', `${cms}/marked`)).status).toBe(404);
  late.release();
});

const merge = { 'content-type': 'application/merge-patch+json' };
