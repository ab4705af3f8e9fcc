import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { silent } from '../../lib/log.ts';
import { leaders } from '../../mesos/leader.ts';
import { askAgent, askMaster } from '../../mesos/operator.ts';
import type { Resource } from '../../mesos/types.ts';
import { startZooKeeper, zooKeeperIsHere } from '../mesos/zookeeper-server.ts';
import { atEnd, cluster, endAll, executor, Framework, some, task, until } from './builders.ts';

afterEach(endAll);

describe('the devcluster', () => {
  test('begins with three different agents, which are offered at once', async () => {
    const { masterUrl } = await cluster();
    const framework = await Framework.open(masterUrl);
    await until('three offers', () => framework.offers.length === 3);
    expect(new Set(framework.offers.map((offer) => offer.domain?.fault_domain?.zone.name))).toEqual(
      new Set(['z1', 'z2', 'z3']),
    );
    const attributes = framework.offers.map(
      (offer) => offer.attributes?.find(({ name }) => name === 'rack')?.text?.value,
    );
    expect(attributes.toSorted()).toEqual(['r1', 'r2', 'r3']);
  });

  test('starts an executor with exactly the environment of a real agent, in a sandbox laid out alike', async () => {
    const devcluster = await cluster();
    const framework = await Framework.open(devcluster.masterUrl);
    const offer = await framework.offer();
    await framework.launch(offer, task('t', offer, { executor: executor('ex', { MINE: 'x y' }) }));
    await framework.reached('t', 'TASK_RUNNING');
    const agent = devcluster.agents.find(({ id }) => id === offer.agent_id.value)!;
    const state = (await (await fetch(`${agent.url}/state`)).json()) as {
      frameworks: { executors: { directory: string }[] }[];
    };
    const { directory } = state.frameworks[0]!.executors[0]!;
    expect(directory).toMatch(
      new RegExp(`/slaves/${agent.id}/frameworks/${framework.id}/executors/ex/runs/[0-9a-f-]{36}$`),
    );
    expect(existsSync(join(directory, '../latest/executor.mjs'))).toBe(true);
    const said = JSON.parse(readFileSync(join(directory, 'stdout'), 'utf8').split('\n')[0]!) as {
      environment: Record<string, string>;
      cwd: string;
    };
    expect(said.cwd).toBe(directory);
    const golden = join(import.meta.dirname, '../golden/mesos/05-custom-executor-json/trace.jsonl');
    const recorded = JSON.parse(readFileSync(golden, 'utf8').split('\n')[12]!) as { data: { env: object } };
    const names = new Set([...Object.keys(recorded.data.env), 'MINE']);
    names.delete('EXEC_CT');
    // What the shell adds is not the agent's.
    for (const name of ['OLDPWD', 'SHLVL', '_', 'NODE']) delete said.environment[name];
    expect(new Set(Object.keys(said.environment))).toEqual(names);
    expect(said.environment).toMatchObject({
      MINE: 'x y',
      MESOS_RECOVERY_TIMEOUT: '15mins',
      MESOS_SLAVE_ID: agent.id!,
    });
    const listed = await fetch(`${agent.url}/files/browse?path=${directory}`);
    expect(((await listed.json()) as { path: string }[]).map(({ path }) => path)).toContain(`${directory}/stdout`);
    expect((await fetch(`${agent.url}/files/read?path=/etc/passwd`)).status).toBe(404);
  });

  test('kills the whole process tree of an executor that does not end in time', async () => {
    const devcluster = await cluster();
    const framework = await Framework.open(devcluster.masterUrl);
    const offer = await framework.offer();
    const stubborn = {
      ...executor('ex', { EXEC_IGNORE_SHUTDOWN: '1' }),
      shutdown_grace_period: { nanoseconds: 300_000_000n },
    };
    await framework.launch(offer, task('t', offer, { executor: stubborn }));
    const { container_status } = await framework.reached('t', 'TASK_RUNNING');
    await framework.call({
      type: 'SHUTDOWN',
      shutdown: { executor_id: { value: 'ex' }, agent_id: offer.agent_id },
    });
    const status = await framework.reached('t', 'TASK_FAILED');
    expect(status).toMatchObject({ reason: 'REASON_EXECUTOR_TERMINATED', message: 'Executor terminated' });
    const at = (type: string) => framework.events.findIndex((event) => event.type === type);
    const failed = framework.events.findIndex((e) => e.type === 'UPDATE' && e.update.status.state === 'TASK_FAILED');
    expect(at('FAILURE')).toBeLessThan(failed);
    expect(() => process.kill(container_status!.executor_pid!, 0)).toThrow();
  });

  test('keeps executors over a restart of their agent; who comes back too late is gone', async () => {
    const devcluster = await cluster({ timings: { executorReregistrationTimeout: 1000 } });
    const framework = await Framework.open(devcluster.masterUrl);
    const offer = await framework.offer();
    const index = devcluster.agents.findIndex(({ id }) => id === offer.agent_id.value);
    await framework.launch(offer, task('stays', offer, { executor: executor('ex') }));
    const before = await framework.reached('stays', 'TASK_RUNNING');
    await framework.launch(
      await framework.offer(offer.agent_id.value),
      task('late', offer, { executor: executor('late') }),
    );
    const late = await framework.reached('late', 'TASK_RUNNING');
    process.kill(-late.container_status!.executor_pid!, 'SIGSTOP');
    await devcluster.faults.restartAgent(index);
    const gone = await framework.reached('late', 'TASK_GONE');
    expect(gone).toMatchObject({
      reason: 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT',
      message: 'Executor did not reregister within 1secs',
    });
    await framework.call({ type: 'KILL', kill: { task_id: { value: 'stays' } } });
    const killed = await framework.reached('stays', 'TASK_KILLED');
    expect(killed.container_status?.container_id).toEqual(before.container_status?.container_id);
  });

  test('sends an update again until it is acknowledged, and only then the next', async () => {
    const devcluster = await cluster({ timings: { updateRetryMin: 40 } });
    const framework = await Framework.open(devcluster.masterUrl);
    framework.acknowledges = false;
    const offer = await framework.offer();
    await framework.launch(offer, task('t', offer, { command: { value: 'true' } }));
    await until('three times', () => framework.statuses.length >= 3);
    expect(new Set(framework.states('t'))).toEqual(new Set(['TASK_STARTING']));
    await framework.acknowledge(framework.statuses[0]!);
    await framework.reached('t', 'TASK_RUNNING');
  });

  test('runs groups of tasks under the DEFAULT executor, one failure ends all', async () => {
    const devcluster = await cluster();
    const framework = await Framework.open(devcluster.masterUrl, {}, 'application/json');
    const offer = await framework.offer();
    const disk: Resource = { name: 'disk', type: 'SCALAR', scalar: { value: 8 } };
    const operation = {
      type: 'LAUNCH_GROUP' as const,
      launch_group: {
        executor: {
          executor_id: { value: 'pod' },
          framework_id: { value: framework.id },
          type: 'DEFAULT' as const,
          resources: [...some, disk],
        },
        task_group: {
          tasks: [
            task('a', offer, { command: { value: 'sleep 100' } }),
            task('b', offer, { command: { value: 'sleep 0.2; exit 2' } }),
          ],
        },
      },
    };
    await framework.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations: [operation] } });
    expect(await framework.reached('b', 'TASK_FAILED')).toMatchObject({ message: 'Command exited with status 2' });
    await framework.reached('a', 'TASK_KILLED');
    await until('FAILURE of the executor', () =>
      framework.events.some(
        (e) => e.type === 'FAILURE' && e.failure.executor_id?.value === 'pod' && e.failure.status === 0,
      ),
    );
  });

  test('gives everything to a new leader: agents register again, tasks go on', async () => {
    const devcluster = await cluster({}, { masters: 3, sessionTimeout: 200 });
    const framework = await Framework.open(devcluster.masterUrl);
    const offer = await framework.offer();
    await framework.launch(offer, task('t', offer, { executor: executor('ex') }));
    await framework.reached('t', 'TASK_RUNNING');
    const old = devcluster.masterUrl;
    devcluster.faults.killMaster();
    expect(await framework.session.closed).toMatchObject({ code: 'connection' });
    await until(
      'a new leader',
      () => devcluster.masterUrl !== old && devcluster.agents.every(({ id }) => id !== undefined),
    );
    const follower = devcluster.masterUrls.find((url) => url !== old && url !== devcluster.masterUrl)!;
    const again = await Framework.open(follower, { id: { value: framework.id } });
    expect(again.session.url).toBe(devcluster.masterUrl);
    await again.call({
      type: 'RECONCILE',
      reconcile: { tasks: [{ task_id: { value: 't' }, agent_id: offer.agent_id }] },
    });
    expect(await again.reached('t', 'TASK_RUNNING')).toMatchObject({ reason: 'REASON_RECONCILIATION' });
    await again.call({ type: 'KILL', kill: { task_id: { value: 't' } } });
    await again.reached('t', 'TASK_KILLED');
  });

  (zooKeeperIsHere ? test : test.skip)(
    'elects its leader through ZooKeeper, as our leader detection sees it',
    async () => {
      const zooKeeper = await startZooKeeper(1);
      atEnd(() => zooKeeper.stop());
      const zk = `zk://${zooKeeper.addresses[0]}/km/mesos`;
      const devcluster = await cluster({}, { masters: 2, zk, sessionTimeout: 2000 });
      const stop = new AbortController();
      const told = leaders(zk, { log: silent, signal: stop.signal, sessionTimeout: 2000 });
      const first = (await told.next()).value;
      expect(first).toBe(devcluster.masterUrl);
      devcluster.faults.killMaster();
      let next = (await told.next()).value;
      if (next === undefined) next = (await told.next()).value;
      expect(next).toBe(devcluster.masterUrls.find((url) => url !== first));
      stop.abort();
    },
    30_000,
  );

  test('drops what was launched on an agent that was cut off, when it is back', async () => {
    const { masterUrl, faults } = await cluster({ agents: [{ hostname: 'a' }], timings: { agentPingTimeout: 60_000 } });
    const framework = await Framework.open(masterUrl);
    const offer = await framework.offer();
    faults.loseAgent(0);
    await framework.launch(offer, task('t1', offer, { command: { value: 'sleep 1000' } }));
    expect(framework.states('t1')).toEqual([]);
    faults.returnAgent(0);
    expect(await framework.reached('t1', 'TASK_DROPPED')).toMatchObject({
      source: 'SOURCE_AGENT',
      reason: 'REASON_RECONCILIATION',
      message: 'Reconciliation: task unknown to the agent',
    });
    await until('all of it offered again', () => framework.offers.some(({ resources }) => resources?.length === 4));
  });

  test('makes faults over HTTP for those that ask properly', async () => {
    const devcluster = await cluster({ timings: { agentPingTimeout: 50 } });
    const framework = await Framework.open(devcluster.masterUrl);
    await until('offers', () => framework.offers.length === 3);
    const order = (body: string, type = 'application/json') =>
      fetch(`${devcluster.masterUrl}/devcluster/faults`, { method: 'POST', headers: { 'content-type': type }, body });
    expect((await order('{"fault":"loseAgent","agent":0}', 'text/plain')).status).toBe(415);
    expect((await order('{"fault":"nonsense"}')).status).toBe(400);
    expect((await order('{"fault":"loseAgent","agent":77}')).status).toBe(404);
    expect((await order('{"fault":"loseAgent","agent":0}')).status).toBe(200);
    await until('FAILURE', () => framework.events.some((event) => event.type === 'FAILURE'));
    const stranger = await fetch(`${devcluster.masterUrl}/health`, { headers: { 'content-type': 'x' } });
    expect(stranger.status).toBe(200);
  });

  test('shares the agents between two frameworks, and offers nothing twice', async () => {
    const specs = Array.from({ length: 10 }, () => ({ resources: 'cpus:4;mem:4096' }));
    const { masterUrl } = await cluster({ agents: specs });
    const one = await Framework.open(masterUrl, { roles: ['a'] });
    await until('all', () => one.offers.length === 10);
    const two = await Framework.open(masterUrl, { roles: ['b'] });
    const offer_ids = one.offers.splice(0).map(({ id }) => id);
    await one.call({ type: 'DECLINE', decline: { offer_ids, filters: { refuse_seconds: 0 } } });
    await until('all again', () => one.offers.length + two.offers.length === 10);
    const agents = [...one.offers, ...two.offers].map((offer) => offer.agent_id.value);
    expect(new Set(agents).size).toBe(10);
    expect(two.offers.length).toBeGreaterThanOrEqual(4);
  });

  test('takes weights of roles from operators, offers anew, and keeps them for the next leader', async () => {
    const devcluster = await cluster({}, { masters: 2, sessionTimeout: 50 });
    const url = devcluster.masterUrl;
    expect(await askMaster({ url }, { type: 'GET_WEIGHTS' })).toEqual({ type: 'GET_WEIGHTS' });
    const framework = await Framework.open(url, { roles: ['ops', 'eng/web'] });
    await until('offers', () => framework.offers.length === 3);
    const update = (role: string, weight: number) =>
      askMaster(
        { url: devcluster.masterUrl },
        { type: 'UPDATE_WEIGHTS', update_weights: { weight_infos: [{ role, weight }] } },
      );
    await update('nobody', 2);
    expect(framework.events.some(({ type }) => type === 'RESCIND')).toBe(false);
    await update('eng', 3.5);
    await until('rescinded', () => framework.events.filter(({ type }) => type === 'RESCIND').length === 3);
    await until('new offers', () => framework.offers.length === 3);
    await expect(update('ops', -1)).rejects.toThrow("role 'ops': Invalid weight '-1': Weights must be positive");
    await expect(update('a//b', 1)).rejects.toThrow("Invalid role 'a//b'");
    const weight_infos = [
      { role: 'eng', weight: 3.5 },
      { role: 'nobody', weight: 2 },
    ];
    expect(await askMaster({ url }, { type: 'GET_WEIGHTS' })).toMatchObject({ get_weights: { weight_infos } });
    const { get_roles } = await askMaster({ url }, { type: 'GET_ROLES' });
    expect(get_roles.roles?.map(({ name, weight, frameworks }) => [name, weight, frameworks?.length])).toEqual([
      ['eng', 3.5, undefined],
      ['eng/web', 1, 1],
      ['nobody', 2, undefined],
      ['ops', 1, 1],
    ]);
    devcluster.faults.killMaster();
    await until('a new leader', () => devcluster.masterUrl !== url);
    const next = await askMaster({ url: devcluster.masterUrl }, { type: 'GET_WEIGHTS' });
    expect(next.get_weights).toEqual({ weight_infos });
  });

  test('shows the operators what happens, and answers for agents and their containers', async () => {
    const devcluster = await cluster();
    const framework = await Framework.open(devcluster.masterUrl);
    const offer = await framework.offer();
    const found = {
      labels: { labels: [{ key: 'app', value: 'web' }] },
      discovery: { visibility: 'EXTERNAL' as const, name: 'web', ports: { ports: [{ number: 80, protocol: 'tcp' }] } },
    };
    await framework.launch(offer, task('t', offer, { command: { value: 'sleep 100' }, ...found }));
    await framework.reached('t', 'TASK_RUNNING');
    const url = devcluster.masterUrl;
    const { get_state } = await askMaster({ url, contentType: 'application/json' }, { type: 'GET_STATE' });
    expect(get_state.get_tasks?.tasks?.map((one) => one.state)).toEqual(['TASK_RUNNING']);
    expect(get_state.get_agents?.agents).toHaveLength(3);
    const summary = (await (await fetch(`${url}/master/state-summary`)).json()) as { slaves: unknown[] };
    expect(summary.slaves).toHaveLength(3);
    const { tasks } = (await (await fetch(`${url}/master/tasks`)).json()) as { tasks: object[] };
    expect(tasks).toEqual([
      expect.objectContaining({
        ...found,
        labels: found.labels.labels,
        statuses: [
          { state: 'TASK_STARTING', timestamp: expect.any(Number), container_status: expect.anything() },
          { state: 'TASK_RUNNING', timestamp: expect.any(Number), container_status: expect.anything() },
        ],
      }),
    ]);
    const agent = devcluster.agents.find(({ id }) => id === offer.agent_id.value)!;
    const { get_containers } = await askAgent({ url: agent.url }, { type: 'GET_CONTAINERS', get_containers: {} });
    expect(get_containers.containers).toHaveLength(1);
    await expect(
      askMaster({ url }, { type: 'SET_LOGGING_LEVEL', set_logging_level: { level: 1, duration: { nanoseconds: 1n } } }),
    ).rejects.toMatchObject({ status: 501 });
  });

  test('pretends ten thousand agents in this very process: all of them offer, and run what they are given', async () => {
    const devcluster = await cluster({}, { simulated: 10_000 });
    const framework = await Framework.open(devcluster.masterUrl);
    await until('ten thousand offers', () => framework.offers.length === 10_000, 20_000);
    expect(new Set(framework.offers.map(({ agent_id }) => agent_id.value)).size).toBe(10_000);
    const some = framework.offers.filter((_, i) => i % 500 === 0);
    for (const [i, offer] of some.entries())
      await framework.launch(offer, task(`t${i}`, offer, { executor: executor('ex') }));
    for (const i of some.keys()) await framework.reached(`t${i}`, 'TASK_RUNNING');
    await framework.call({ type: 'KILL', kill: { task_id: { value: 't0' } } });
    await framework.reached('t0', 'TASK_KILLED');
  }, 40_000);
});
