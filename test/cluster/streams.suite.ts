import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { type TestCluster } from './harness.ts';
import { Kubectl, installedKubectls } from './kubectl.ts';
import { isAlive } from './processes.ts';

const pod = (name: string, command: readonly string[], container: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    terminationGracePeriodSeconds: 1,
    volumes: [{ name: 'scratch', emptyDir: {} }],
    containers: [
      {
        name: 'main',
        image: 'k8s.test/busybox:1',
        command,
        volumeMounts: [{ name: 'scratch', mountPath: '/km' }],
        ...container,
      },
    ],
  },
});

/** Says the port it got, then sends everything back, as long as the other end goes on. */
const echo = `require('net').createServer({ allowHalfOpen: true }, (s) => {
    s.on('error', () => 0).once('data', (first) => String(first) === 'bye' ? s.end(first) : (s.unshift(first), s.pipe(s))) })
  .listen(0, '127.0.0.1', function () { console.log(this.address().port) })`;
const twoLives = `n=$(cat /km/lives 2>/dev/null || echo 1); echo life $n; echo $((n+1)) > /km/lives
  [ $n = 1 ] && exit 3; exec sleep 1000`;

/** exec, attach, cp, logs and port-forward. */
export function describeStreams(cluster: () => TestCluster): void {
  beforeAll(async () => {
    const items = [
      pod('speaker', ['sh', '-c', 'for n in 1 2 3 4 5; do echo line $n; done; exec sleep 1000']),
      pod('echo', [process.execPath, '-e', echo]),
      pod('listener', ['sh', '-c', 'while read line; do echo heard $line; done'], { stdin: true }),
      pod('phoenix', ['sh', '-c', twoLives]),
    ];
    await cluster().kubectl.feed(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }), 'apply', '-f', '-');
    for (const { metadata } of items)
      await cluster().kubectl.run('wait', '--for=condition=Ready', `pod/${metadata.name}`, '--timeout=30s');
  }, 90_000);

  const all = installedKubectls();
  /** One that speaks SPDY alone, and the newest. */
  const chosen = [...new Set([all.find(({ version }) => version === '1.27') ?? all[0]!, all.at(-1)!])];

  describe.each(chosen)('kubectl $version', (installed) => {
    const k = () => new Kubectl(installed, cluster().kubeconfig);

    /** Bytes in, bytes out. */
    async function pipe(input: Buffer, ...args: string[]): Promise<Buffer> {
      const child = k().start(...args);
      const chunks: Buffer[] = [];
      child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
      const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
      child.stdin!.end(input);
      expect(await closed).toBe(0);
      return Buffer.concat(chunks);
    }

    test('exec carries 5 MB both ways, every byte of it', async () => {
      const bytes = randomBytes(5 << 20);
      const back = await pipe(bytes, 'exec', '-i', 'speaker', '--', 'cat');
      expect(back.equals(bytes)).toBe(true);
    });

    test('exec and logs refuse in Kubernetes’ words', async () => {
      expect(await k().try('exec', 'nobody', '--', 'true')).toMatchObject({
        code: 1,
        stderr: 'Error from server (NotFound): pods "nobody" not found\n',
      });
      const wrong = await k().try('exec', 'speaker', '-c', 'other', '--', 'true');
      expect(wrong).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('container other is not valid for pod speaker'),
      });
      expect(await k().try('logs', 'speaker', '-c', 'other')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('container other is not valid for pod speaker'),
      });
      expect(await k().try('logs', 'speaker', '--previous')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('previous terminated container "main" in pod "speaker" not found'),
      });
      expect(await k().try('exec', 'speaker', '--', 'no-such-command')).toMatchObject({ code: 127 });
    });

    test('a client that is killed takes its command along', async () => {
      const child = k().start('exec', 'speaker', '--', 'sh', '-c', 'echo $$; exec sleep 1000');
      const pid = await eventually(() => {
        expect(child.output()).toMatch(/^\d+\n$/);
        return Number(child.output());
      });
      expect(isAlive(pid)).toBe(true);
      child.kill('SIGKILL');
      await eventually(() => expect(isAlive(pid)).toBe(false));
    });

    test('attach hears the process and speaks to it', async () => {
      const child = k().start('attach', '-i', 'listener');
      try {
        await eventually(() => {
          child.stdin!.write(`you ${installed.version}\n`);
          expect(child.output()).toContain(`heard you ${installed.version}\n`);
        });
      } finally {
        child.kill();
      }
      expect(await k().run('logs', 'listener')).toContain(`heard you ${installed.version}\n`);
    });

    test('cp takes files and directories there and back', async () => {
      const from = join(cluster().dir, `from-${installed.version}`);
      const [there, back] = [
        join(cluster().dir, `there-${installed.version}`),
        join(cluster().dir, `back-${installed.version}`),
      ];
      mkdirSync(join(from, 'deep'), { recursive: true });
      const bytes = randomBytes(1 << 20);
      writeFileSync(join(from, 'deep/bytes'), bytes);
      writeFileSync(join(from, 'words'), 'a few\n');
      await k().run('cp', from, `speaker:${there}`);
      await k().run('cp', `speaker:${there}`, back);
      expect(readFileSync(join(back, 'deep/bytes')).equals(bytes)).toBe(true);
      expect(readFileSync(join(back, 'words'), 'utf8')).toBe('a few\n');
    });

    test('logs: the last lines, with times, since then, and of the life before', async () => {
      expect(await k().run('logs', 'speaker', '--tail=2')).toBe('line 4\nline 5\n');
      expect(await k().run('logs', 'speaker', '--since=1h')).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
      const stamped = (await k().run('logs', 'speaker', '--timestamps')).trim().split('\n');
      expect(stamped).toHaveLength(5);
      for (const line of stamped) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line \d$/);
      const later = new Date(Date.parse(stamped.at(-1)!.split(' ')[0]!) + 1_000).toISOString();
      expect(await k().run('logs', 'speaker', `--since-time=${later}`)).toBe('');
      expect(await k().run('logs', 'phoenix')).toBe('life 2\n');
      expect(await k().run('logs', 'phoenix', '--previous')).toBe('life 1\n');
    });

    test('port-forward carries connections side by side, and tells of a port where nobody listens', async () => {
      const port = (await k().run('logs', 'echo')).trim();
      const child = k().start('port-forward', 'pod/echo', `:${port}`);
      try {
        const local = await forwarded(child, port);
        const bytes = [1, 2, 3].map(() => randomBytes(1 << 20));
        const back = await Promise.all(bytes.map((some) => throughSocket(local, some)));
        expect(back.map((some, i) => some.equals(bytes[i]!))).toEqual([true, true, true]);
        // The pod has said all: who waits for its end without ending himself, sees it.
        expect((await throughSocket(local, Buffer.from('bye'), 'stays open')).toString()).toBe('bye');
      } finally {
        child.kill();
      }
      const nowhere = k().start('port-forward', 'pod/echo', ':1');
      try {
        const local = await forwarded(nowhere, '1');
        expect((await throughSocket(local, Buffer.from('anybody?'))).length).toBe(0);
        await eventually(() => expect(nowhere.output()).toMatch(/error occurred.*forwarding/i));
      } finally {
        nowhere.kill();
      }
    });
  });
}

type Running = ReturnType<Kubectl['start']>;

/** The local port that kubectl chose. */
const forwarded = (child: Running, port: string): Promise<number> =>
  eventually(() => {
    const match = new RegExp(`Forwarding from 127\\.0\\.0\\.1:(\\d+) -> ${port}`).exec(child.output());
    expect(match).not.toBeNull();
    return Number(match![1]);
  });

function throughSocket(port: number, bytes: Buffer, then: 'ends' | 'stays open' = 'ends'): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => resolve(Buffer.concat(chunks)));
    socket.on('end', () => {
      resolve(Buffer.concat(chunks));
      socket.end();
    });
    if (then === 'ends') socket.end(bytes);
    else socket.write(bytes);
  });
}
