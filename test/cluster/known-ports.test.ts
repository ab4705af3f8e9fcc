import { once } from 'node:events';
import { type Server, createServer } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { isFree } from '../../cli/ports.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

const known = new Map([
  ['controller-manager', 10_257],
  ['scheduler', 10_259],
]);
const alone = { store: 'embedded', proxy: 'none', knownPorts: true } as const;
let cluster: TestCluster | undefined;
const others: Server[] = [];
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
  for (const other of others.splice(0)) other.close();
});

test('a known port that somebody takes while a server starts is theirs: the server does without', async () => {
  const starts = new Map<string, number>();
  const taken: string[] = [];
  const starting = (what: string) => {
    const before = starts.get(what) ?? 0;
    starts.set(what, before + 1);
    const port = known.get(what);
    if (port === undefined || before > 0) return;
    const other = createServer().listen(port, '127.0.0.1');
    others.push(other);
    // Where another test has the port, the server does without it from the first.
    void once(other, 'listening').then(
      () => taken.push(what),
      () => undefined,
    );
  };
  cluster = await startTestCluster(alone, { starting });
  for (const what of known.keys()) expect([what, starts.get(what)]).toEqual([what, taken.includes(what) ? 2 : 1]);
  expect(await cluster.kubectl.run('get', 'nodes', '-o', 'name')).toContain('node/');
}, 120_000);

test('a server that is not ready in time is not started once more, though it has its known port; nothing of it is left', async () => {
  const starts: string[] = [];
  const wasFree = await isFree(10_259);
  const never = { ...alone, masters: 'http://127.0.0.1:1', readyTimeout: 15_000 };
  await expect(startTestCluster(never, { starting: (what) => starts.push(what) })).rejects.toThrow(
    'scheduler was not ready in time',
  );
  expect(starts).toEqual(['apiserver', 'controller-manager', 'scheduler']);
  if (wasFree) expect(await isFree(10_259)).toBe(true);
}, 120_000);
