import { describe, expect, test } from '@jest/globals';
import { SchedulingQueue } from '../../scheduler/queue.ts';
import { makePod } from './builders.ts';

const names = (queue: SchedulingQueue, now: number) => queue.ready(now).map((pod) => pod.metadata.name);

describe('the scheduling queue', () => {
  test('gives higher priority first, then who came first', () => {
    const queue = new SchedulingQueue();
    queue.put(makePod('first'));
    queue.put(makePod('urgent', { priority: 1000 }));
    queue.put(makePod('second'));
    expect(names(queue, 0)).toEqual(['urgent', 'first', 'second']);
  });

  test('a pod that only lacks offers is tried again whenever something changes', () => {
    const queue = new SchedulingQueue();
    queue.put(makePod('p'));
    for (let now = 0; now < 5; now++) {
      expect(queue.rest('default/p', now, true)).toBe(now);
      expect(names(queue, now)).toEqual([]);
      queue.wake();
      expect(names(queue, now)).toEqual(['p']);
    }
  });

  test('a pod that fits nowhere as things are is tried ever less often, however much changes', () => {
    const queue = new SchedulingQueue();
    queue.put(makePod('p'));
    let tries = 0;
    for (let now = 0; now < 60_000; now += 50) {
      queue.wake();
      if (names(queue, now).length === 0) continue;
      tries += 1;
      queue.rest('default/p', now, false);
    }
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(20);
  });

  test('a resting pod is tried now and then even if nothing was seen to change', () => {
    const queue = new SchedulingQueue();
    queue.put(makePod('p'));
    queue.rest('default/p', 0, true);
    expect(names(queue, 9_999)).toEqual([]);
    expect(names(queue, queue.nextTurn())).toEqual(['p']);
  });

  test('a failed launch waits longer each time', () => {
    const queue = new SchedulingQueue();
    const pod = makePod('p');
    const waits = [1, 2, 3, 4].map(() => {
      queue.delete('default/p');
      queue.put(pod);
      queue.retry(pod, 0);
      return queue.nextTurn();
    });
    expect(Math.max(...waits)).toBeLessThanOrEqual(500);
    queue.retry(pod, 0);
    queue.retry(pod, 0);
    queue.retry(pod, 0);
    expect(queue.nextTurn()).toBeGreaterThan(1000);
  });

  test('a pod that changes what it asks for is tried again', () => {
    const queue = new SchedulingQueue();
    const pod = makePod('p', {}, { generation: 1 });
    queue.put(pod);
    queue.rest('default/p', 0, true);
    queue.put({ ...pod, metadata: { ...pod.metadata, generation: 2 } });
    expect(names(queue, 0)).toEqual(['p']);
  });

  test('wakes those alone that a change may help', () => {
    const queue = new SchedulingQueue();
    for (const name of ['a', 'b']) {
      queue.put(makePod(name));
      queue.rest(`default/${name}`, 0, true);
    }
    queue.wake(({ metadata }) => metadata.name === 'b');
    expect(names(queue, 0)).toEqual(['b']);
  });

  test('a pod of the same name but another uid is another pod', () => {
    const queue = new SchedulingQueue();
    queue.put(makePod('p'));
    queue.rest('default/p', 0, true);
    queue.put(makePod('p'));
    expect(names(queue, 0)).toEqual(['p']);
    expect(queue.size).toBe(1);
  });
});
