import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { startEtcd } from '../apiserver/etcd-process.ts';
import { startServer } from '../apiserver/harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-backup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The commands of docs/backup.md, in order. */
const [save = '', restore = ''] = [...readFileSync('docs/backup.md', 'utf8').matchAll(/^```sh\n([^]*?)^```/gm)].map(
  ([, commands]) => commands!,
);
const shell = (commands: string, env: Record<string, string> = {}) =>
  execFileSync('sh', ['-ec', commands], { cwd: folder, env: { ...process.env, ...env }, stdio: 'pipe' });

const path = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { of: name } });

test('what docs/backup.md says: objects of the snapshot are back, later ones gone, and new ones can be made', async () => {
  const etcd = await startEtcd();
  const before = await startServer({ etcdServers: [etcd.url] });
  const kept = await before.call('POST', path, configMap('kept'));
  expect(kept.status).toBe(201);
  shell(save, { ETCD: etcd.url });
  await before.call('POST', path, configMap('later'));
  await before.call('DELETE', `${path}/kept`);
  await before.stop();
  await etcd.stop();
  shell(restore);
  const restored = await startEtcd(undefined, ['--data-dir', join(folder, 'restored')]);
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const after = await startServer({ etcdServers: [restored.url] }, { log });
  try {
    // What the log says of the restored objects is what etcd says of the snapshot.
    const [, revision] = shell('ETCDCTL_API=3 etcdctl snapshot status snapshot.db').toString().split(', ');
    const has = lines.find((line) => line.includes('has read what the store holds')) ?? '{}';
    expect(JSON.parse(has)).toMatchObject({ revision: Number(revision), objects: expect.any(Number) });
    const found = await after.call('GET', `${path}/kept`);
    expect(found.json).toEqual(kept.json);
    expect((await after.call('GET', `${path}/later`)).status).toBe(404);
    expect((await after.call('POST', path, configMap('later'))).status).toBe(201);
    expect((await after.call('DELETE', `${path}/kept`)).status).toBe(200);
  } finally {
    await after.stop();
    await restored.stop();
  }
});
