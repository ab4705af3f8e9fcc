import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { freePort } from '../../cli/ports.ts';
import { Supervised } from '../../cli/supervisor.ts';
import { startEtcd } from '../apiserver/etcd-process.ts';
import { km, program } from '../cli/run-km.ts';
import { eventually } from '../eventually.ts';
import { startZooKeeper } from '../mesos/zookeeper-server.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';
import { webUiOf } from './web-ui.ts';

interface Service {
  command?: string[];
  environment?: Record<string, string>;
  healthcheck?: { test: string[] };
  ports?: string[];
}

const folder = mkdtempSync(join(tmpdir(), 'km-compose-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The stack as docker-compose understands it: variables filled in, what is shared repeated. */
function services(env: NodeJS.ProcessEnv = {}, ...files: string[]): Record<string, Service> {
  const chosen = ['docker-compose.yml', ...files].flatMap((file) => ['-f', file]);
  const config = execFileSync('docker-compose', [...chosen, 'config'], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
  return (parse(config, { merge: true }) as { services: Record<string, Service> }).services;
}

/** What the health check of a service ends with. */
function checked({ healthcheck }: Service, env: Record<string, string>): Promise<number | null> {
  const [, , ...args] = healthcheck!.test;
  return new Promise((resolve) => spawn(process.execPath, args, { env, stdio: 'ignore' }).on('exit', resolve));
}

const serversOfKm = ['km-apiserver', 'km-controller-manager', 'km-scheduler'];

describe('docker-compose.yml', () => {
  test('has a Mesos with two agents, Marathon, and km in its parts; what lives long is checked', () => {
    const all = services();
    const names = ['etcd', 'marathon', 'mesos-agent-1', 'mesos-agent-2', 'mesos-master', 'zookeeper', ...serversOfKm];
    expect(Object.keys(all)).toEqual(expect.arrayContaining([...names, 'km-pki']));
    for (const name of names) expect([name, all[name]?.healthcheck?.test]).toEqual([name, expect.any(Array)]);
  });

  test('shows the ports of all servers of km', () => {
    // As it is written: versions of docker-compose tell ports each in their own way.
    const stack = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
      services: Record<string, Service>;
    };
    const all = stack.services;
    for (const name of serversOfKm) {
      const { KM_PORT } = all[name]!.environment!;
      expect([name, all[name]!.ports]).toEqual([name, [`${KM_PORT}:${KM_PORT}`]]);
    }
  });

  test('hands proxies on, in both spellings, with every name of its own left out of them', () => {
    const proxies = { HTTP_PROXY: 'http://proxy:3128', HTTPS_PROXY: 'http://proxy:3129', NO_PROXY: '.example' };
    const all = services(proxies);
    for (const name of ['mesos-master', 'mesos-agent-1', 'mesos-agent-2', 'marathon', ...serversOfKm]) {
      const { environment = {} } = all[name]!;
      expect(environment).toMatchObject({
        HTTP_PROXY: proxies.HTTP_PROXY,
        http_proxy: proxies.HTTP_PROXY,
        https_proxy: proxies.HTTPS_PROXY,
        no_proxy: environment['NO_PROXY'],
      });
      const left = environment['NO_PROXY']!.split(',');
      const talkedTo = Object.keys(all).filter((other) => !['km-pki', 'kubectl'].includes(other));
      expect(left).toEqual(expect.arrayContaining([...talkedTo, 'localhost', '127.0.0.1', '.example']));
    }
  });

  test('with an override that it does not understand is refused, and one that km does not is refused by km', async () => {
    const override = join(folder, 'override.yml');
    writeFileSync(override, 'services:\n  km-apiserver:\n    environment: 7\n');
    expect(() => services({}, override)).toThrow(/km-apiserver\.environment/);
    writeFileSync(override, 'services:\n  km-apiserver:\n    environment:\n      KM_PORT: many\n');
    const { environment = {} } = services({}, override)['km-apiserver']!;
    const { code, stderr } = await km(['apiserver'], { env: environment });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/port.*many/i)]);
  });
});

test('the servers of km, as docker-compose.yml starts them, make a cluster of a Mesos led by ZooKeeper', async () => {
  const [etcd, zooKeeper, port, mesosPort, controllersPort, schedulerPort] = [
    ...[await startEtcd(), await startZooKeeper(1)],
    ...[await freePort(), await freePort(), await freePort(), await freePort()],
  ] as const;
  const here: [string, string][] = [
    ['/etc/km', join(folder, 'pki')],
    ['http://etcd:2379', etcd.url],
    ['zk://zookeeper:2181', `zk://${zooKeeper.addresses[0]}`],
    ['km-apiserver:6443', `127.0.0.1:${port}`],
    ['0.0.0.0', '127.0.0.1'],
    ['6443', String(port)],
    ['10257', String(controllersPort)],
    ['10259', String(schedulerPort)],
    ['/usr/local/bin/node', process.execPath],
    ['/opt/km/cli/km.ts', program],
  ];
  const asHere = (text: string) => here.reduce((said, [there, own]) => said.replaceAll(there, own), text);
  const all = services();
  const commandOf = (name: string) => all[name]!.command!.map(asHere);
  const started: Supervised[] = [];
  const start = async (name: string, args: readonly string[], env: Record<string, string> = {}) => {
    const command = { name, command: process.execPath, args: [program, ...args], logFile: join(folder, `${name}.log`) };
    const server = new Supervised({ ...command, env: { ...process.env, ...env } }, () => undefined);
    started.push(server);
    await server.start(AbortSignal.timeout(60_000));
  };
  try {
    const agents = ['--port', String(mesosPort), '--agent-port', '0', '--work-dir', join(folder, 'mesos')];
    await start('mesos', ['devcluster', '--zk', `zk://${zooKeeper.addresses[0]}/mesos`, ...agents]);
    expect((await km(commandOf('km-pki'))).code).toBe(0);
    // The stack starts anew with what it made.
    expect((await km(commandOf('km-pki'))).stdout).toContain('nothing had to be made');
    for (const name of serversOfKm) {
      const said = Object.entries(all[name]?.environment ?? {}).map(([key, value]) => [key, asHere(value)]);
      const environment = Object.fromEntries(said) as Record<string, string>;
      await start(name, commandOf(name), environment);
      await eventually(async () => expect([name, await checked(all[name]!, environment)]).toEqual([name, 0]), 30_000);
    }
    const kubectl = new Kubectl(newestKubectl(), join(folder, 'pki/admin.kubeconfig'));
    await eventually(async () => expect((await kubectl.try('get', 'serviceaccount', 'default')).code).toBe(0), 60_000);
    await kubectl.run('run', 'hello', '--image=busybox', '--restart=Never', '--command', '--', 'echo', 'hello');
    await eventually(async () => expect(await kubectl.run('logs', 'hello')).toBe('hello\n'), 60_000);
    expect(await webUiOf(`http://127.0.0.1:${mesosPort}`)).toBe(`https://localhost:${schedulerPort}/ui/`);
  } finally {
    for (const server of started.reverse()) await server.stop();
    await zooKeeper.stop();
    await etcd.stop();
  }
}, 240_000);
