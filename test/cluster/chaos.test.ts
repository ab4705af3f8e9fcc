import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Node } from '../../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { Pod, isTerminal } from '../../api/kinds/pod.ts';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { zooKeeperIsHere } from '../mesos/zookeeper-server.ts';
import { Chaos, agents, doubled, liveTasks, taskOf } from './chaos.ts';
import { ElectedCluster } from './elected.ts';

/** The same seed does the same again, `random` something new; more steps make it last longer: about a second and a half each. */
const asked = process.env.KM_CHAOS_SEED ?? '7';
const seed = asked === 'random' ? randomInt(1, 2 ** 31) : Number(asked);
const steps = Number(process.env.KM_CHAOS_STEPS ?? 40);

const describeWhereZooKeeperIs = zooKeeperIsHere ? describe : describe.skip;

describeWhereZooKeeperIs('masters, agents and schedulers that come and go under pods that come and go', () => {
  let elected: ElectedCluster;
  beforeAll(async () => {
    elected = await ElectedCluster.start({
      flags: {
        devcluster: ['--simulated', String(agents), '--agents', '[]'],
        scheduler: ['--volume-audit', '2s'],
        'controller-manager': ['--node-eviction-rate', '10', '--secondary-node-eviction-rate', '10'],
      },
    });
  }, 60_000);
  afterAll(() => elected?.stop(), 60_000);

  test(`end as everybody wishes (KM_CHAOS_SEED=${seed})`, async () => {
    const { client } = elected.cluster;
    const chaos = new Chaos(elected, seed);
    await eventually(async () => expect((await client.list(Node)).items).toHaveLength(agents), 30_000);
    await chaos.begin();

    const twice = new Set<string>();
    const over = new AbortController();
    const kubelets = chaos.playKubelets(over.signal);
    const watching = (async () => {
      while (!over.signal.aborted) {
        const tasks = await liveTasks(elected).catch(() => []);
        for (const pod of doubled(tasks, chaos.wasAway)) twice.add(pod);
        await wait(100);
      }
    })();
    try {
      for (let i = 0; i < steps; i++) await chaos.step();
      await chaos.calm();
      await settled(chaos);
    } finally {
      over.abort();
      await Promise.all([watching, kubelets]);
    }
    expect([...twice]).toEqual([]);
  }, 600_000);

  /** Everything is as it shall be, and nothing else is there. */
  async function settled(chaos: Chaos): Promise<void> {
    const { client } = elected.cluster;
    const pods = async () => (await client.list(Pod, { namespace: 'default' })).items.filter((pod) => !isTerminal(pod));
    const wanted = [...chaos.wanted].filter(([, count]) => count > 0);
    await eventually(async () => {
      const there = await pods();
      const counts = Map.groupBy(there, ({ metadata }) => metadata.labels?.set ?? '');
      expect([...counts].map(([set, of]) => [set, of.length]).sort()).toEqual([...wanted].sort());
      expect(there.filter(({ spec }) => !spec.nodeName).map(({ metadata }) => metadata.name)).toEqual([]);
      // No orphan, and nobody without.
      expect((await liveTasks(elected)).map(({ task_id }) => task_id.value).sort()).toEqual(there.map(taskOf).sort());
    }, 150_000);
    await eventually(async () => {
      const { get_agents } = await askMaster({ url: elected.leader ?? '' }, { type: 'GET_AGENTS' });
      const kept = (get_agents.agents ?? []).flatMap(({ total_resources = [] }) =>
        total_resources.filter(({ reservations }) => reservations?.length).map(({ disk }) => disk?.persistence?.id),
      );
      const volumes = (await client.list(PersistentVolume)).items;
      const claims = (await client.list(PersistentVolumeClaim, { namespace: 'default' })).items;
      expect(kept.sort()).toEqual(volumes.map(({ spec }) => spec.csi?.volumeHandle).sort());
      // A set that shrinks while a pod of it is being replaced keeps that one's claim, as everywhere.
      expect(volumes.map(({ spec }) => spec.claimRef?.uid).sort()).toEqual(
        claims.map(({ metadata }) => metadata.uid).sort(),
      );
      expect(claims.length).toBeGreaterThanOrEqual(chaos.wanted.get('keeper') ?? 0);
    }, 40_000);
    await eventually(async () => {
      const labelSelector = 'k8s.mesosphere.io/launch';
      const { items } = await client.list(ConfigMap, { namespace: 'kube-system', labelSelector });
      expect(items.map(({ metadata }) => metadata.name)).toEqual([]);
      const { get_agents } = await askMaster({ url: elected.leader ?? '' }, { type: 'GET_AGENTS' });
      expect(get_agents.agents?.flatMap(({ offered_resources = [] }) => offered_resources)).toEqual([]);
    }, 30_000);
  }
});
