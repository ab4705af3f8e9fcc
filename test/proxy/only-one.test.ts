import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const namespaces = ['a', 'b'].map((name) => `kmo${process.pid}${name}`);
const started: ChildProcess[] = [];
const end = async () => {
  for (const child of started.splice(0))
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
};
beforeAll(() => namespaces.forEach((name) => execFileSync('ip', ['netns', 'add', name])));
afterAll(async () => {
  await end();
  namespaces.forEach((name) => execFileSync('ip', ['netns', 'del', name]));
});

function proxyIn(namespace: string | undefined): ChildProcess {
  const inside = [`--net=/run/netns/${namespace}`, process.execPath, 'test/proxy/proxy-process.ts'];
  const child = spawn('nsenter', inside, { stdio: ['ignore', 'pipe', 'inherit'] });
  started.push(child);
  return child;
}

test('of two proxies in a network namespace one says that there is another; where one was killed the next may start', async () => {
  const [here, elsewhere] = namespaces;
  for (let i = 0; i < 2; i++) {
    const [one, other, apart] = [proxyIn(here), proxyIn(here), proxyIn(elsewhere)];
    const said = (child: ChildProcess) => once(child.stdout ?? child, 'data').then(String);
    const [message, refused] = await Promise.race(
      [one, other, apart].map(async (child) => [await said(child), child] as const),
    );
    expect(message).toBe(
      'another km proxy writes the rules of this network namespace: stop it first, or give this one a namespace of its own\n',
    );
    expect(refused).not.toBe(apart);
    const lives = refused === one ? other : one;
    expect([lives.exitCode, apart.exitCode]).toEqual([null, null]);
    await end();
  }
}, 60_000);
