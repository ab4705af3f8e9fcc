import { expect, test } from '@jest/globals';
import type { Pod, PodStatus } from '../../api/kinds/pod.ts';
import { StatusWriter } from '../../executor/status-writer.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { RecordingApiserver } from './kubelet-for-tests.ts';
import { aPod } from './pods-for-tests.ts';

class SlowApiserver extends RecordingApiserver {
  written: (string | undefined)[] = [];
  answered = Promise.withResolvers<void>();
  override writeStatus(_pod: Pod, { phase }: PodStatus): Promise<void> {
    this.written.push(phase);
    return this.answered.promise;
  }
}

test('what others have made of our conditions is put right when the node is well, and nothing else is written again', async () => {
  const apiserver = new SlowApiserver();
  apiserver.answered.resolve();
  const writer = new StatusWriter(apiserver, new AbortController().signal, silent);
  const [lost, well] = [aPod({}, {}, 'lost'), aPod({}, {}, 'well')];
  const ready = (status: 'True' | 'False') => ({ phase: 'Running' as const, conditions: [{ type: 'Ready', status }] });
  for (const pod of [lost, well]) writer.set(pod, ready('True'));
  await writer.flushAll();
  expect(apiserver.written).toHaveLength(2);
  writer.seen({ ...well, status: ready('True') });
  writer.seen({ ...lost, status: { ...ready('False'), reason: 'NodeNotReady' } });
  await writer.flushAll();
  expect(apiserver.written).toHaveLength(2);
  writer.insist();
  await writer.flushAll();
  expect(apiserver.written).toHaveLength(3);
  writer.seen({ ...lost, status: ready('True') });
  writer.insist();
  await writer.flushAll();
  expect(apiserver.written).toHaveLength(3);
});

test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
  'a status that comes %i moments after the one before was written is written too',
  async (moments) => {
    const apiserver = new SlowApiserver();
    const writer = new StatusWriter(apiserver, new AbortController().signal, silent);
    const pod = aPod();
    writer.set(pod, { phase: 'Running' });
    await eventually(() => expect(apiserver.written).toEqual(['Running']));
    apiserver.answered.resolve();
    for (let i = 0; i < moments; i++) await Promise.resolve();
    writer.set(pod, { phase: 'Succeeded' });
    await eventually(() => expect(apiserver.written).toEqual(['Running', 'Succeeded']), 1_000);
  },
);
