import { afterEach, expect, test } from '@jest/globals';
import type { RuntimePod } from '../../executor/runtime.ts';
import { Changes } from '../../executor/runtimes/changes.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';

let changes: Changes;
afterEach(() => changes.close());

/** A runtime whose events the test tells. */
function runtime() {
  const fake = { looks: 0, ready: true, tell: () => undefined as void };
  const pod = (): RuntimePod => ({
    ...{ uid: 'u', namespace: 'default', name: 'p', containers: [] },
    sandbox: { id: 's', ip: '', ready: fake.ready, createdAt: 0, attempt: 0 },
  });
  changes = new Changes({
    events: (listener) => {
      fake.tell = listener;
      return { cancel: () => undefined };
    },
    list: () => Promise.resolve([(fake.looks++, pod())]),
    log: silent,
  });
  return fake;
}

test('an event is followed by a look at once', () => {
  const fake = runtime();
  fake.tell();
  expect(fake.looks).toBe(1);
});

test('a burst of events costs a few looks, and what the last of them told is seen', async () => {
  const fake = runtime();
  const told: boolean[] = [];
  changes.listen(() => told.push(fake.ready));
  const events = 200;
  for (let i = 0; i < events; i++) {
    fake.tell();
    await delay(1);
  }
  fake.ready = false;
  fake.tell();
  await delay(120);
  expect(fake.looks).toBeLessThan(events / 4);
  expect(told).toEqual([true, false]);
});
