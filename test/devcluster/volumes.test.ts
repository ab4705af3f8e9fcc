import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import type { OfferOperation } from '../../mesos/offers.ts';
import type { Resource } from '../../mesos/types.ts';
import { atEnd, cluster, endAll, executor, Framework, some, task, until } from './builders.ts';

afterEach(endAll);

const role = 'stateful';
const agents = [{ resources: 'cpus:4;mem:4096;disk:8192;ports:[31000-31999]' }];
const labels = { labels: [{ key: 'claim', value: 'default/data' }] };
const reserved = (value: number): Resource => ({
  name: 'disk',
  type: 'SCALAR',
  scalar: { value },
  allocation_info: { role },
  reservations: [{ type: 'DYNAMIC', role, labels }],
});
const volume: Resource = {
  ...reserved(64),
  disk: { persistence: { id: 'v1' }, volume: { container_path: 'data', mode: 'RW' } },
};
const reserve: OfferOperation = { type: 'RESERVE', id: { value: 'r' }, reserve: { resources: [reserved(64)] } };
const create: OfferOperation = { type: 'CREATE', id: { value: 'c' }, create: { volumes: [volume] } };
const hasVolume = (resources: readonly Resource[] = []) =>
  resources.some(({ disk }) => disk?.persistence?.id === 'v1' && disk.volume?.container_path === 'data');

async function untilOffered(framework: Framework, what: (resources: Resource[]) => boolean) {
  await until('an offer of it', async () => {
    const at = framework.offers.findIndex(({ resources = [] }) => what(resources));
    if (at >= 0) return true;
    for (const offer of framework.offers.splice(0)) await framework.accept(offer);
    return false;
  });
  return framework.offers.splice(
    framework.offers.findIndex(({ resources = [] }) => what(resources)),
    1,
  )[0]!;
}

describe('a persistent volume', () => {
  test('is a directory that tasks see in their sandbox, with what earlier ones wrote; DESTROY empties the disk', async () => {
    const workDir = mkdtempSync(join(tmpdir(), 'km-volumes-'));
    atEnd(() => rmSync(workDir, { recursive: true, force: true }));
    const { masterUrl } = await cluster({ agents }, { workDir });
    const framework = await Framework.open(masterUrl, { roles: [role] });
    const offer = await framework.offer();
    const write = task('write', offer, { resources: [...some, volume], command: { value: 'echo one >> data/log' } });
    await framework.accept(offer, reserve, create, { type: 'LAUNCH', launch: { task_infos: [write] } });
    expect([(await framework.ended('r')).state, (await framework.ended('c')).state]).toEqual([
      'OPERATION_FINISHED',
      'OPERATION_FINISHED',
    ]);
    await framework.reached('write', 'TASK_FINISHED');
    const directory = join(workDir, 'agent-1', 'volumes', 'roles', role, 'v1');
    expect(readFileSync(join(directory, 'log'), 'utf8')).toBe('one\n');

    const again = await untilOffered(framework, hasVolume);
    const more = task('more', again, {
      resources: [...some, volume],
      command: { value: 'echo two >> data/log && exit $(wc -l < data/log)' },
    });
    await framework.launch(again, more);
    expect((await framework.reached('more', 'TASK_FAILED')).message).toBe('Command exited with status 2');

    const last = await untilOffered(framework, hasVolume);
    const back: OfferOperation[] = [
      { type: 'DESTROY', id: { value: 'd' }, destroy: { volumes: [volume] } },
      { type: 'UNRESERVE', id: { value: 'u' }, unreserve: { resources: [reserved(64)] } },
    ];
    await framework.accept(last, ...back);
    expect((await framework.ended('u')).state).toBe('OPERATION_FINISHED');
    expect(existsSync(directory)).toBe(false);
    const { resources = [] } = await untilOffered(framework, (list) =>
      list.some(({ name, scalar }) => name === 'disk' && scalar?.value === 8192),
    );
    expect(resources.some(({ reservations }) => reservations?.length)).toBe(false);
  });

  test('comes into the sandbox of an executor that runs already, and goes with the task', async () => {
    const workDir = mkdtempSync(join(tmpdir(), 'km-volumes-'));
    atEnd(() => rmSync(workDir, { recursive: true, force: true }));
    const { masterUrl } = await cluster({ agents }, { workDir });
    const framework = await Framework.open(masterUrl, { roles: [role] });
    const first = await framework.offer();
    await framework.launch(first, task('first', first, { executor: executor('ex') }));
    await framework.reached('first', 'TASK_RUNNING');
    const offer = await framework.offer();
    const resources = [...some, volume];
    const second = task('second', offer, { executor: executor('ex'), resources });
    await framework.accept(offer, reserve, create, { type: 'LAUNCH', launch: { task_infos: [second] } });
    await framework.reached('second', 'TASK_RUNNING');
    const runs = join(
      workDir,
      'agent-1',
      'slaves',
      offer.agent_id.value,
      'frameworks',
      framework.id,
      'executors/ex/runs',
    );
    const sandbox = join(runs, 'latest');
    expect(readdirSync(sandbox)).toContain('data');
    await framework.call({ type: 'KILL', kill: { task_id: { value: 'second' } } });
    await framework.reached('second', 'TASK_KILLED');
    await until('the link to go', () => !readdirSync(sandbox).includes('data'));
  });

  test('and reservations outlive the agent, the master, and the framework that made them', async () => {
    const workDir = mkdtempSync(join(tmpdir(), 'km-volumes-'));
    atEnd(() => rmSync(workDir, { recursive: true, force: true }));
    const { faults, masterUrls } = await cluster({ agents }, { workDir, masters: 2, sessionTimeout: 50 });
    const framework = await Framework.open(masterUrls[0]!, { roles: [role] });
    await framework.accept(await framework.offer(), reserve, create);
    await framework.ended('c');
    await faults.restartAgent(0);
    await untilOffered(framework, hasVolume);
    faults.killMaster(0);
    await until('the other master has the agent', async () => {
      const answer = await askMaster({ url: masterUrls[1]! }, { type: 'GET_AGENTS' }).catch(() => undefined);
      return hasVolume(answer?.get_agents.agents?.[0]?.total_resources);
    });
    const heir = await Framework.open(masterUrls[1]!, { roles: [role] });
    await untilOffered(heir, hasVolume);
    const stranger = await Framework.open(masterUrls[1]!, { roles: ['other'] });
    // The stream may end before the answer comes.
    await heir.call({ type: 'TEARDOWN' }).catch(() => undefined);
    const { resources = [] } = await untilOffered(stranger, (list) => list.length > 0);
    expect(hasVolume(resources)).toBe(false);
  });

  test('is still there for agents of a devcluster that starts anew on the same files', async () => {
    const workDir = mkdtempSync(join(tmpdir(), 'km-volumes-'));
    const before = await cluster({ agents }, { workDir });
    const framework = await Framework.open(before.masterUrl, { roles: [role] });
    await framework.accept(await framework.offer(), reserve, create);
    await framework.ended('c');
    await endAll();
    atEnd(() => rmSync(workDir, { recursive: true, force: true }));
    const after = await cluster({ agents }, { workDir });
    const heir = await Framework.open(after.masterUrl, { roles: [role] });
    await untilOffered(heir, hasVolume);
  });

  test('of which the agent never heard is OPERATION_DROPPED when it is back', async () => {
    const { faults, masterUrl } = await cluster({ agents, timings: { agentPingTimeout: 60_000 } });
    const framework = await Framework.open(masterUrl, { roles: [role] });
    const offer = await framework.offer();
    faults.loseAgent(0);
    await framework.accept(offer, reserve);
    const asked = { type: 'RECONCILE_OPERATIONS' as const, reconcile_operations: {} };
    await framework.call(asked);
    expect((await framework.ended('r')).state).toBe('OPERATION_PENDING');
    faults.returnAgent(0);
    await until('it is dropped', async () => (await framework.ended('r')).state === 'OPERATION_DROPPED');
    const { resources = [] } = await framework.offer();
    expect(resources.some(({ reservations }) => reservations?.length)).toBe(false);
    await framework.call(asked);
    const { get_operations } = await askMaster({ url: masterUrl }, { type: 'GET_OPERATIONS' });
    expect(get_operations.operations ?? []).toEqual([]);
  });
});
