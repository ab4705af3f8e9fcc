import { type Server, createServer } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { type TestCluster, startTestCluster } from './harness.ts';

const others: Server[] = [];
let cluster: TestCluster;
afterAll(async () => {
  await cluster?.stop();
  others.forEach((other) => other.close());
});

test('a known port that somebody takes while a server starts is theirs: the server does without', async () => {
  const starts: string[] = [];
  const portOf: Record<string, number> = { 'controller-manager': 10_257, scheduler: 10_259 };
  const takeIt = (what: string) => {
    starts.push(what);
    const port = portOf[what];
    if (port === undefined || starts.filter((one) => one === what).length > 1) return;
    others.push(
      createServer()
        .on('error', () => undefined) // another test has it, which is as good
        .listen(port, '127.0.0.1'),
    );
  };
  cluster = await startTestCluster({ store: 'embedded', proxy: 'none', knownPorts: true }, { starting: takeIt });
  expect([...cluster.servers.keys()]).toEqual(['apiserver', 'devcluster', 'controller-manager', 'scheduler']);
  expect(starts.filter((one) => one in portOf).length).toBeLessThanOrEqual(4);
  expect(await cluster.kubectl.run('get', 'nodes', '-o', 'name')).toContain('node/');
}, 120_000);
