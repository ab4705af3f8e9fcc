import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import type { Resource } from '../../mesos/types.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

const sleeper = (namespace: string, name = 'sleeper') => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: k8s.test/busybox:1
      command: [sleep, '1000']
      resources: { requests: { cpu: 200m, memory: 16Mi } }
`;

describe('pods of namespaces with Mesos roles of their own', () => {
  let cluster: TestCluster;
  let settings: string;
  beforeAll(async () => {
    const flags = ['--mesos-role', 'common', '--mesos-roles', 'eng/web', '--namespace-roles', 'ops=ops'];
    settings = join(mkdtempSync(join(tmpdir(), 'km-roles-')), 'settings.yaml');
    writeFileSync(settings, '');
    flags.push('--quota-interval', '500ms', '--settings-file', settings);
    cluster = await startTestCluster({ flags: { scheduler: flags } });
    const namespaces = ['ops', 'web', 'lost', 'late'].map(
      (name) => `{ apiVersion: v1, kind: Namespace, metadata: { name: ${name}`,
    );
    const marks = [
      '',
      ', annotations: { k8s.mesosphere.io/role: eng/web }',
      ', annotations: { k8s.mesosphere.io/role: nobody }',
      '',
    ];
    const text = namespaces.map((start, i) => `${start}${marks[i]} } }`).join('\n---\n');
    expect(await cluster.kubectl.feed(text, 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
  }, 90_000);
  afterAll(async () => {
    await cluster?.stop();
    if (settings) rmSync(dirname(settings), { recursive: true });
  }, 60_000);

  const apply = async (text: string) =>
    expect(await cluster.kubectl.feed(text, 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
  const running = (namespace: string, name = 'sleeper') =>
    cluster.kubectl.run('wait', '-n', namespace, '--for=condition=Ready', `pod/${name}`, '--timeout=40s');
  /** What the task of each pod has of the agent, by `name.namespace`. */
  async function tasks(): Promise<Map<string, Resource[]>> {
    const { get_tasks } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_TASKS' });
    return new Map((get_tasks.tasks ?? []).map(({ name, resources = [] }) => [name.replace(/\.pod$/, ''), resources]));
  }

  test('use what these roles are offered, what is reserved for them first, all under one executor', async () => {
    const { get_agents } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_AGENTS' });
    const agent = get_agents.agents![0]!.agent_info;
    const cpus: Resource = { name: 'cpus', type: 'SCALAR', scalar: { value: 0.15 } };
    await askMaster(
      { url: cluster.masterUrl },
      {
        type: 'RESERVE_RESOURCES',
        reserve_resources: {
          agent_id: agent.id!,
          resources: [{ ...cpus, reservations: [{ type: 'DYNAMIC', role: 'eng' }] }],
        },
      },
    );
    const here = (namespace: string) =>
      `${sleeper(namespace)}  nodeSelector: { kubernetes.io/hostname: ${agent.hostname} }\n`;
    for (const namespace of ['ops', 'web', 'default']) await apply(here(namespace));
    for (const namespace of ['ops', 'web', 'default']) await running(namespace);
    const held = await tasks();
    const rolesOf = (name: string) => [...new Set(held.get(name)!.map(({ allocation_info }) => allocation_info?.role))];
    expect(['ops', 'web', 'default'].map((namespace) => rolesOf(`sleeper.${namespace}`))).toEqual([
      ['ops'],
      ['eng/web'],
      ['common'],
    ]);
    const { get_tasks } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_TASKS' });
    expect(get_tasks.tasks?.map((task) => task.limits)).toEqual(Array(3).fill({ cpus: { value: Infinity } }));
    const { get_executors } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_EXECUTORS' });
    expect(get_executors.executors).toHaveLength(1);
    expect(held.get('sleeper.web')!.some(({ reservations }) => reservations?.[0]?.role === 'eng')).toBe(true);
  }, 120_000);

  test('are told when there is no such role', async () => {
    await apply(sleeper('lost'));
    await eventually(
      async () =>
        expect(await cluster.kubectl.run('describe', '-n', 'lost', 'pod', 'sleeper')).toMatch(
          /FailedScheduling.*3 node\(s\) offer nothing to the Mesos role "nobody" of namespace lost, which is not in --mesos-roles/,
        ),
      20_000,
    );
    // The annotation is looked at each time: no restart is needed.
    await cluster.kubectl.run('annotate', '--overwrite', 'namespace', 'lost', 'k8s.mesosphere.io/role=eng/web');
    await running('lost');
    expect((await tasks()).get('sleeper.lost')![0]!.allocation_info?.role).toBe('eng/web');
  }, 60_000);

  test('have another one as soon as the settings file says so', async () => {
    await apply(sleeper('late', 'before'));
    await running('late', 'before');
    writeFileSync(settings, 'namespace-roles: [ops=ops, late=eng/web]');
    const log = () => readFileSync(join(cluster.dir, 'logs/scheduler.log'), 'utf8');
    await eventually(() => expect(log()).toContain('settings were read anew'), 20_000);
    await apply(sleeper('late', 'after'));
    await running('late', 'after');
    const held = await tasks();
    expect(['before', 'after'].map((name) => held.get(`${name}.late`)![0]!.allocation_info?.role)).toEqual([
      'common',
      'eng/web',
    ]);
  }, 90_000);

  test('are told when their role is at its quota, and run when it may have more', async () => {
    const limit = (value: number) =>
      askMaster(
        { url: cluster.masterUrl },
        {
          type: 'UPDATE_QUOTA',
          update_quota: { force: true, quota_configs: [{ role: 'ops', limits: { cpus: { value } } }] },
        },
      );
    await limit(0.3);
    await apply(sleeper('ops', 'second'));
    await eventually(
      async () =>
        expect(await cluster.kubectl.run('describe', '-n', 'ops', 'pod', 'second')).toMatch(
          /FailedScheduling.*\(role ops at its quota\)/,
        ),
      30_000,
    );
    await limit(2);
    await running('ops', 'second');
  }, 120_000);
});
