import { afterEach, describe, expect, test } from '@jest/globals';
import { frameworkInfo } from '../../framework/framework-info.ts';
import { options } from '../../framework/index.ts';
import { defaultsOf } from '../../lib/options.ts';
import { Framework, cluster, endAll } from '../devcluster/builders.ts';

const of = (more: object = {}, roles = ['web', 'ops']) => frameworkInfo({ ...defaultsOf(options), ...more }, roles);

afterEach(endAll);

describe('what km tells the master of itself', () => {
  test('says nothing of the size of offers unless told', () => {
    expect(of()).toMatchObject({ user: 'root', name: 'kubernetes', roles: ['web', 'ops'], failover_timeout: 604_800 });
    expect(of()).not.toHaveProperty('offer_filters');
  });

  test('knows several roles, refined reservations, partitions and tasks that are being killed', () => {
    const known = ['MULTI_ROLE', 'PARTITION_AWARE', 'RESERVATION_REFINEMENT', 'TASK_KILLING_STATE'];
    expect(of().capabilities?.map(({ type }) => type)).toEqual(expect.arrayContaining(known));
  });

  test('survives restarts of agents', () => {
    expect(of()).toMatchObject({ checkpoint: true });
  });

  test('names the least offer of each role, all of it at once', () => {
    const least = (quantities: object) => ({ min_allocatable_resources: { quantities: [{ quantities }] } });
    const both = least({ cpus: { value: 0.5 }, mem: { value: 64 } });
    expect(of({ minOfferCpus: 0.5, minOfferMem: 64 }).offer_filters).toEqual({ web: both, ops: both });
    expect(of({ minOfferMem: 64 }, ['web']).offer_filters).toEqual({ web: least({ mem: { value: 64 } }) });
  });

  test('keeps the master from offering what is less', async () => {
    const agents = [
      { hostname: 'small', resources: 'cpus:0.4;mem:4096' },
      { hostname: 'large', resources: 'cpus:4;mem:4096' },
    ];
    const { masterUrl } = await cluster({ agents });
    const framework = await Framework.open(masterUrl, of({ minOfferCpus: 0.5, minOfferMem: 64 }));
    await framework.offer();
    const other = await Framework.open(masterUrl, of({}));
    expect((await other.offer()).hostname).toBe('small');
    expect(framework.offers.map(({ hostname }) => hostname)).not.toContain('small');
  });
});
