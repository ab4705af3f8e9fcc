import { afterEach, describe, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import { cluster, endAll, executor, Framework, task, until } from './builders.ts';
import type { FrameworkInfo, Resource } from '../../mesos/types.ts';

afterEach(endAll);

const agents = [{ hostname: 'a', resources: 'cpus:4;mem:4096;disk:8192', oversubscribed: 'cpus:2' }];
const types = ['MULTI_ROLE', 'PARTITION_AWARE', 'RESERVATION_REFINEMENT', 'REVOCABLE_RESOURCES'] as const;
const capabilities: NonNullable<FrameworkInfo['capabilities']> = types.map((type) => ({ type }));
const allocation_info = { role: '*' };
const cpus = (value: number): Resource => ({ name: 'cpus', type: 'SCALAR', scalar: { value }, allocation_info });
const mem: Resource = { name: 'mem', type: 'SCALAR', scalar: { value: 32 }, allocation_info };
const revocable = (resource: Resource): Resource => ({ ...resource, revocable: {} });
const revocableCpus = (resources: readonly Resource[] = []) =>
  resources.filter((r) => r.revocable && r.name === 'cpus').map(({ scalar }) => scalar?.value);

describe('resources that others do not use', () => {
  test('are offered to those that can give them back, and to nobody else', async () => {
    const { masterUrl, faults } = await cluster({ agents });
    const other = await Framework.open(masterUrl);
    expect((await other.offer()).resources?.filter((resource) => resource.revocable)).toEqual([]);
    const framework = await Framework.open(masterUrl, { capabilities });
    const offer = await framework.offer();
    expect(revocableCpus(offer.resources)).toEqual([2]);
    framework.offers.push(offer);
    faults.oversubscribe('a', 'cpus:3;mem:64');
    await until('the offer to be void', () => framework.events.some(({ type }) => type === 'RESCIND'));
    const next = await framework.offer();
    expect(revocableCpus(next.resources)).toEqual([3]);
    const { get_agents } = await askMaster({ url: masterUrl }, { type: 'GET_AGENTS' });
    expect(revocableCpus(get_agents.agents![0]!.total_resources)).toEqual([3]);
  });

  test('carry tasks whose executor uses none of its own of the same name, until they are wanted back', async () => {
    const { masterUrl, faults } = await cluster({ agents });
    const framework = await Framework.open(masterUrl, { capabilities });
    const own = { ...executor('ex'), resources: [revocable(cpus(0.1)), mem] };
    const mixed = { ...executor('mixed'), resources: [cpus(0.1), mem] };
    const offer = await framework.offer();
    const on = { resources: [revocable(cpus(1)), mem] };
    await framework.launch(
      offer,
      task('refused', offer, { ...on, executor: mixed }),
      task('revoked', offer, { ...on, executor: own }),
    );
    expect((await framework.reached('refused', 'TASK_ERROR')).message).toContain('mix revocable and non-revocable');
    await framework.reached('revoked', 'TASK_RUNNING');
    const left = await framework.offer();
    expect(revocableCpus(left.resources)).toEqual([0.9]);
    const steady = { resources: [cpus(1), mem] };
    await framework.launch(
      left,
      task('stays', left, { ...steady, executor: { ...executor('other'), resources: [cpus(0.1), mem] } }),
    );
    await framework.reached('stays', 'TASK_RUNNING');
    faults.preempt('a');
    expect(await framework.reached('revoked', 'TASK_GONE')).toMatchObject({ reason: 'REASON_CONTAINER_PREEMPTED' });
    await until('the failure of the executor', () =>
      framework.events.some((event) => event.type === 'FAILURE' && event.failure.executor_id?.value === 'ex'),
    );
    expect(framework.states('stays').at(-1)).toBe('TASK_RUNNING');
  }, 30_000);
});
