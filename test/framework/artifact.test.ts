import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type ArtifactOptions, serveArtifact } from '../../framework/artifact.ts';
import { silent } from '../../lib/log.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-artifact-'));
const archive = join(folder, 'km-1.2.3-linux-x64.tar.gz');
const bytes = Buffer.alloc(3_000_000, 'km');
let stop = new AbortController();

beforeAll(() => writeFileSync(archive, bytes));
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});
afterAll(() => rmSync(folder, { recursive: true }));

const serve = (changed: Partial<ArtifactOptions> = {}) =>
  serveArtifact(
    {
      executorArchive: archive,
      executorArchivePort: 0,
      executorArchiveAddress: '127.0.0.1',
      executorCommand: 'exec km executor --runtime cri',
      ...changed,
    },
    { log: silent, signal: stop.signal },
  );

test('is there whole, for many at once, and tells its size before', async () => {
  const { uri } = await serve();
  expect(uri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/km-1\.2\.3-linux-x64\.tar\.gz$/);
  const head = await fetch(uri, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  const all = await Promise.all([1, 2, 3].map(async () => Buffer.from(await (await fetch(uri)).arrayBuffer())));
  for (const one of all) expect(one.equals(bytes)).toBe(true);
});

test('is all that is there', async () => {
  const { uri } = await serve();
  const { origin } = new URL(uri);
  for (const path of ['/', '/../../etc/passwd', `${new URL(uri).pathname}/..`, '/km-1.2.3-linux-x64.tar.gz'])
    expect((await fetch(origin + path)).status).toBe(404);
  const put = await fetch(uri, { method: 'PUT', body: 'x' });
  expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});

test('stays what its path says when another one takes its place; that one has another path', async () => {
  const before = await serve();
  writeFileSync(join(folder, 'next'), 'another km');
  renameSync(join(folder, 'next'), archive);
  const after = await serve();
  expect(new URL(after.uri).pathname).not.toBe(new URL(before.uri).pathname);
  expect(Buffer.from(await (await fetch(before.uri)).arrayBuffer()).equals(bytes)).toBe(true);
  expect(await (await fetch(after.uri)).text()).toBe('another km');
});

test('the command finds its km', async () => {
  const { command } = await serve();
  expect(command).toBe('export PATH="$PWD/km-1.2.3-linux-x64/bin:$PATH"; exec km executor --runtime cri');
});

test('an address of IPv6 stands in brackets', async () => {
  expect((await serve({ executorArchiveAddress: '::1' })).uri).toMatch(/^http:\/\/\[::1\]:/);
});

test('says what is in its way', async () => {
  const { port } = new URL((await serve()).uri);
  await expect(serve({ executorArchive: join(folder, 'none.tar.gz') })).rejects.toThrow(
    /--executor-archive: ENOENT.*npm run build makes one/,
  );
  await expect(serve({ executorArchive: folder })).rejects.toThrow(/expected an archive such as km-1\.0\.0/);
  await expect(serve({ executorArchivePort: Number(port) })).rejects.toThrow(
    /--executor-archive-port \d+: .*EADDRINUSE/,
  );
});
