import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { kind } from '../../api/kind.ts';
import { CustomResourceDefinition, type CustomVersion } from '../../api/kinds/custom-resource-definition.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { StorageVersionMigration } from '../../api/kinds/storage-version-migration.ts';
import { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import type { KubeObject } from '../../api/meta.ts';
import { chosenBetaKinds } from '../../apiserver/beta-kinds.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';
import type { Store } from '../../apiserver/store.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const controllers = ['storage-version-migrator'];
const runtimeConfig = ['storagemigration.k8s.io/v1beta1=true'];
const dir = mkdtempSync(join(tmpdir(), 'km-migrator-'));
const keys = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];

/** Secrets are encrypted by the first of these keys, and read by all. */
function encryption(...order: number[]): string {
  const path = join(dir, `${order.join('-')}.json`);
  const aesgcm = { keys: order.map((i) => ({ name: `key${i}`, secret: keys[i] })) };
  const resources = [{ resources: ['secrets'], providers: [{ aesgcm }, { identity: {} }] }];
  writeFileSync(
    path,
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources }),
  );
  return path;
}

let store: Store;
beforeAll(() => void (store = openEmbedded(':memory:')));
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

type Work = Awaited<ReturnType<typeof startControllers>>;

const migrate = async (w: Work, name: string, resource: { group?: string; resource: string }) => {
  await w.client.create(StorageVersionMigration, { metadata: { name }, spec: { resource } });
  return eventually(async () => {
    const { status } = await w.client.get(StorageVersionMigration, { name });
    const ended = status?.conditions?.find(({ type, status: is }) => type !== 'Running' && is === 'True');
    expect(ended).toBeDefined();
    return { ...status, ended };
  });
};

const lying = async (prefix: string) =>
  (await store.list(prefix)).items.map(({ value }) => Buffer.from(value).toString('latin1'));

test('secrets are encrypted with the key of today, each once', async () => {
  const before = await startControllers({ controllers: [] }, { encryptionProviderConfig: encryption(0) }, store);
  for (let i = 0; i < 25; i += 1)
    await before.client.create(Secret, { metadata: { name: `s${i}`, namespace: 'default' }, stringData: { a: 'b' } });
  await before.stop();

  const given = { encryptionProviderConfig: encryption(1, 0), runtimeConfig };
  const w = await startControllers({ controllers }, given, store);
  await w.client.create(Secret, { metadata: { name: 'new', namespace: 'default' } });
  const untouched = (await w.client.get(Secret, { namespace: 'default', name: 'new' })).metadata.resourceVersion;
  expect((await lying('/registry/core/secrets/')).filter((text) => text.includes('key0'))).toHaveLength(25);
  const { ended, conditions, resourceVersion } = await migrate(w, 'rotate', { resource: 'secrets' });
  expect(ended).toMatchObject({ type: 'Succeeded', reason: 'StorageVersionMigrationSucceeded' });
  expect(conditions).toContainEqual(expect.objectContaining({ type: 'Running', status: 'False' }));
  expect(Number(resourceVersion)).toBeGreaterThan(0);
  const after = await lying('/registry/core/secrets/');
  expect(after.filter((text) => text.includes('key0'))).toEqual([]);
  expect(after).toHaveLength(26);
  const { metadata, data } = await w.client.get(Secret, { namespace: 'default', name: 's3' });
  expect([data, metadata.managedFields]).toEqual([{ a: 'Yg==' }, [expect.objectContaining({ manager: 'km' })]]);
  expect((await w.client.get(Secret, { namespace: 'default', name: 'new' })).metadata.resourceVersion).toBe(untouched);
  await w.stop();
});

const version = (name: string, storage: boolean): CustomVersion => ({
  name,
  served: true,
  storage,
  schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
});

test('custom resources are stored in the version of today, so that the older one can go', async () => {
  const w = await startControllers({ controllers }, { runtimeConfig }, store);
  const name = 'crontabs.example.com';
  const names = { plural: 'crontabs', kind: 'CronTab' };
  await w.client.create(CustomResourceDefinition, {
    metadata: { name },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [version('v1beta1', true), version('v1', false)],
    },
  });
  const CronTab = kind<KubeObject>({ group: 'example.com', version: 'v1', ...names, namespaced: true });
  const object = (i: number) => ({ metadata: { name: `c${i}`, namespace: 'default' } });
  await eventually(() => w.client.create(CronTab, object(0)));
  for (let i = 1; i < 5; i += 1) await w.client.create(CronTab, object(i));
  expect((await lying('/registry/example.com/crontabs/')).filter((text) => text.includes('v1beta1'))).toHaveLength(5);
  await w.client.patch(
    CustomResourceDefinition,
    { name },
    { spec: { versions: [version('v1beta1', false), version('v1', true)] } },
  );
  // The apiserver follows the definition a moment later; what is written now is written as it was.
  await eventually(async () => {
    const probe = await w.client.create(CronTab, { metadata: { generateName: 'probe-', namespace: 'default' } });
    const stored = (await lying(`/registry/example.com/crontabs/default/${probe.metadata.name}`))[0];
    expect(stored).toContain('"example.com/v1"');
  });
  expect((await migrate(w, 'crontabs', { group: 'example.com', resource: 'crontabs' })).ended?.type).toBe('Succeeded');
  expect((await lying('/registry/example.com/crontabs/')).filter((text) => text.includes('v1beta1'))).toEqual([]);
  await w.stop();
});

test('what cannot be migrated fails with the reason, and a wish cannot be changed', async () => {
  const definition = {
    metadata: { name: 'things.example.org' },
    spec: {
      group: 'example.org',
      scope: 'Cluster' as const,
      names: { plural: 'things', kind: 'Thing' },
      versions: [version('v1', true)],
    },
  };
  const w = await startControllers({ controllers }, { runtimeConfig }, store);
  await w.client.create(CustomResourceDefinition, definition);
  const Thing = kind<KubeObject>({
    group: 'example.org',
    version: 'v1',
    plural: 'things',
    kind: 'Thing',
    namespaced: false,
  });
  await eventually(() => w.client.create(Thing, { metadata: { name: 'one' } }));
  // Nobody may write it any more.
  const rules = [{ operations: ['UPDATE'], apiGroups: ['example.org'], apiVersions: ['*'], resources: ['things'] }];
  await w.client.create(ValidatingAdmissionPolicy, {
    metadata: { name: 'frozen' },
    spec: {
      matchConstraints: { resourceRules: rules },
      validations: [{ expression: 'false', message: 'things are frozen' }],
    },
  });
  await w.client.create(ValidatingAdmissionPolicyBinding, {
    metadata: { name: 'frozen' },
    spec: { policyName: 'frozen', validationActions: ['Deny'] },
  });
  const touch = () => w.client.patch(Thing, { name: 'one' }, { metadata: { labels: { a: 'b' } } }, { dryRun: true });
  await eventually(() => expect(touch()).rejects.toThrow('things are frozen'));
  const { ended } = await migrate(w, 'things', { group: 'example.org', resource: 'things' });
  expect(ended).toMatchObject({
    type: 'Failed',
    reason: 'StorageVersionMigrationFailed',
    message: expect.stringContaining('things are frozen'),
  });
  const changed = w.client.patch(
    StorageVersionMigration,
    { name: 'things' },
    { spec: { resource: { resource: 'pods' } } },
  );
  await expect(changed).rejects.toThrow('field is immutable');
  await w.stop();
});

test('versions in beta are served on request, by the flag of kube-apiserver', () => {
  const names = (wishes: string[]) => chosenBetaKinds(wishes).map(({ plural }) => plural);
  expect(names([])).toEqual([]);
  expect(names(runtimeConfig)).toEqual(['storageversionmigrations']);
  expect(names(['storagemigration.k8s.io/v1beta1'])).toEqual(['storageversionmigrations']);
  expect(names(['storagemigration.k8s.io/v1beta1=false'])).toEqual([]);
  expect(() => names(['batch/v2=true'])).toThrow('"batch/v2=true" is not one of storagemigration.k8s.io/v1beta1=true');
});
