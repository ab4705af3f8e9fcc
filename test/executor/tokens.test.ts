import { mock } from 'node:test';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import type { VolumeFacts } from '../../executor/volumes/volume.ts';
import { projected } from '../../executor/volumes/projected.ts';
import { aPod } from './pods-for-tests.ts';

const directory = mkdtempSync('/dev/shm/km-tokens-');
afterAll(() => rmSync(directory, { recursive: true, force: true }));
afterEach(() => mock.restoreAll());

/** A volume with a token that lives as long; each that is asked for is another. */
function volumeOf(expirationSeconds: number, pod: Pod = aPod()) {
  const serviceAccountToken = { path: 'token', expirationSeconds };
  const path = join(directory, pod.metadata.uid!);
  let asked = 0;
  const server = { isDown: false };
  const token = () => {
    if (server.isDown) return Promise.reject(new Error('no route to host'));
    return Promise.resolve({ token: `token-${++asked}`, expiresAt: Date.now() + expirationSeconds * 1000 });
  };
  const place = { pod, path, facts: { token } as Partial<VolumeFacts> as VolumeFacts };
  const volume = { name: 'v', projected: { sources: [{ serviceAccountToken }] } };
  const read = async () => {
    await projected.prepare(volume, place);
    return readFileSync(join(path, 'token'), 'utf8');
  };
  return { server, read, file: join(path, 'token') };
}

const began = performance.now();
/** The clock that cannot be put back stands so many seconds after the beginning. */
function at(seconds: number): void {
  mock.restoreAll();
  mock.method(performance, 'now', () => began + seconds * 1000);
}

describe('a token in the files of a pod', () => {
  const hour = 3600;
  const day = 24 * hour;
  test.each([
    [600, 480],
    [hour, 2880],
    [7 * day, day],
  ])('that lives for %d s is another after %d s: four fifths, but a day at most', async (life, seconds) => {
    const { read } = volumeOf(life);
    at(0);
    expect(await read()).toBe('token-1');
    at(seconds - 1);
    expect(await read()).toBe('token-1');
    at(seconds + 1);
    expect(await read()).toBe('token-2');
    at(2 * seconds - 1);
    expect(await read()).toBe('token-2');
    at(2 * seconds + 3);
    expect(await read()).toBe('token-3');
  });

  test('stays while it lives when there is no other to be had', async () => {
    const { server, read } = volumeOf(600);
    at(0);
    expect(await read()).toBe('token-1');
    server.isDown = true;
    at(599);
    expect(await read()).toBe('token-1');
    at(601);
    await expect(read()).rejects.toThrow('no route to host');
    server.isDown = false;
    expect(await read()).toBe('token-2');
  });

  const as = (runAsUser?: number) => (runAsUser === undefined ? {} : { securityContext: { runAsUser } });
  const containers = (...users: (number | undefined)[]): PodSpec['containers'] =>
    users.map((user, i) => ({ name: `c${i}`, ...as(user) }));
  const describeAsRoot = process.getuid?.() === 0 ? describe : describe.skip;
  describeAsRoot('is for nobody but', () => {
    test.each<[string, Partial<PodSpec>, string]>([
      ['everybody, where the pod does not say who it is', { containers: containers(undefined) }, '644 0:0'],
      ['everybody, where only one container says so', { containers: containers(1000, undefined) }, '644 0:0'],
      ['everybody, where its containers are several users', { containers: containers(1000, 1001) }, '644 0:0'],
      ['the user of all containers', { containers: containers(1000, 1000) }, '600 1000:0'],
      ['the user of the pod', { ...as(1000), containers: containers(undefined, 1000) }, '600 1000:0'],
      ['root, where that is who it is', { containers: containers(0) }, '600 0:0'],
      ['the group of the pod', { securityContext: { fsGroup: 2000 }, containers: containers(undefined) }, '640 0:2000'],
      [
        'user and group',
        { securityContext: { runAsUser: 1000, fsGroup: 2000 }, containers: containers(undefined) },
        '640 1000:2000',
      ],
    ])('%s', async (_, spec, wanted) => {
      const { read, file } = volumeOf(hour, aPod({}, spec));
      await read();
      const { mode, uid, gid } = statSync(file);
      expect(`${(mode & 0o777).toString(8)} ${uid}:${gid}`).toBe(wanted);
    });
  });
});
