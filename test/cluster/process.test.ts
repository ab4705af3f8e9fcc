import { afterAll, beforeAll } from '@jest/globals';
import { firstTenMinutes } from './first-ten-minutes.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { installedKubectls } from './kubectl.ts';

let cluster: TestCluster;
beforeAll(async () => void (cluster = await startTestCluster()), 60_000);
afterAll(() => cluster.stop(), 60_000);

for (const kubectl of installedKubectls()) firstTenMinutes(() => cluster, kubectl);
