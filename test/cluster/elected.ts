import { expect } from '@jest/globals';
import { Agent, request } from 'undici';
import type { ClusterOptions } from '../../cli/cluster.ts';
import { silent } from '../../lib/log.ts';
import { leaders } from '../../mesos/leader.ts';
import { eventually } from '../eventually.ts';
import { type ZooKeeperServers, startZooKeeper } from '../mesos/zookeeper-server.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

/** A km on three masters that elect their leader in a real ZooKeeper, where km looks for it too. */
export class ElectedCluster {
  readonly cluster: TestCluster;
  /** As ZooKeeper has it. */
  leader: string | undefined;
  readonly #zooKeeper: ZooKeeperServers;
  readonly #over = new AbortController();
  readonly #direct = new Agent();

  static async start(overrides: Partial<ClusterOptions> = {}): Promise<ElectedCluster> {
    const zooKeeper = await startZooKeeper(1);
    const zk = `zk://${zooKeeper.addresses[0]}/mesos`;
    try {
      const { devcluster = [], scheduler = [], ...others } = overrides.flags ?? {};
      const cluster = await startTestCluster({
        ...overrides,
        flags: {
          ...others,
          devcluster: [
            ...['--port', '0', '--masters', '3', '--zk', zk],
            ...['--session-timeout', '2s', '--agent-ping-timeout', '2s'],
            ...devcluster,
          ],
          scheduler: ['--mesos-master', zk, ...scheduler],
        },
      });
      return new ElectedCluster(cluster, zooKeeper, zk);
    } catch (error) {
      await zooKeeper.stop();
      throw error;
    }
  }

  private constructor(cluster: TestCluster, zooKeeper: ZooKeeperServers, zk: string) {
    this.cluster = cluster;
    this.#zooKeeper = zooKeeper;
    void this.#follow(zk);
  }

  async #follow(zk: string): Promise<void> {
    for await (const url of leaders(zk, { log: silent, signal: this.#over.signal })) this.leader = url;
  }

  async post(path: string, body: object): Promise<void> {
    const answer = await request(`${this.leader}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      dispatcher: this.#direct,
    });
    expect(`${answer.statusCode} ${await answer.body.text()}`).toBe('200 ');
  }

  fault(order: object): Promise<void> {
    return this.post('/devcluster/faults', order);
  }

  /** Kills the leading master; resolves when another one leads. */
  async killLeader(): Promise<void> {
    const dead = this.leader;
    // It may die before it has answered.
    await this.fault({ fault: 'killMaster' }).catch(() => undefined);
    await eventually(() => {
      expect(this.leader).toBeDefined();
      expect(this.leader).not.toBe(dead);
    }, 20_000);
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.cluster.stop();
    await this.#zooKeeper.stop();
    await this.#direct.close();
  }
}
