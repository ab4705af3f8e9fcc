import { afterEach, expect, test } from '@jest/globals';
import type { RuntimePod } from '../../executor/runtime.ts';
import { Changes } from '../../executor/runtimes/changes.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';

let changes: Changes;
afterEach(() => changes.close());

/** Milliseconds. */
const lookTakes = 10;

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
    list: async () => {
      fake.looks++;
      await delay(lookTakes);
      return [pod()];
    },
    log: silent,
  });
  return fake;
}

test('an event is followed by a look at once', () => {
  const fake = runtime();
  fake.tell();
  expect(fake.looks).toBe(1);
});

test('in a burst of events no more than half of the time goes into looks, and what the last of them told is seen', async () => {
  const fake = runtime();
  const told: boolean[] = [];
  changes.listen(() => told.push(fake.ready));
  const started = performance.now();
  for (let i = 0; i < 200; i++) {
    fake.tell();
    await delay(1);
  }
  expect(fake.looks).toBeLessThan((performance.now() - started) / (2 * lookTakes) + 2);
  fake.ready = false;
  fake.tell();
  await eventually(() => expect(told).toEqual([true, false]), 3_000);
});
