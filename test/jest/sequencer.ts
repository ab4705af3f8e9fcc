import { createRequire } from 'node:module';
import type Sequencing from '@jest/test-sequencer';

// Its types are those of its CommonJS side, which an import would not be given.
const { default: TestSequencer }: typeof Sequencing = createRequire(import.meta.url)('@jest/test-sequencer');
type Tests = Parameters<Sequencing.default['sort']>[0];

/**
 * What takes longest of all, the longest first. Where jest has seen no run yet it goes by the size of a file, and of these many
 * are small: they run suites that are written elsewhere. Begun last, one of them would run alone while the other workers idle.
 */
export const longest = [
  ...['cluster/cluster-dns', 'cluster/build', 'cluster/faults', 'cluster/one-cluster', 'cluster/process'],
  ...['cluster/volumes', 'cluster/docker', 'cluster/two-hosts', 'cluster/cri', 'cluster/mesos-volumes'],
  ...['cluster/partition', 'cluster/chaos', 'cluster/dockerfile', 'cluster/cri-faults', 'cluster/conformance-pods'],
  ...['executor/pod-life', 'proxy/modes', 'apiserver/kubectl', 'executor/docker-runtime', 'executor/isolation'],
  ...['cli/preflight', 'apiserver/kubectl-verbs', 'executor/csi', 'devcluster/golden', 'cli/km', 'cli/pki'],
  ...['executor/sub-path', 'executor/conformance-pods', 'executor/conformance-files', 'apiserver/replicas'],
];

/** Those that failed last first, as jest has them; then those that take longest. */
export default class LongestFirst extends TestSequencer {
  override async sort(tests: Tests): Promise<Tests> {
    const sorted = await super.sort(tests);
    if (sorted.some(({ duration }) => duration !== undefined)) return sorted;
    const place = ({ path }: Tests[number]) => {
      const found = longest.findIndex((name) => path.endsWith(`/test/${name}.test.ts`));
      return found < 0 ? longest.length : found;
    };
    return sorted.sort((a, b) => place(a) - place(b));
  }
}
