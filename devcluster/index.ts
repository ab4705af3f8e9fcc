/**
 * A small, faithful Mesos: masters and agents in one process, for trying km out and for tests.
 *
 *   frameworks ──▶ masters :5050 … ── election ── (ZooKeeper)
 *                     │ link (in memory; faults cut it)
 *                  agents :5051 … ──▶ executors: real child processes with sandboxes
 *
 * It answers as Mesos does, down to the wording, and has no habit of its own but /devcluster/faults.
 * It must not know pods, nor anything of Kubernetes. Not emulated: shared volumes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { aborted } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { duration, flag, number, port, text, type Values } from '../lib/options.ts';
import { Agent } from './agent.ts';
import { authenticationOf, type Authentication } from './authentication.ts';
import { Authorization } from './authorization.ts';
import { agentSpecs, type AgentSpec, type ParsedAgent } from './agent-specs.ts';
import { localElection, zooKeeperElection, type Candidate } from './election.ts';
import { handleFaults, makeFaults, type Faults } from './faults.ts';
import { startMaster, type MasterServer } from './master.ts';
import type { Registry } from './state.ts';
import { realTimings, type Timings } from './timings.ts';

export type { AgentSpec } from './agent-specs.ts';
export type { Faults } from './faults.ts';
export { realTimings, type Timings } from './timings.ts';

export const options = {
  port: port('Port of the first master; further ones take the next ports (0 = any)', 5050),
  agentPort: port('Port of the first agent; further ones take the next ports (0 = any)', 5051),
  masters: number('How many masters', 1, { min: 1, max: 9 }),
  zk: text('Where masters elect their leader; without it the first that lives leads', '', '<zk://host:port/path>'),
  agents: text(
    'Agents as a JSON list of {hostname, attributes, domain, resources, oversubscribed}; three different ones unless told',
    '',
    '<json>',
  ),
  domain: text('Fault domain of the masters', 'eu/z1', '<region/zone>'),
  filterGpus: flag('Hide agents with GPUs from frameworks without GPU_RESOURCES', true),
  roles: text('The only roles that frameworks may have; any unless told', '', '<role,role>'),
  credentialsFile: text(
    "Principals and their secrets, a file as Mesos' --credentials; nobody is asked who he is unless given",
    '',
    '<file>',
  ),
  jwtSecretKeyFile: text(
    'Key of the tokens that executors get and show to their agents, with --credentials-file; executors are not asked unless given',
    '',
    '<file>',
  ),
  acls: text(
    "What principals may (register_frameworks, run_tasks, teardown_frameworks, view_executors), as Mesos' --acls; everything unless told",
    '',
    '<json>',
  ),
  workDir: text('Where sandboxes lie; removed at the end when not given', '', '<path>'),
  simulated: number('Add so many agents that only pretend to run tasks: no listener, no processes', 0, {
    max: 100_000,
  }),
  sessionTimeout: duration('Time after which a dead leader is replaced', 10_000),
  allocationInterval: duration('Time between two rounds of offers', realTimings.allocationInterval),
  agentPingTimeout: duration('Time after which a silent agent is unreachable', realTimings.agentPingTimeout),
} as const;

export interface Deps {
  log: Logger;
  /** Ends everything: masters, agents, executors. */
  signal: AbortSignal;
  /** Instead of the option `agents`. */
  agents?: readonly AgentSpec[];
  /** Other waits than the real ones. */
  timings?: Partial<Timings>;
  /** `--executor_environment_variables` of the agents; PATH of this process unless told. */
  environment?: Record<string, string>;
}

export interface Devcluster {
  readonly masterUrls: readonly string[];
  /** Of the master that leads now. */
  readonly masterUrl: string;
  readonly agents: readonly { readonly id: string | undefined; readonly hostname: string; readonly url: string }[];
  readonly faults: Faults;
  readonly closed: Promise<void>;
}

/** Resolves when a master leads and every agent is registered. */
export async function start(o: Values<typeof options>, deps: Deps): Promise<Devcluster> {
  const cluster = new Cluster(o, deps);
  try {
    await cluster.begin();
  } catch (error) {
    await cluster.end();
    throw error;
  }
  return cluster;
}

class Cluster implements Devcluster {
  readonly agents: (Agent & { readonly hostname: string })[] = [];
  readonly faults: Faults;
  readonly closed: Promise<void>;
  readonly #o: Values<typeof options>;
  readonly #deps: Deps;
  readonly #timings: Timings;
  readonly #registry: Registry = {
    admitted: new Map(),
    unreachable: new Map(),
    gone: new Map(),
    weights: new Map(),
    quotas: new Map(),
    machines: new Map(),
    schedule: {},
    deactivated: new Set(),
    drains: new Map(),
  };
  readonly #mischief = { delay: 0, copies: 1 };
  readonly #masters: { server: MasterServer; candidate: Candidate | undefined }[] = [];
  readonly #authentication: Authentication | undefined;
  readonly #authorization: Authorization;
  readonly #workDir: string;
  #election = localElection(0, () => {});
  #leading: MasterServer | undefined;
  #over = false;

  constructor(o: Values<typeof options>, deps: Deps) {
    this.#o = o;
    this.#deps = deps;
    const { allocationInterval, agentPingTimeout } = o;
    this.#timings = { ...realTimings, allocationInterval, agentPingTimeout, ...deps.timings };
    this.#authentication = authenticationOf(o.credentialsFile, o.jwtSecretKeyFile);
    this.#authorization = new Authorization(o.acls);
    this.#workDir = o.workDir || mkdtempSync(join(tmpdir(), 'km-devcluster-'));
    this.faults = makeFaults({
      agents: this.agents,
      mischief: this.#mischief,
      leader: () => this.#leading?.books(),
      link: () => this.#leading?.link(),
      killMaster: (index) => this.#killMaster(index),
      startMaster: async (index) => {
        const before = this.#masters[index];
        if (!before?.candidate) await this.#startMaster(index, before?.server.info.port ?? 0);
      },
    });
    this.closed = aborted(deps.signal).then(() => this.end());
  }

  get masterUrls(): string[] {
    return this.#masters.map(({ server }) => server.url);
  }

  get masterUrl(): string {
    return (this.#leading ?? this.#masters[0]!.server).url;
  }

  async begin(): Promise<void> {
    const { zk, sessionTimeout, masters, port: first } = this.#o;
    const changed = () => this.#leaderChanged();
    this.#election = zk
      ? zooKeeperElection(zk, sessionTimeout, this.#deps.log, changed)
      : localElection(sessionTimeout, changed);
    for (let i = 0; i < masters; i++) await this.#startMaster(i, first === 0 ? 0 : first + i);
    for (const [i, { spec, parsed }] of agentSpecs(this.#deps.agents ?? this.#o.agents, this.#o.simulated).entries())
      await this.#startAgent(i, spec, parsed);
    while (!this.#leading && !this.#deps.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async #startMaster(index: number, at: number): Promise<void> {
    const [region = '', zone = ''] = this.#o.domain.split('/');
    const server = await startMaster({
      port: at,
      timings: this.#timings,
      filterGpus: this.#o.filterGpus,
      roles: this.#o.roles === '' ? undefined : this.#o.roles.split(','),
      authentication: this.#authentication,
      authorization: this.#authorization,
      registry: this.#registry,
      domain: region === '' ? undefined : { fault_domain: { region: { name: region }, zone: { name: zone } } },
      log: this.#deps.log,
      faults: (request) => handleFaults(this.faults, request),
    });
    const candidate: Candidate = { info: server.info, follow: (leader) => server.follow(leader) };
    this.#masters[index] = { server, candidate };
    this.#election.enter(candidate);
  }

  #killMaster(index: number | undefined): void {
    const leader = this.#masters.findIndex(({ server }) => server === this.#leading);
    const master = this.#masters[index ?? leader];
    if (!master?.candidate) return;
    master.server.kill();
    this.#election.leave(master.candidate);
    master.candidate = undefined;
    this.#leaderChanged();
  }

  /** Agents follow whoever leads; after a change they register again. */
  #leaderChanged(): void {
    const leading = this.#masters.find(({ server }) => server.books())?.server;
    if (leading === this.#leading || this.#over) return;
    this.#leading = leading;
    for (const agent of this.agents) agent.join(leading?.link());
  }

  async #startAgent(index: number, spec: AgentSpec, parsed: ParsedAgent): Promise<void> {
    const { agentPort } = this.#o;
    const hostname = spec.hostname ?? `agent-${index + 1}`;
    const agent = new Agent({
      hostname,
      port: spec.port ?? (agentPort === 0 ? 0 : agentPort + index),
      ...parsed,
      workDir: join(this.#workDir, `agent-${index + 1}`),
      timings: this.#timings,
      environment: this.#deps.environment ?? { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      authentication: this.#authentication,
      mischief: this.#mischief,
      log: this.#deps.log.child({ agent: hostname }),
    });
    await agent.start();
    this.agents.push(Object.assign(agent, { hostname }));
    agent.join(this.#leading?.link());
  }

  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    for (const agent of this.agents) agent.stop();
    for (const { server } of this.#masters) server.kill();
    await this.#election.close();
    if (this.#o.workDir === '') rmSync(this.#workDir, { recursive: true, force: true, maxRetries: 5 });
  }
}
