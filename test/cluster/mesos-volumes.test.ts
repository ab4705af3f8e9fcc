import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import type { Resource } from '../../mesos/types.ts';
import { eventually } from '../eventually.ts';
import { keepersOf } from './manifests.ts';
import type { TestCluster } from './harness.ts';
import { type Place, places } from './places.ts';

const set = (replicas: number) =>
  JSON.stringify(keepersOf(replicas, 'Retain', 'date >> /data/starts; exec sleep 1000'));

describe.each(places)('a claim of the class mesos, on the %s runtime', (_name, open) => {
  let place: Place;
  let cluster: TestCluster;
  beforeAll(async () => {
    place = await open({ flags: { scheduler: ['--mesos-role', 'stateful', '--volume-audit', '1s'] } });
    cluster = place.cluster;
  }, 90_000);
  afterAll(() => place?.stop(), 60_000);

  const get = (what: string, path: string) => cluster.kubectl.run('get', ...what.split(' '), '-o', `jsonpath=${path}`);
  const ready = (count: number) =>
    eventually(
      async () => expect(await get('statefulset keeper', '{.status.readyReplicas}')).toBe(String(count)),
      40_000,
    );
  /** Everything that agents keep for somebody. */
  const kept = async (): Promise<Resource[]> => {
    const { get_agents } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_AGENTS' });
    return (get_agents.agents ?? [])
      .flatMap(({ total_resources = [] }) => total_resources)
      .filter(({ reservations }) => reservations?.length);
  };
  const starts = () => globSync(join(cluster.dir, '**/volumes/roles/stateful/*/starts'));

  test('becomes a reservation, a volume and a task at once; the pod returns to it; nothing stays that nobody owns', async () => {
    const { kubectl } = cluster;
    expect(await kubectl.feed(set(2), 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
    await ready(2);
    expect(await get('pvc', '{range .items[*]}{.metadata.name}={.status.phase} {end}')).toBe(
      'data-keeper-0=Bound data-keeper-1=Bound ',
    );
    const labels = (await kept()).map(({ reservations }) =>
      reservations!.at(-1)!.labels?.labels?.find(({ key }) => key === 'k8s.mesosphere.io/claim'),
    );
    expect(labels.map((label) => label?.value).sort()).toEqual(['default/data-keeper-0', 'default/data-keeper-1']);
    expect(starts()).toHaveLength(2);

    const node = await get('pod keeper-0', '{.spec.nodeName}');
    await kubectl.run('delete', 'pod', 'keeper-0', '--timeout=20s');
    await ready(2);
    expect(await get('pod keeper-0', '{.spec.nodeName}')).toBe(node);
    expect(await kubectl.run('exec', 'keeper-0', '--', 'sh', '-c', 'wc -l < /data/starts')).toMatch(/2/);

    const volume = await get('pvc data-keeper-1', '{.spec.volumeName}');
    const patch = JSON.stringify({ spec: { persistentVolumeReclaimPolicy: 'Retain' } });
    await kubectl.run('patch', 'pv', volume, '-p', patch);
    await kubectl.run('delete', 'statefulset/keeper', 'pvc/data-keeper-0', 'pvc/data-keeper-1', '--timeout=30s');
    await eventually(async () => {
      const claims = (await kept()).map(({ reservations }) => JSON.stringify(reservations));
      expect(claims).toHaveLength(1);
      expect(claims[0]).toContain('default/data-keeper-1');
    }, 30_000);
    expect(await get(`pv ${volume}`, '{.status.phase}')).toBe('Released');
    expect(starts().map((file) => readFileSync(file, 'utf8').split('\n').length)).toEqual([2]);
    await kubectl.run('delete', 'pv', volume, '--timeout=20s');
    await eventually(async () => expect(await kept()).toEqual([]), 30_000);
    expect(starts()).toEqual([]);
  }, 180_000);
});
