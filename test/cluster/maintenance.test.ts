import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import type { Schedule } from '../../mesos/master.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { daemonSetOf, deploymentOf, listOf } from './manifests.ts';
import { executorsOf } from './processes.ts';

const sleeping = (cpu: string) => ({ command: ['sleep', '1000'], resources: { requests: { cpu, memory: '8Mi' } } });
const objects = listOf(
  {
    ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'web' } },
    spec: { minAvailable: 2, selector: { matchLabels: { app: 'web' } } },
  },
  deploymentOf('web', 3, sleeping('50m'), { terminationGracePeriodSeconds: 0, nodeSelector: { busy: 'yes' } }),
  daemonSetOf('everywhere', sleeping('10m'), { terminationGracePeriodSeconds: 0 }),
);

describe('a machine that is to be away', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster({ flags: { scheduler: ['--maintenance-interval', '500ms'] } });
  }, 90_000);
  afterAll(() => cluster?.stop(), 60_000);

  const get = (what: string, path: string) => cluster.kubectl.run('get', ...what.split(' '), '-o', `jsonpath=${path}`);
  const nodesOf = async (app: string) => (await get(`pods -l app=${app}`, '{.items[*].spec.nodeName}')).split(' ');
  const schedule = (given: Schedule) =>
    askMaster(
      { url: cluster.masterUrl },
      { type: 'UPDATE_MAINTENANCE_SCHEDULE', update_maintenance_schedule: { schedule: given } },
    );

  test('empties its node, disruption budgets heeded, gives it to Mesos, and is over when the schedule says so', async () => {
    const { kubectl } = cluster;
    const [node, other] = (await get('nodes', '{.items[*].metadata.name}')).split(' ') as [string, string];
    await kubectl.run('label', 'node', node, 'busy=yes');
    expect(await kubectl.feed(objects, 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
    await kubectl.run('wait', '--for=condition=Available', 'deployment/web', '--timeout=40s');
    await kubectl.run('rollout', 'status', 'daemonset/everywhere', '--timeout=40s');
    expect(new Set(await nodesOf('web'))).toEqual(new Set([node]));

    // Nowhere else to go: the budget lets one pod leave, no more.
    const start = { nanoseconds: BigInt(Date.now() + 600_000) * 1_000_000n };
    const machine_ids = [{ hostname: node, ip: '127.0.0.1' }];
    await schedule({ windows: [{ machine_ids, unavailability: { start } }] });
    await eventually(async () => expect(await get(`node ${node}`, '{.spec.unschedulable}')).toBe('true'), 20_000);
    await eventually(async () => {
      const reasons = await get('pods -l app=web', '{.items[*].status.conditions[?(@.type=="PodScheduled")].message}');
      expect(reasons).toContain('1 node(s) were unschedulable');
    }, 20_000);
    expect(await get('deployment web', '{.status.availableReplicas}')).toBe('2');
    const status = async () => {
      const { get_maintenance_status } = await askMaster(
        { url: cluster.masterUrl },
        { type: 'GET_MAINTENANCE_STATUS' },
      );
      return get_maintenance_status.status.draining_machines?.[0]?.statuses?.map((one) => one.status) ?? [];
    };
    expect(await status()).toEqual([]);

    await kubectl.run('label', 'node', other, 'busy=yes');
    await eventually(async () => expect(await status()).toEqual(['ACCEPT']), 40_000);
    await kubectl.run('wait', '--for=condition=Available', 'deployment/web', '--timeout=40s');
    expect(new Set(await nodesOf('web'))).toEqual(new Set([other]));
    expect(await nodesOf('everywhere')).toContain(node);

    await schedule({});
    await eventually(async () => expect(await get(`node ${node}`, '{.spec.unschedulable}')).toBe(''), 20_000);
    const said = () =>
      readFileSync(join(cluster.dir, 'logs/scheduler.log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes(`"node":"${node}"`) && line.includes('"msg":"a node is '))
        .map((line) => JSON.parse(line) as { msg: string; left?: number });
    await eventually(() => expect(said().at(-1)?.msg).toBe('a node is given back to pods'));
    const [first, ...rest] = said().slice(0, -1);
    expect(first).toMatchObject({ msg: 'a node is being emptied', left: 3 });
    expect(rest.at(-1)).toMatchObject({ msg: 'a node is empty', left: 0 });
  }, 180_000);

  test('is drained by Mesos: its pods go elsewhere, the executor leaves, and after reactivation it takes pods again', async () => {
    const { kubectl } = cluster;
    await kubectl.run('label', 'nodes', '--all', 'busy=yes', '--overwrite');
    const [node] = await nodesOf('web');
    const master = { url: cluster.masterUrl };
    const agentOf = async () => {
      const { get_agents } = await askMaster(master, { type: 'GET_AGENTS' });
      return get_agents.agents?.find(({ agent_info }) => agent_info.hostname === node);
    };
    const agent_id = (await agentOf())!.agent_info.id!;
    await askMaster(master, { type: 'DRAIN_AGENT', drain_agent: { agent_id, max_grace_period: { seconds: 5n } } });
    await eventually(async () => expect(await get(`node ${node}`, '{.spec.unschedulable}')).toBe('true'), 20_000);
    await eventually(async () => expect((await agentOf())?.drain_info?.state).toBe('DRAINED'), 40_000);
    await kubectl.run('wait', '--for=condition=Available', 'deployment/web', '--timeout=40s');
    await eventually(async () => expect(await nodesOf('web')).not.toContain(node), 20_000);
    await eventually(() => expect(executorsOf(cluster).map((one) => one.node)).not.toContain(node), 20_000);

    await askMaster(master, { type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id } });
    await eventually(async () => expect(await get(`node ${node}`, '{.spec.unschedulable}')).toBe(''), 30_000);
    // The DaemonSet has its pod there again, on an executor that takes it.
    await kubectl.run('rollout', 'status', 'daemonset/everywhere', '--timeout=40s');
    expect(await nodesOf('everywhere')).toContain(node);
  }, 180_000);

  test.each(['taken down before it is empty', 'ended with its agent'])(
    'is %s: its node is gone, and its pods run elsewhere',
    async (how) => {
      const [node = ''] = await nodesOf('web');
      if (how === 'ended with its agent') {
        const body = JSON.stringify({ fault: 'stopAgent', agent: node });
        const headers = { 'content-type': 'application/json' };
        const { status } = await fetch(`${cluster.masterUrl}/devcluster/faults`, { method: 'POST', headers, body });
        expect(status).toBe(200);
      } else {
        const machines = [{ hostname: node, ip: '127.0.0.1' }];
        const start = { nanoseconds: BigInt(Date.now()) * 1_000_000n };
        await schedule({ windows: [{ machine_ids: machines, unavailability: { start } }] });
        const call = { type: 'START_MAINTENANCE', start_maintenance: { machines } } as const;
        await askMaster({ url: cluster.masterUrl }, call);
      }
      await eventually(async () => {
        expect((await get('nodes', '{.items[*].metadata.name}')).split(' ')).not.toContain(node);
        expect(await get('deployment web', '{.status.availableReplicas}')).toBe('3');
        expect(await get('pods -l app=web', '{.items[?(@.status.phase=="Running")].spec.nodeName}')).not.toContain(
          node,
        );
      }, 40_000);
    },
    90_000,
  );
});
