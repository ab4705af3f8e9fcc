import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import { Client } from '../../client/client.ts';
import { silent } from '../../lib/log.ts';
import { Groups, groupOf } from '../../scheduler/groups.ts';
import { type TestServer, startServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { podGroups } from '../pod-groups.ts';
import { makePod } from './builders.ts';

let server: TestServer;
const stopping = new AbortController();
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  stopping.abort();
  await server.stop();
});

const labelled = (name: string, labels: Record<string, string>) => makePod(name, {}, { labels });

test('a pod says its group by a label', () => {
  expect(groupOf(makePod('alone'))).toBeUndefined();
  expect(groupOf(labelled('a', { 'scheduling.x-k8s.io/pod-group': 'train' }))).toBe('default/train');
  expect(groupOf(labelled('a', { 'pod-group.scheduling.sigs.k8s.io/name': 'old' }))).toBe('default/old');
});

test('a group without an object needs as many as its pods say, and says how many are missing', async () => {
  // No PodGroup is named, so nobody is asked.
  const client = new Client({ server: 'http://127.0.0.1:1' });
  const groups = new Groups({ client, log: silent, now: () => 0, changed: () => undefined });
  const labels = (least: string) => ({
    'pod-group.scheduling.sigs.k8s.io/name': 'train',
    'pod-group.scheduling.sigs.k8s.io/min-available': least,
  });
  const pods = ['2', '3', 'nonsense'].map((least, i) => labelled(`p${i}`, labels(least)));
  groups.see(pods[0]!);
  expect(groups.atLeast('default/train')).toBe('pod group default/train: 1 of at least 2 pods are there');
  groups.see(pods[1]!);
  expect(groups.atLeast('default/train')).toBe('pod group default/train: 2 of at least 3 pods are there');
  groups.see(pods[2]!);
  expect(groups.atLeast('default/train')).toBe(3);
  groups.forget(pods[1]!);
  expect(groups.atLeast('default/train')).toBe(2);
  expect(groups.members('default/train')).toEqual([pods[0], pods[2]]);
  // Those of a run before do not count.
  groups.see({ ...pods[0]!, status: { phase: 'Succeeded' } });
  expect(groups.atLeast('default/train')).toBe(1);
  groups.see(pods[0]!);
  expect(groups.atLeast('default/train')).toBe(2);
  groups.see({ ...pods[0]!, metadata: { ...pods[0]!.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  groups.see({ ...pods[2]!, status: { phase: 'Failed' } });
  expect(groups.members('default/train')).toEqual([]);
  await client.close();
});

test('what its PodGroup says is followed from when such objects are served, and told to its pods', async () => {
  const client = server.client();
  const named = labelled('p', { 'scheduling.x-k8s.io/pod-group': 'train' });
  const other = labelled('q', { 'scheduling.x-k8s.io/pod-group': 'other' });
  let now = 0;
  let helped: string[] = [];
  const changed = (helps: (pod: Pod) => boolean) =>
    helped.push(...[named, other].filter(helps).map(({ metadata }) => metadata.name));
  const groups = new Groups({ client, log: silent, now: () => now, changed });
  groups.start(stopping.signal);
  groups.see(named);
  const says = (expected: number | string) =>
    eventually(() => {
      now += 5_000;
      expect(groups.atLeast('default/train')).toBe(expected);
    });
  await says('there is no PodGroup default/train yet');
  expect(helped).toEqual([]);

  await client.raw('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', podGroups);
  await says('there is no PodGroup default/train');

  const path = '/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups';
  const group = { apiVersion: 'scheduling.x-k8s.io/v1alpha1', kind: 'PodGroup', metadata: { name: 'train' } };
  helped = [];
  const made = await client.raw<object>('POST', path, { ...group, spec: { minMember: 2 } });
  await eventually(() => expect(helped).toEqual(['p']));
  await says('pod group default/train: 1 of at least 2 pods are there');

  helped = [];
  await client.raw('PUT', `${path}/train`, { ...made, spec: { minMember: 1 } });
  await eventually(() => expect(helped).toEqual(['p']));
  await says(1);

  await client.raw('DELETE', `${path}/train`);
  await says('there is no PodGroup default/train');
});
