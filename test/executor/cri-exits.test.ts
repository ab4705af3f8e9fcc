import { describe, expect, test } from '@jest/globals';
import { Writer } from 'protobufjs/minimal.js';
import { CriExits, endedContainer } from '../../executor/runtimes/cri-exits.ts';
import { delay } from '../../lib/delay.ts';

/** containerd.events.TaskDelete */
const taskDelete = (container: string): Uint8Array =>
  Writer.create().uint32(16).uint32(4711).uint32(10).string(container).uint32(24).uint32(137).finish();

describe('an exit that containerd tells', () => {
  test('is of the container that the event names', () => {
    expect(endedContainer(taskDelete('abc'))).toBe('abc');
    expect(endedContainer(new Uint8Array())).toBeUndefined();
  });

  test('is asked of CRI until that knows it, and told once', async () => {
    let asked = 0;
    const told = Promise.withResolvers<number>();
    const exits = new CriExits(
      () => Promise.resolve(++asked === 4),
      () => told.resolve(asked),
    );
    exits.ended('abc');
    exits.ended('abc'); // told twice, asked once
    expect(await told.promise).toBe(4);
    exits.close();
  });

  test('is no longer asked for when nobody follows any more, nor when CRI fails', async () => {
    let asked = 0;
    const answered = Promise.withResolvers<void>();
    const told = () => {
      throw new Error('nobody is to be told');
    };
    const closed = new CriExits(() => Promise.resolve(++asked > 0), told);
    closed.ended('abc');
    closed.close();
    const failing = new CriExits(() => {
      answered.resolve();
      return Promise.reject(new Error('containerd is gone'));
    }, told);
    failing.ended('abc');
    await answered.promise;
    await delay(50);
    expect(asked).toBe(0);
    failing.close();
  });
});
