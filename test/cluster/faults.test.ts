import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Pod } from '../../api/kinds/pod.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import type { Stored } from '../../api/meta.ts';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { executorsOf, isAlive } from './processes.ts';

let cluster: TestCluster;
beforeAll(async () => void (cluster = await startTestCluster()), 60_000);
afterAll(() => cluster.stop(), 60_000);

const replicas = 12;
let serial = 0;
let app = '';
/** Every start of a container writes one line here: `<pod uid> <pid>`. */
let diary = '';

const deployment = () => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: app, namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app } },
    template: {
      metadata: { labels: { app } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: 'k8s.test/busybox:1',
            // Kubernetes reads $$ as one $, so this is the shell's own $$: its pid.
            command: ['sh', '-c', `echo "$POD_UID $$$$" >> ${diary}; exec sleep 1000`],
            env: [{ name: 'POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } }],
            resources: { requests: { cpu: '50m', memory: '16Mi' } },
          },
        ],
      },
    },
  },
});

const pods = async (): Promise<(Pod & Stored)[]> => {
  const { items } = await cluster.client.list(Pod, { namespace: 'default', labelSelector: `app=${app}` });
  return items.filter(({ metadata }) => !metadata.deletionTimestamp);
};

const allRun = (count: number) =>
  eventually(async () => {
    const running = (await pods()).filter(
      ({ status }) => status?.phase === 'Running' && status.containerStatuses?.[0]?.state.running,
    );
    expect(running).toHaveLength(count);
    return running;
  }, 60_000);

/** Starts that were written, by pod. */
function starts(): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const line of existsSync(diary) ? readFileSync(diary, 'utf8').trim().split('\n') : []) {
    const [uid, pid] = line.split(' ');
    found.set(uid!, [...(found.get(uid!) ?? []), Number(pid)]);
  }
  return found;
}

/** Of each pod at most one container runs, and each that is there has one. */
function expectEachOnce(running: readonly (Pod & Stored)[]): void {
  const alive = [...starts()]
    .map(([uid, pids]) => [uid, pids.filter(isAlive).length] as const)
    .filter(([, count]) => count > 0);
  expect(alive.filter(([, count]) => count > 1)).toEqual([]);
  expect(alive.map(([uid]) => uid).sort()).toEqual(running.map(({ metadata }) => metadata.uid).sort());
}

/** No launch record is left over: everything that was under way is settled. */
const expectSettled = () =>
  eventually(async () => {
    const { items } = await cluster.client.list(ConfigMap, {
      namespace: 'kube-system',
      labelSelector: 'k8s.mesosphere.io/launch',
    });
    expect(items.map(({ metadata }) => metadata.name)).toEqual([]);
  }, 30_000);

const kill9 = (name: string) => process.kill(cluster.servers.get(name)!.pid!, 'SIGKILL');

beforeEach(() => {
  serial += 1;
  app = `load-${serial}`;
  diary = join(cluster.dir, `${app}.diary`);
});
afterEach(async () => {
  await cluster.kubectl.try('delete', 'deployment', app, '--timeout=30s');
  await eventually(
    async () => expect((await cluster.client.list(Pod, { namespace: 'default' })).items).toEqual([]),
    30_000,
  );
});

describe.each(['scheduler', 'apiserver', 'etcd', 'controller-manager'])('kill -9 of %s', (victim) => {
  test('while pods are being launched loses none and launches none twice', async () => {
    await cluster.kubectl.feed(JSON.stringify(deployment()), 'apply', '-f', '-');
    // In the middle of it: some pods run, others are under way.
    await eventually(async () => expect(starts().size).toBeGreaterThanOrEqual(1), 30_000);
    kill9(victim);
    const running = await allRun(replicas);
    await eventually(() => expectEachOnce(running), 20_000);
    await expectSettled();
    expect(cluster.restarts.some((line) => line.startsWith(`${victim} was killed`))).toBe(true);
  }, 120_000);

  test('leaves pods that ran alone, and what is asked for afterwards happens', async () => {
    await cluster.kubectl.feed(JSON.stringify(deployment()), 'apply', '-f', '-');
    const before = await allRun(replicas);
    kill9(victim);
    await eventually(
      async () => cluster.kubectl.run('scale', `deployment/${app}`, `--replicas=${replicas + 3}`),
      60_000,
    );
    const after = await allRun(replicas + 3);
    const survivors = new Map(after.map((pod) => [pod.metadata.uid, pod]));
    for (const { metadata, status } of before) {
      const now = survivors.get(metadata.uid)?.status?.containerStatuses?.[0];
      expect(now?.restartCount).toBe(0);
      expect(now?.containerID).toBe(status?.containerStatuses?.[0]?.containerID);
    }
    // A process writes its line a moment after it runs.
    await eventually(() => expectEachOnce(after), 20_000);
    await expectSettled();
  }, 120_000);
});

describe('kill -9 of an executor', () => {
  test('has its pods started again on their node, the others not touched', async () => {
    await cluster.kubectl.feed(JSON.stringify(deployment()), 'apply', '-f', '-');
    const before = await allRun(replicas);
    const victim = executorsOf(cluster)[0]!;
    process.kill(victim.pid, 'SIGKILL');
    await eventually(async () => {
      const now = await pods();
      const hit = now.filter(({ spec }) => spec.nodeName === victim.node);
      expect(hit.length).toBeGreaterThan(0);
      for (const { status } of hit) expect(status?.containerStatuses?.[0]?.restartCount ?? 0).toBeGreaterThanOrEqual(1);
    }, 60_000);
    const after = await allRun(replicas);
    await eventually(() => expectEachOnce(after), 20_000);
    for (const { metadata, spec, status } of before.filter(({ spec: { nodeName } }) => nodeName !== victim.node)) {
      const now = after.find((pod) => pod.metadata.uid === metadata.uid);
      expect(now?.spec.nodeName).toBe(spec.nodeName);
      expect(now?.status?.containerStatuses?.[0]?.containerID).toBe(status?.containerStatuses?.[0]?.containerID);
    }
    await expectSettled();
  }, 120_000);
});

describe('a framework that an operator tears down', () => {
  test('is replaced by a new one, under which the same pods run again on their nodes', async () => {
    const url = cluster.masterUrl;
    const frameworks = async () =>
      (await askMaster({ url }, { type: 'GET_FRAMEWORKS' })).get_frameworks.frameworks ?? [];
    await cluster.kubectl.feed(JSON.stringify(deployment()), 'apply', '-f', '-');
    const before = await allRun(replicas);
    const [old] = await frameworks();
    await askMaster({ url }, { type: 'TEARDOWN', teardown: { framework_id: old!.framework_info.id! } });
    await eventually(async () => {
      const { get_tasks } = await askMaster({ url }, { type: 'GET_TASKS' });
      expect(get_tasks.tasks?.filter(({ state }) => state === 'TASK_RUNNING')).toHaveLength(replicas);
    }, 60_000);
    const [now, ...more] = await frameworks();
    expect(more).toEqual([]);
    expect(now!.framework_info.id).not.toEqual(old!.framework_info.id);
    const after = await allRun(replicas);
    await eventually(() => expectEachOnce(after), 20_000);
    const placeOf = ({ metadata, spec }: Pod) => `${metadata.uid} on ${spec.nodeName}`;
    expect(after.map(placeOf).sort()).toEqual(before.map(placeOf).sort());
    await expectSettled();
  }, 120_000);
});
