import { afterAll, beforeAll, describe } from '@jest/globals';
import { describeGuides } from './guides.suite.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { describeNeighbour } from './neighbour.suite.ts';
import { describeSecrets } from './secrets.suite.ts';
import { describeServiceAccounts } from './service-account.suite.ts';
import { describeServices } from './services.suite.ts';
import { describeStreams } from './streams.suite.ts';

// What needs the try-out as it is, and leaves it so, shares one: a start is ten seconds of a core.

let cluster: TestCluster;
beforeAll(async () => void (cluster = await startTestCluster()), 60_000);
afterAll(() => cluster?.stop(), 60_000);

const suites = {
  'beside another framework': describeNeighbour,
  'service accounts': describeServiceAccounts,
  services: describeServices,
  streams: describeStreams,
  'the first guides': describeGuides,
  // After the others: what they used is in the logs, too.
  'secrets of the cluster': describeSecrets,
};
describe.each(Object.entries(suites))('%s', (_, describeSuite) => {
  afterAll(async () => {
    for (const made of ['deployments,daemonsets,rc', 'pods'])
      await cluster.kubectl.run('delete', made, '--all', '-n', 'default', '--now');
  }, 60_000);
  describeSuite(() => cluster);
});
