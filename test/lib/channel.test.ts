import { describe, expect, test } from '@jest/globals';
import { Channel, ChannelOverflow } from '../../lib/channel.ts';

describe('a channel', () => {
  test('gives what was pushed, in order, also before somebody reads', async () => {
    const channel = new Channel<number>();
    for (let i = 0; i < 5000; i++) channel.push(i);
    channel.end();
    const read: number[] = [];
    for await (const item of channel) read.push(item);
    expect(read).toEqual(Array.from({ length: 5000 }, (_, i) => i));
  });

  test('wakes a reader that waits', async () => {
    const channel = new Channel<string>();
    const first = channel[Symbol.asyncIterator]().next();
    channel.push('a');
    expect(await first).toEqual({ value: 'a', done: false });
  });

  test('cuts off a reader that is too slow', async () => {
    const channel = new Channel<number>(2);
    expect([channel.push(1), channel.push(2), channel.push(3)]).toEqual([true, true, false]);
    await expect(channel[Symbol.asyncIterator]().next()).rejects.toThrow(ChannelOverflow);
    expect(channel.push(4)).toBe(false);
  });

  test('throws the writer’s error after what was pushed before it', async () => {
    const channel = new Channel<number>();
    channel.push(1);
    channel.end(new Error('broken'));
    const reader = channel[Symbol.asyncIterator]();
    expect((await reader.next()).value).toBe(1);
    await expect(reader.next()).rejects.toThrow('broken');
  });

  test('takes nothing more when its reader has left', async () => {
    const channel = new Channel<number>();
    channel.push(1);
    for await (const _ of channel) break;
    expect(channel.push(2)).toBe(false);
  });
});
