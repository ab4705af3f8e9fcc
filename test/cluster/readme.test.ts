import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { newestKubectl } from './kubectl.ts';

// A newcomer's walk: the first steps of the README, typed in a fresh copy of the sources, with what npm ci puts there.

const home = mkdtempSync(join(tmpdir(), 'km-readme-'));
const env = {
  ...process.env,
  NO_COLOR: '1',
  PATH: [dirname(newestKubectl().path), process.env['PATH']].join(delimiter),
};
const [tryOut = '', , firstSteps = ''] = [...readFileSync('README.md', 'utf8').matchAll(/^```sh\n([^]*?)^```/gm)].map(
  ([, commands]) => commands!.trim(),
);

let said = '';
let end: () => Promise<unknown> = () => Promise.resolve();
beforeAll(async () => {
  const files = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter(Boolean);
  for (const file of [...files, 'api/schema/descriptions.json'])
    if (existsSync(file)) cpSync(file, join(home, file), { recursive: true });
  symlinkSync(join(process.cwd(), 'node_modules'), join(home, 'node_modules'));
  // Where somebody else has the usual ports, as other tests do, a newcomer says others.
  const flags = ['--port', '0', '--etcd-port', '0', '--mesos-port', '0'];
  const started = spawn('npm', ['start', '--', ...flags], {
    cwd: home,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  end = async () => {
    // Ctrl-C at a terminal reaches the whole group.
    process.kill(-started.pid!, 'SIGINT');
    await once(started, 'exit');
  };
  await eventually(() => expect(said).toContain('Ready. Try:'), 60_000);
}, 90_000);
afterAll(async () => {
  await end();
  rmSync(home, { recursive: true, force: true });
}, 60_000);

/** What each command of the README shows, in its order. */
const shows: [begins: string, output: RegExp, how?: { input?: string; seconds?: number }][] = [
  ['kubectl get nodes', /^NAME +STATUS.*(\nagent-[123] +Ready .*v1\.36\..*){3}/],
  ['kubectl create deployment hello', /^deployment\.apps\/hello created\n$/],
  ['kubectl rollout status', /successfully rolled out\n$/],
  ['kubectl get pods -o wide', /(?=[^]*agent-1)(?=[^]*agent-2)(?=[^]*agent-3)^NAME(.*\nhello-\S+ +1\/1 +Running){6}/],
  ['kubectl logs -f', /\d\d:\d\d:\d\d/, { seconds: 8 }],
  ['kubectl exec -it', /^here: \d+\n$/, { input: 'echo here: $$\nexit\n' }],
  ['kubectl scale', /^deployment\.apps\/hello scaled\n$/],
  ['kubectl top pods', /^NAME +CPU\(cores\) +MEMORY\(bytes\) *(\nhello-\S+ +\d+m +\d+Mi *)+/],
  ['kubectl delete deployment', /^deployment\.apps "hello" deleted/],
];

test('the try-out says what is ready, and what to try', () => {
  expect(tryOut).toBe('npm ci && npm start');
  expect(said).toMatch(/✓ apiserver[^]*✓ development Mesos[^]*, 3 agents[^]*✓ controller-manager[^]*✓ scheduler/);
});

test('the first steps show what the README says', async () => {
  const [exported = '', ...commands] = firstSteps.split('\n').map((line) => line.replace(/ +#.*$/, ''));
  expect(exported).toBe('export KUBECONFIG=.km/kubeconfig');
  expect(commands.map((command) => shows.findIndex(([begins]) => command.startsWith(begins)))).toEqual(
    shows.map((_, i) => i),
  );
  for (const [i, command] of commands.entries()) {
    const [, output, { input = '', seconds = 60 } = {}] = shows[i]!;
    const type = () =>
      spawnSync('sh', ['-c', `${exported}; ${command}`], {
        cwd: home,
        env,
        input,
        encoding: 'utf8',
        timeout: seconds * 1000,
      }).stdout;
    // Usage of pods is known a moment after they began.
    await eventually(() => expect(type()).toMatch(output), 30_000);
  }
}, 240_000);
