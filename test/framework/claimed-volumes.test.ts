import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Client } from '../../client/client.ts';
import { ClaimedVolumeWriter } from '../../framework/claimed-volumes.ts';
import { startServer, type TestServer } from '../apiserver/harness.ts';

let server: TestServer;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = server.client();
});
afterAll(() => server.stop());

const common = { accessModes: ['ReadWriteOnce' as const], storageClassName: 'late' };
const storage = '1Gi';
const makeVolume = async (name: string) => {
  const spec = { ...common, capacity: { storage }, hostPath: { path: '/mnt' } };
  await client.create(PersistentVolume, { metadata: { name }, spec });
  // As the controller of claims does.
  await client.patch(PersistentVolume, { name }, { status: { phase: 'Available' } }, { subresource: 'status' });
};
const makeClaim = (name: string) =>
  client.create(PersistentVolumeClaim, {
    metadata: { name, namespace: 'default' },
    spec: { ...common, resources: { requests: { storage } } },
  });
const ownerOf = async (name: string) => (await client.get(PersistentVolume, { name })).spec.claimRef?.name;
const writer = () => new ClaimedVolumeWriter(client, new AbortController().signal);

test('of two claims that want one volume one gets it, the other is told, and has none of its others either', async () => {
  for (const name of ['wanted', 'of-left', 'of-right']) await makeVolume(name);
  for (const name of ['left', 'left-more', 'right', 'right-more']) await makeClaim(name);
  const outcomes = await Promise.all([
    writer().write('default', { 'left-more': 'of-left', left: 'wanted' }),
    writer().write('default', { 'right-more': 'of-right', right: 'wanted' }),
  ]);
  const [winner, loser] = outcomes[0] === undefined ? ['left', 'right'] : ['right', 'left'];
  expect([...outcomes].sort()).toEqual(['persistentvolume "wanted" is not to be had any more', undefined]);
  expect(await ownerOf('wanted')).toBe(winner);
  expect(await ownerOf(`of-${winner}`)).toBe(`${winner}-more`);
  expect(await ownerOf(`of-${loser}`)).toBeUndefined();
});

test('what is written already is right, whoever wrote it; a claim that is gone, or has another volume, is told', async () => {
  await makeVolume('again');
  await makeClaim('again');
  expect(await writer().write('default', { again: 'again' })).toBeUndefined();
  expect(await writer().write('default', { again: 'again' })).toBeUndefined();
  await client.patch(PersistentVolumeClaim, { namespace: 'default', name: 'again' }, { spec: { volumeName: 'again' } });
  expect(await writer().write('default', { again: 'again' })).toBeUndefined();
  expect(await writer().write('default', { again: 'other' })).toBe('persistentvolumeclaim "again" has another volume');
  expect(await writer().write('default', { gone: 'again' })).toBe('persistentvolumeclaim "gone" not found');
});
