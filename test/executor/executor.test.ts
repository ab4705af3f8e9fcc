import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Lease } from '../../api/kinds/lease.ts';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import type { Client } from '../../client/client.ts';
import type { TestAgent } from './agent.ts';
import { type ExecutorForTests, startExecutorForTests } from './executor-for-tests.ts';
import { aPod, eventually } from './pods-for-tests.ts';

let executor: ExecutorForTests;
let agent: TestAgent;
let client: Client;
beforeAll(async () => {
  executor = await startExecutorForTests({ launchGrace: 1_500, leaseInterval: 1_000 });
  ({ agent, client } = executor);
});
afterAll(() => executor?.close());

const create = (pod: Pod) => executor.create(pod);
const place = (pod: Pod) => executor.place(pod);
const refOf = ({ metadata }: Pod & Stored) => ({ namespace: 'default', name: metadata.name, uid: metadata.uid });
const state = (taskId: string, wanted: string) =>
  eventually(() => agent.states(taskId).includes(wanted), wanted, 15_000);
const phase = (name: string, wanted: string) =>
  eventually(async () => {
    const pod = await client.get(Pod, { namespace: 'default', name });
    return pod.status?.phase === wanted ? pod : undefined;
  }, `${name} to be ${wanted}`);
const gone = (name: string) =>
  eventually(
    () =>
      client.get(Pod, { namespace: 'default', name }).then(
        () => false,
        () => true,
      ),
    `${name} to be gone`,
  );

describe('an executor', () => {
  test('takes over the node of its agent, whatever its name, and keeps its status and lease', async () => {
    const node = await eventually(async () => {
      const found = await client.get(Node, { name: 'node-one-5051' });
      return found.status?.conditions?.some((c) => c.type === 'Ready' && c.reason === 'KubeletReady')
        ? found
        : undefined;
    }, 'the node to be ready');
    expect(node.metadata.annotations?.[annotations.kubeletCertificate]).toMatch(/^[0-9a-f]{64}$/);
    expect(node.status).toMatchObject({
      capacity: { cpu: '4', memory: '2Gi' },
      allocatable: { cpu: '3900m', memory: '2Gi' },
      addresses: [
        { type: 'InternalIP', address: '127.0.0.1' },
        { type: 'Hostname', address: 'node-one-5051' },
      ],
      nodeInfo: { kubeletVersion: expect.stringMatching(/^v1\.36\.0\+km/) },
    });
    const lease = { namespace: 'kube-node-lease', name: 'node-one-5051' };
    const { metadata } = await eventually(() => client.get(Lease, lease).catch(() => undefined), 'the lease');
    const owner = { apiVersion: 'v1', kind: 'Node', name: node.metadata.name, uid: node.metadata.uid };
    expect(metadata.ownerReferences).toEqual([owner]);
    // One of an older executor belonged to nobody.
    await client.patch(Lease, lease, { metadata: { ownerReferences: null } });
    await eventually(
      async () => (await client.get(Lease, lease)).metadata.ownerReferences?.[0]?.uid === owner.uid,
      'the lease to belong to the node again',
      15_000,
    );
  });

  test('clears volumes that pods of before a restart of the machine left', async () => {
    const left = join(executor.directory, 'sandbox/pods/volumes/of-a-pod-that-is-gone');
    mkdirSync(join(left, 'volumes/secret/s'), { recursive: true });
    writeFileSync(join(left, 'volumes/secret/s/key'), 'secret');
    await executor.restart();
    await eventually(() => !existsSync(left), 'them to go');
  });

  test('runs a pod that was launched and bound, and tells both sides', async () => {
    await client.create(ConfigMap, {
      metadata: { name: 'settings', namespace: 'default' },
      data: { GREETING: 'hello' },
    });
    const { taskId } = await place(
      aPod(
        {},
        {
          containers: [
            {
              name: 'c',
              image: 'none',
              command: ['sh', '-c', 'echo $GREETING from $KUBERNETES_SERVICE_PORT; sleep 100'],
              envFrom: [{ configMapRef: { name: 'settings' } }],
            },
          ],
        },
        'runner',
      ),
    );
    await state(taskId, 'TASK_RUNNING');
    const pod = await phase('runner', 'Running');
    // Until now it said why not.
    const ready = pod.status!.conditions!.find((c) => c.type === 'Ready');
    expect([ready!.status, ready!.reason, ready!.message]).toEqual(['True', undefined, undefined]);
    expect(
      agent.updates.find((u) => u.state === 'TASK_RUNNING')!.container_status!.network_infos![0]!.ip_addresses![0]!
        .ip_address,
    ).toBe('127.0.0.1');
  });

  const kubectl = existsSync('/usr/bin/kubectl') ? test : test.skip;
  kubectl('kubectl reads its logs and runs commands in it through the apiserver', async () => {
    const run = (...args: string[]) =>
      promisify(execFile)('kubectl', ['--kubeconfig', executor.kubeconfig, ...args], {
        env: { PATH: process.env.PATH, HOME: executor.directory },
      });
    await eventually(async () => (await run('logs', 'runner')).stdout.includes('hello from'), 'the log');
    expect((await run('exec', 'runner', '--', 'sh', '-c', 'echo in $HOSTNAME')).stdout).toBe('in runner\n');
    await expect(run('exec', 'runner', '--', 'sh', '-c', 'exit 3')).rejects.toMatchObject({ code: 3 });
    expect((await run('get', 'pods', '-o', 'wide')).stdout).toMatch(/runner\s+1\/1\s+Running/);
  });

  kubectl('kubectl exec -it has a terminal', async () => {
    const child = spawn(
      'script',
      ['-qfec', `kubectl --kubeconfig ${executor.kubeconfig} exec -it runner -- sh`, '/dev/null'],
      {
        env: { PATH: process.env.PATH, HOME: executor.directory, TERM: 'xterm' },
      },
    );
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    const ended = once(child, 'close');
    await eventually(() => seen.includes('#') || seen.includes('$'), 'a prompt');
    child.stdin.write('tty; stty size; echo "a""b"\n');
    await eventually(() => /\/dev\/pts\/\d+/.test(seen) && seen.includes('ab'), 'the terminal to answer');
    child.stdin.write('exit 6\n');
    expect((await ended)[0]).toBe(6);
  });

  test('a pod that is deleted ends gracefully and goes', async () => {
    const taskId = agent.updates.find((u) => u.state === 'TASK_RUNNING')!.task_id.value;
    await client.delete(Pod, { namespace: 'default', name: 'runner' });
    await state(taskId, 'TASK_KILLED');
    await gone('runner');
  });

  test('a pod that ends well or badly is told as such', async () => {
    const good = await place(aPod({ command: ['true'] }, { restartPolicy: 'Never' }, 'good'));
    const bad = await place(aPod({ command: ['sh', '-c', 'exit 4'] }, { restartPolicy: 'Never' }, 'bad'));
    await state(good.taskId, 'TASK_FINISHED');
    await state(bad.taskId, 'TASK_FAILED');
    expect(agent.updates.find((u) => u.state === 'TASK_FAILED')!.message).toContain('exit code 4');
    await phase('good', 'Succeeded');
    await phase('bad', 'Failed');
    await client.delete(Pod, { namespace: 'default', name: 'good' });
    await gone('good');
  });

  test('a kill ends the pod and removes it', async () => {
    const { taskId } = await place(aPod({}, {}, 'victim'));
    await state(taskId, 'TASK_RUNNING');
    agent.send({ type: 'KILL', kill: { task_id: { value: taskId } } });
    await state(taskId, 'TASK_KILLED');
    expect(agent.states(taskId)).toContain('TASK_KILLING');
    await gone('victim');
  });

  test('a launch that is never bound is given up', async () => {
    const pod = await create(aPod({}, {}, 'unbound'));
    const taskId = agent.launch(refOf(pod));
    await state(taskId, 'TASK_FAILED');
    expect(agent.updates.at(-1)!.message).toContain('not bound');
  });

  test('after a break it subscribes again with what was not acknowledged', async () => {
    const { taskId } = await place(aPod({}, {}, 'stayer'));
    await state(taskId, 'TASK_RUNNING');
    agent.acknowledges = false;
    const late = await create(aPod({}, {}, 'late'));
    const lateTask = agent.launch(refOf(late));
    await state(lateTask, 'TASK_STARTING');
    const before = agent.subscriptions.length;
    agent.drop();
    await eventually(() => agent.subscriptions.length > before, 'the new subscription');
    const { unacknowledged_tasks = [], unacknowledged_updates = [] } = agent.subscriptions.at(-1)!;
    expect(unacknowledged_tasks.map((t) => t.task_id.value)).toEqual([lateTask]);
    expect(unacknowledged_updates.map((u) => [u.status.task_id.value, u.status.state])).toEqual([
      [lateTask, 'TASK_STARTING'],
    ]);
    agent.acknowledges = true;
    for (const { status } of unacknowledged_updates)
      agent.send({ type: 'ACKNOWLEDGED', acknowledged: { task_id: status.task_id, uuid: status.uuid! } });
    expect((await client.get(Pod, { namespace: 'default', name: 'stayer' })).status!.phase).toBe('Running');
  });

  test('the node has what its agent has, also when that came back with more', async () => {
    const cpus = async () => (await client.get(Node, { name: 'node-one-5051' })).status;
    agent.cpus = 6;
    agent.drop();
    await eventually(async () => (await cpus())?.capacity?.cpu === '6', 'the node to have six cpus');
    expect((await cpus())?.allocatable?.cpu).toBe('5900m');
  });

  test('a shutdown ends everything, tells it, and exits; the pods stay for the framework to place again', async () => {
    agent.send({ type: 'SHUTDOWN' });
    expect(await executor.closed).toContain('shutdown');
    const stayer = agent.updates.filter((u) => u.state === 'TASK_KILLED').map((u) => u.task_id.value);
    const pod = await client.get(Pod, { namespace: 'default', name: 'stayer' });
    expect(stayer).toContain(`pod.${pod.metadata.uid}.0`);
    expect(pod.metadata.deletionTimestamp).toBeUndefined();
    expect(pod.status!.conditions!.find((c) => c.type === 'Ready')!.status).toBe('False');
  });
});
