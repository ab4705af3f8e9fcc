import { mock } from 'node:test';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WorkQueue } from '../../client/queue.ts';

describe('the work queue', () => {
  beforeEach(() => mock.timers.enable());
  afterEach(() => mock.timers.reset());

  test('gives a key once, however often it was added', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    queue.add('b');
    queue.add('a');
    expect(await queue.take()).toBe('a');
    expect(await queue.take()).toBe('b');
    expect(queue.depth).toBe(0);
  });

  test('gives keys in the order in which they came; one that comes again waits behind the others', async () => {
    const queue = new WorkQueue();
    for (const key of ['busy', 'a', 'b', 'c']) queue.add(key);
    const taken: (string | undefined)[] = [];
    for (let i = 0; i < 6; i += 1) {
      const key = await queue.take();
      taken.push(key);
      if (key === 'busy') queue.add('busy');
      queue.done(key ?? '');
    }
    expect(taken).toEqual(['busy', 'a', 'b', 'c', 'busy', 'busy']);
  });

  test('gives a key again that was added while it was worked on, but only afterwards', async () => {
    const queue = new WorkQueue();
    queue.add('a');
    await queue.take();
    queue.add('a');
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(await queue.take()).toBe('a');
  });

  test('hands a key straight to somebody who waits, and still counts it as being worked on', async () => {
    const queue = new WorkQueue();
    const waiting = queue.take();
    queue.add('a');
    expect(await waiting).toBe('a');
    queue.add('a');
    expect(queue.depth).toBe(0);
  });

  test('of two delays the shorter counts', async () => {
    const queue = new WorkQueue();
    queue.addAfter('a', 1000);
    queue.addAfter('a', 100);
    queue.addAfter('a', 500);
    mock.timers.tick(100);
    expect(queue.depth).toBe(1);
    await queue.take();
    queue.done('a');
    mock.timers.tick(5000);
    expect(queue.depth).toBe(0);
  });

  test('waits longer after each failure, until it is told to forget', () => {
    const queue = new WorkQueue({ first: 100, max: 1000 });
    const waits = [1, 2, 3, 4, 5, 6].map(() => queue.addRateLimited('a'));
    expect(waits[1]!).toBeGreaterThanOrEqual(100);
    expect(waits[5]!).toBeGreaterThanOrEqual(500);
    expect(waits[5]!).toBeLessThanOrEqual(1000);
    queue.forget('a');
    expect(queue.addRateLimited('a')).toBeLessThanOrEqual(100);
    queue.close();
  });

  test('lets everybody go when it closes', async () => {
    const queue = new WorkQueue();
    const waiting = queue.take();
    queue.close();
    expect(await waiting).toBeUndefined();
    expect(await queue.take()).toBeUndefined();
  });
});
