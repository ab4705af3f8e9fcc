import { randomInt } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClusterDeps, type ClusterOptions, type LocalCluster, startCluster } from '../../cli/cluster.ts';
import { Client } from '../../client/client.ts';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { silent } from '../../lib/log.ts';
import { outcome } from '../jest/failed.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';

export interface TestCluster extends LocalCluster {
  dir: string;
  client: Client;
  kubectl: Kubectl;
  /** What each server was seen to die of, in order. */
  restarts: string[];
}

/** Whoever asks for one removes it. */
export const testDirectory = (): string =>
  mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'km-cluster-'));

/** A whole km on free ports, every server a process of its own, as `km up` starts it. Where memory is a disk, it lies there. */
export async function startTestCluster(
  overrides: Partial<ClusterOptions> = {},
  { starting }: Pick<ClusterDeps, 'starting'> = {},
): Promise<TestCluster> {
  const dir = overrides.dir ?? testDirectory();
  const restarts: string[] = [];
  const cluster = await startCluster(
    {
      dir,
      apiserverPort: 0,
      etcdPort: 0,
      mesosPort: 0,
      masters: '',
      etcdServers: [],
      bindAddress: '127.0.0.1',
      advertise: '127.0.0.1',
      podsReach: '',
      executorCommand: '',
      store: 'etcd',
      runtime: 'process',
      criSocket: '',
      dockerHost: '',
      // Pods with networks of their own would need rules in this machine's own kernel tables.
      proxy: (overrides.runtime ?? 'process') === 'process' ? 'userspace' : 'none',
      // Clusters that run beside each other must not meet on one address.
      serviceCidr: `127.${96 + randomInt(100)}.0.0/16`,
      knownPorts: false,
      logLevel: 'debug',
      readyTimeout: 60_000,
      ...overrides,
    },
    {
      ...{ log: silent, signal: new AbortController().signal, ...(starting ? { starting } : {}) },
      restarted: (what, how) => restarts.push(`${what} ${how}`),
    },
  );
  const client = new Client(readKubeconfig(cluster.kubeconfig));
  return Object.assign(cluster, {
    dir,
    client,
    restarts,
    kubectl: new Kubectl(newestKubectl(), cluster.kubeconfig),
    stop: async () => {
      await client.close();
      await Object.getPrototypeOf(cluster).stop.call(cluster);
      if (outcome.hasFailed) console.log(endsOfLogs(dir));
      if (!process.env.KM_KEEP && !overrides.dir) rmSync(dir, { recursive: true, force: true });
    },
  });
}

/** What each server and each executor said last. */
const endsOfLogs = (dir: string): string =>
  globSync(['logs/*.log', 'mesos/*/slaves/*/frameworks/*/executors/*/runs/*/std*'], { cwd: dir })
    .map((path) => [path, readFileSync(join(dir, path), 'utf8').split('\n').slice(-30).join('\n')] as const)
    .filter(([, end]) => end !== '')
    .map(([path, end]) => `${path}:\n${end}`)
    .join('\n');

/** A Deployment whose pods say the time every tenth of a second, ten lines a second at most. */
export const talkers = (name: string, replicas: number, command = 'while true; do date; sleep 1; done') => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: default }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: main
          image: k8s.test/busybox:1
          imagePullPolicy: IfNotPresent
          command: ['sh', '-c', ${JSON.stringify(command)}]
          resources: { requests: { cpu: 50m, memory: 16Mi } }
`;
