import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from '../../proxy/index.ts';
import { program } from '../cli/run-km.ts';
import { type Containerd, startContainerd } from '../executor/containerd.ts';
import { stopChild } from '../executor/daemons.ts';
import { eventually } from '../eventually.ts';
import { testDirectory } from './harness.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';

/** A machine that runs pods. */
export interface Host {
  name: string;
  ip: string;
  containerd: Containerd;
}

const workers = [
  { name: 'host-1', ip: '10.90.0.2', number: 21 },
  { name: 'host-2', ip: '10.90.0.3', number: 22 },
] as const;
const agentPort = 5051;

/** Leads a socket file to a port, for an executor that is on another host than its agent's process. */
const relay = `const net = require('net'); const [port, path] = process.argv.slice(1);
net.createServer((from) => { const to = net.connect(port, '127.0.0.1'); from.pipe(to).pipe(from);
  for (const [a, b] of [[from, to], [to, from]]) a.on('error', () => b.destroy()).on('close', () => b.destroy());
}).listen(path);`;

/**
 *   control 10.90.0.1 ── switch ─┬─ host-1 10.90.0.2 (pods 10.89.21.0/24)
 *   km up, Mesos                 └─ host-2 10.90.0.3 (pods 10.89.22.0/24)
 *                                   containerd, km executor, km proxy, km dns
 *
 * Each is a network namespace. An agent of the development Mesos is in one process with its master: its executor reaches it by a
 * socket file, as one on the same host would, and whoever cuts a host off cuts its agent off, too.
 */
export class Hosts {
  readonly directory = testDirectory();
  readonly hosts: Host[] = [];
  readonly kubectl: Kubectl;
  /** By `km up`, until it was ready. */
  said = '';
  readonly #id = `kmh${process.pid}`;
  readonly #children: ChildProcess[] = [];

  /** `mode` of km proxy; `env` is more of km up's servers. */
  static async start(mode: Options['mode'], env: Record<string, string> = {}): Promise<Hosts> {
    const hosts = new Hosts();
    try {
      hosts.#wire();
      await hosts.#startContainerds();
      await hosts.#startControl(env);
      for (const { name, ip: address } of hosts.hosts) {
        // Sockets can be bound to the addresses of Services where a machine takes these for its own.
        if (mode === 'userspace') hosts.on(name, 'ip', 'route', 'add', 'local', '10.96.0.0/12', 'dev', 'lo');
        hosts.#km(name, 'proxy', '--hostname-override', name, '--mode', mode, '--cluster-cidr', '10.89.0.0/16');
        hosts.#km(name, 'dns', '--bind-address', address, '--port', '53');
      }
      return hosts;
    } catch (error) {
      await hosts.stop();
      throw error;
    }
  }

  private constructor() {
    const { path, version } = newestKubectl();
    const inside = join(this.directory, 'kubectl');
    writeFileSync(inside, `#!/bin/sh\nexec ${this.#inside('control').join(' ')} ${path} "$@"\n`, { mode: 0o755 });
    this.kubectl = new Kubectl({ path: inside, version }, join(this.directory, 'up/kubeconfig'));
  }

  /** Runs a program on a host, `control` or one of ours; throws what it said when it fails. */
  on(host: string, ...command: string[]): string {
    const [program = '', ...args] = [...this.#inside(host), ...command];
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 10_000 });
  }

  /** The host's cable is pulled. */
  cutOff(host: string): void {
    ip('-n', this.#netns('switch'), 'link', 'set', host, 'down');
    this.#fault('loseAgent', host);
  }

  plugIn(host: string): void {
    ip('-n', this.#netns('switch'), 'link', 'set', host, 'up');
    this.#fault('returnAgent', host);
  }

  /** The switch carries nothing between the two. Mesos does not notice: for it, the agent is beside the master. */
  part(one: string, other: string): void {
    const rule = (from: string, to: string) => `add rule bridge cut c iifname "${from}" oifname "${to}" drop\n`;
    const chain = 'add table bridge cut\nadd chain bridge cut c { type filter hook forward priority 0; }\n';
    this.#nft(`${chain}${rule(one, other)}${rule(other, one)}`);
  }

  unite(): void {
    this.#nft('delete table bridge cut\n');
  }

  host(name: string): Host {
    const found = this.hosts.find((host) => host.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) await stopChild(child);
    for (const { containerd } of this.hosts) await containerd.stop();
    for (const name of ['switch', 'control', ...workers.map((worker) => worker.name)])
      ip('netns', 'del', this.#netns(name));
    if (!process.env['KM_KEEP']) rmSync(this.directory, { recursive: true, force: true });
  }

  #wire(): void {
    const home = this.#netns('switch');
    ip('netns', 'add', home);
    ip('-n', home, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', home, 'link', 'set', 'br0', 'up');
    for (const { name, ip: address } of [{ name: 'control', ip: '10.90.0.1' }, ...workers]) {
      const netns = this.#netns(name);
      ip('netns', 'add', netns);
      ip('link', 'add', name, 'netns', home, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
      ip('-n', home, 'link', 'set', name, 'master', 'br0', 'up');
      ip('-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) ip('-n', netns, 'link', 'set', device, 'up');
      this.on(name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
      for (const { number, ip: via } of workers)
        if (via !== address) ip('-n', netns, 'route', 'add', `10.89.${number}.0/24`, 'via', via);
      if (name !== 'control') ip('-n', netns, 'route', 'add', 'default', 'via', '10.90.0.1');
    }
  }

  async #startContainerds(): Promise<void> {
    for (const [i, { name, ip: address, number }] of workers.entries()) {
      const containerd = await startContainerd(number, undefined, this.#netns(name));
      this.hosts.push({ name, ip: address, containerd });
      this.#spawn('control', [process.execPath, '-e', relay, String(agentPort + i), this.#socket(name)]);
    }
  }

  /** `km up` on a host of its own, and a script that starts each executor on its own host. */
  async #startControl(env: Record<string, string>): Promise<void> {
    const script = join(this.directory, 'executor.sh');
    const cases = this.hosts.map(({ name, ip: address, containerd }, i) => {
      const flags = [
        ...['--runtime', 'cri', '--cri-socket', `unix://${containerd.socket}`, '--cgroup-parent', containerd.cgroup],
        ...['--node-ip', address, '--cluster-dns', address, '--lease-interval', '1s', '--node-status-interval', '2s'],
      ];
      const command = [...this.#inside(name), process.execPath, program, 'executor', ...flags].join(' ');
      return `*-S${i}) export MESOS_DOMAIN_SOCKET=${this.#socket(name)}; exec ${command} ;;\n`;
    });
    writeFileSync(script, `#!/bin/sh\ncase "$MESOS_SLAVE_ID" in\n${cases.join('')}esac\n`, { mode: 0o755 });
    const resources = 'cpus:4;mem:4096;disk:10240;ports:[31000-31999]';
    const up = this.#spawn(
      'control',
      [
        ...[process.execPath, program, 'up', '--dir', join(this.directory, 'up'), '--proxy', 'none'],
        ...['--bind-address', '0.0.0.0', '--advertise', '10.90.0.1', '--executor-command', `exec ${script}`],
      ],
      {
        KM_AGENTS: JSON.stringify(workers.map(({ name }) => ({ hostname: name, resources }))),
        KM_AGENT_PING_TIMEOUT: '2s',
        KM_NODE_MONITOR_GRACE_PERIOD: '5s',
        KM_NODE_EVICTION_RATE: '100',
        ...env,
      },
    );
    let said = '';
    up.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually(() => {
      if (!said.includes('Ready. Try:')) throw new Error(`km up has come no further than\n${said}`);
    }, 150_000);
    this.said = said;
  }

  #km(host: string, server: string, ...args: string[]): void {
    const kubeconfig = join(this.directory, `up/pki/${server}.kubeconfig`);
    this.#spawn(host, [process.execPath, program, server, '--kubeconfig', kubeconfig, ...args]);
  }

  #spawn(host: string, command: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const [program = '', ...args] = [...this.#inside(host), ...command];
    const said = openSync(join(this.directory, 'servers.log'), 'a');
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', said] });
    closeSync(said);
    child.stdout?.resume();
    this.#children.push(child);
    return child;
  }

  #fault(fault: string, agent: string): void {
    const url = 'http://127.0.0.1:5050/devcluster/faults';
    this.on(
      'control',
      'curl',
      '-sf',
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify({ fault, agent }),
      url,
    );
  }

  #nft(input: string): void {
    const [program = '', ...args] = [...this.#inside('switch'), 'nft', '-f', '-'];
    execFileSync(program, args, { input });
  }

  #inside(host: string): string[] {
    return ['nsenter', `--net=/run/netns/${this.#netns(host)}`];
  }

  #netns(host: string): string {
    return `${this.#id}-${host}`;
  }

  #socket(host: string): string {
    return join(this.directory, `${host}.sock`);
  }
}

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
