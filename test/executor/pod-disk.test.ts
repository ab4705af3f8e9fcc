import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { podDisk } from '../../executor/pod-disk.ts';
import { logDirectory } from '../../executor/sandbox.ts';
import { aPod } from './pods-for-tests.ts';

const directory = mkdtempSync(join(tmpdir(), 'km-disk-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const kilo = 1024;

test('a pod keeps on disk its emptyDirs, logs, layers and own files, and nothing that is in memory or of others', async () => {
  const emptyDirs = [
    { name: 'plain', emptyDir: {} },
    { name: 'memory', emptyDir: { medium: 'Memory' as const } },
  ];
  const pod = aPod({}, { volumes: [...emptyDirs, { name: 'map', configMap: { name: 'm' } }] });
  const place = { volumes: join(directory, 'volumes'), logs: join(directory, 'logs') };
  const own = join(place.volumes, pod.metadata.uid!);
  const write = (path: string, kilobytes: number) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.alloc(kilobytes * kilo, 1));
  };
  write(join(own, 'volumes/emptyDir/plain/f'), 400);
  write(join(own, 'volumes/emptyDir/memory/f'), 4000);
  write(join(own, 'volumes/configMap/map/f'), 4000);
  write(join(own, 'subpaths/plain/c/0/f'), 4000);
  write(join(own, 'etc-hosts'), 200);
  write(join(logDirectory(pod, place.logs), 'c/0.log'), 100);
  const { volumes, containers, total } = await podDisk(pod, place, new Map([['c', 300 * kilo]]));
  // Directories take some blocks, too.
  const hundreds = (bytes = 0) => Math.floor(bytes / kilo / 100);
  expect([...volumes.keys()]).toEqual(['plain']);
  expect(hundreds(volumes.get('plain'))).toBe(4);
  expect(hundreds(containers.get('c'))).toBe(4);
  expect(hundreds(total)).toBe(10);
});
