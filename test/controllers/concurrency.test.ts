import { expect, test } from '@jest/globals';
import { Client } from '../../client/client.ts';
import { Informers } from '../../client/informer.ts';
import { type Reconciler, run } from '../../client/reconcile.ts';
import { options, reconcilersOf } from '../../controllers/index.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf, readOptions } from '../../lib/options.ts';
import { eventually } from '../eventually.ts';

/** How many keys at once each controller would work on with these flags. */
function widths(...flags: string[]): Record<string, number | undefined> {
  const given = { ...defaultsOf(options), ...readOptions(options, flags, {}) };
  const client = new Client({ server: 'https://127.0.0.1:1' });
  const made = reconcilersOf(given, client, new Informers(client, silent), silent);
  return Object.fromEntries(made.map(({ name, concurrency }) => [name, concurrency]));
}

test('the flags of kube-controller-manager say how much each controller does at once', () => {
  // As in the reference of kube-controller-manager.
  expect(widths()).toMatchObject({
    ...{ deployment: 5, 'replication-controller': 5, 'stateful-set': 5, 'daemon-set': 5, 'cron-job': 5 },
    ...{ 'garbage-collector': 20, namespace: 10, 'resource-quota': 5, endpoints: 5, 'endpoint-slice': 5 },
  });
  expect(
    widths(
      '--concurrent-deployment-syncs',
      '7',
      '--concurrent-gc-syncs',
      '3',
      '--controllers',
      'deployment,garbagecollector,job',
    ),
  ).toEqual({ deployment: 7, 'garbage-collector': 3, job: defaultsOf(options).concurrentJobSyncs });
});

test('so many keys are worked on at once, none of them twice at a time', async () => {
  const stopping = new AbortController();
  const working = new Set<string>();
  let [most, done] = [0, 0];
  let add: (key: string) => void = () => undefined;
  const reconciler: Reconciler = {
    name: 'test',
    concurrency: 3,
    watches: [{ subscribe: (adding) => void (add = adding) }],
    async reconcile(key) {
      expect(working.has(key)).toBe(false);
      working.add(key);
      most = Math.max(most, working.size);
      add(key.replace(/^again-/, ''));
      await delay(5);
      working.delete(key);
      done += 1;
    },
  };
  const running = run(reconciler, { log: silent, signal: stopping.signal });
  for (let i = 0; i < 10; i += 1) for (const key of [`again-${i}`, `${i}`, `again-${i}`]) add(key);
  await eventually(() => expect(done).toBeGreaterThan(40));
  stopping.abort();
  await running;
  expect(most).toBe(3);
});
