/**
 * One master: an HTTP server in front of the books.
 *
 *   follower ── 307 //leader:port/master/… (before every other check)      no leader ── 503
 *   leader   ── /api/v1/scheduler  /api/v1  /state …
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../lib/log.ts';
import type { DomainInfo, MasterInfo } from '../mesos/types.ts';
import type { Authentication } from './authentication.ts';
import type { Authorization } from './authorization.ts';
import { oversubscribe } from './oversubscription.ts';
import { sendDrain, settleDrains } from './drain.ts';
import { answer, HttpAnswer, listen, type Listening, type Request } from './http.ts';
import { disconnect, register, unregister } from './membership.ts';
import { makeInverseOffers } from './maintenance.ts';
import { makeOffers } from './offers.ts';
import { takeStatus } from './operate.ts';
import { handleOperator } from './operator-api.ts';
import { handleScheduler } from './scheduler-api.ts';
import { version } from './snapshot.ts';
import type { Agent, Master, MasterLink, Registry } from './state.ts';
import { removeExecutor, takeUpdate } from './tasks.ts';
import type { Timings } from './timings.ts';
import { handleView, openViews } from './views.ts';

export interface MasterOptions {
  port: number;
  timings: Timings;
  /** `--filter_gpu_resources` */
  filterGpus: boolean;
  /** `--roles` */
  roles: readonly string[] | undefined;
  /** Undefined: nobody is asked who he is. */
  authentication: Authentication | undefined;
  authorization: Authorization;
  registry: Registry;
  domain: DomainInfo | undefined;
  log: Logger;
  /** Answers a request to /devcluster/faults. */
  faults(request: Request): void | Promise<void>;
}

/** Where the leader is, as this master knows it: itself, another, or nobody. */
export type Leader = { hostname: string; port: number } | undefined;

export interface MasterServer {
  readonly info: MasterInfo;
  readonly url: string;
  /** The books, while it leads; agents talk to it through this. */
  link(): MasterLink | undefined;
  books(): Master | undefined;
  /** What the election said. A master that leads starts with empty books and the registry. */
  follow(leader: Leader): void;
  /** Breaks every connection, as a crash does. */
  kill(): void;
}

export async function startMaster(options: MasterOptions): Promise<MasterServer> {
  let leader: Leader;
  let master: Master | undefined;
  let stop = () => {};
  let listening: Listening | undefined = await listen(options.port, (request) => {
    if (request.path.startsWith('/devcluster/faults')) return options.faults(request);
    return route(request, { info, leader, master, authentication: options.authentication });
  });
  const { port } = listening;
  const info = masterInfo(port, options.domain);
  const isMe = (who: Leader) => who?.port === port;
  return {
    info,
    url: `http://127.0.0.1:${port}`,
    books: () => master,
    link: () => (master ? linkOf(master) : undefined),
    follow(next) {
      if (!listening) return;
      leader = next;
      if (isMe(next) && !master) [master, stop] = lead(info, options);
      if (!isMe(next) && master) {
        stop();
        master = undefined;
      }
    },
    kill() {
      stop();
      listening?.close();
      listening = undefined;
      master = undefined;
    },
  };
}

function masterInfo(port: number, domain: DomainInfo | undefined): MasterInfo {
  return {
    id: randomUUID(),
    ip: 16_777_343,
    port,
    pid: `master@127.0.0.1:${port}`,
    hostname: '127.0.0.1',
    version,
    address: { hostname: '127.0.0.1', ip: '127.0.0.1', port },
    ...(domain ? { domain } : {}),
    capabilities: [{ type: 'AGENT_UPDATE' }, { type: 'AGENT_DRAINING' }, { type: 'QUOTA_V2' }],
  };
}

/** Takes office: the rounds of the allocator begin. */
function lead(info: MasterInfo, options: MasterOptions): [Master, () => void] {
  const { timings, filterGpus, roles, registry, authentication, authorization, log } = options;
  const soon = new Set<Agent>();
  let isDue = false;
  let isOver = false;
  const round = () => {
    isDue = false;
    const agents = [...soon];
    soon.clear();
    if (isOver) return;
    makeOffers(master, agents);
    makeInverseOffers(master);
  };
  const master: Master = {
    info,
    log,
    timings,
    filterGpus,
    roles,
    authenticates: authentication !== undefined,
    authorization,
    registry,
    frameworks: new Map(),
    completed: new Map(),
    agents: new Map(),
    recovered: new Map(
      [...registry.admitted].filter(([id]) => !registry.unreachable.has(id) && !registry.gone.has(id)),
    ),
    offers: new Map(),
    inverseOffers: new Map(),
    operations: new Map(),
    operators: new Set(),
    numbers: { framework: 0, agent: 0, offer: 0, round: 0 },
    startedAt: Date.now(),
    electedAt: Date.now(),
    allocateSoon(agent) {
      for (const one of agent ? [agent] : master.agents.values()) soon.add(one);
      if (!isDue) setImmediate(round);
      isDue = true;
    },
  };
  const rounds = setInterval(() => {
    makeOffers(master, master.agents.values());
    makeInverseOffers(master);
  }, timings.allocationInterval);
  log.info({ master: info.pid }, 'A master leads');
  const stop = () => {
    isOver = true;
    clearInterval(rounds);
    for (const framework of master.frameworks.values()) {
      clearInterval(framework.heartbeat);
      clearTimeout(framework.removal);
      const { stream } = framework;
      framework.stream = undefined;
      stream?.destroy();
    }
    for (const agent of master.agents.values()) clearTimeout(agent.pings);
    for (const offer of master.offers.values()) clearTimeout(offer.timer);
    for (const stream of master.operators) stream.destroy();
  };
  return [master, stop];
}

function linkOf(master: Master): MasterLink {
  /** The agent, when a message from it gets here. */
  const from = (id: string): Agent | undefined => {
    const agent = master.agents.get(id);
    return agent && !agent.partitioned ? agent : undefined;
  };
  return {
    register(registration) {
      const id = register(master, registration);
      const agent = id === undefined ? undefined : master.agents.get(id);
      if (agent) sendDrain(master, agent);
      settleDrains(master);
      return id;
    },
    update(agentId, frameworkId, status, latest) {
      if (from(agentId)) takeUpdate(master, agentId, frameworkId, status, latest);
    },
    operationStatus(agentId, frameworkId, status) {
      if (from(agentId)) takeStatus(master, frameworkId, status);
    },
    oversubscribed(agentId, estimate) {
      const agent = from(agentId);
      if (agent) oversubscribe(master, agent, estimate);
    },
    executorMessage(agentId, frameworkId, executorId, data) {
      if (!from(agentId)) return;
      const message = { agent_id: { value: agentId }, executor_id: { value: executorId }, data };
      master.frameworks.get(frameworkId)?.stream?.send({ type: 'MESSAGE', message });
    },
    executorEnded(agentId, frameworkId, executorId, status) {
      const agent = from(agentId);
      const framework = master.frameworks.get(frameworkId);
      if (!agent || !framework) return;
      removeExecutor(framework, agent, executorId);
      const failure = { agent_id: { value: agentId }, executor_id: { value: executorId }, status };
      framework.stream?.send({ type: 'FAILURE', failure });
    },
    disconnected(agentId) {
      const agent = from(agentId);
      if (agent) disconnect(master, agent);
    },
    unregister(agentId) {
      const agent = from(agentId);
      if (agent) unregister(master, agent);
    },
  };
}

/** Paths are matched by prefix, and may begin with /master. */
function route(
  request: Request,
  {
    info,
    leader,
    master,
    authentication,
  }: Pick<MasterOptions, 'authentication'> & {
    info: MasterInfo;
    leader: Leader;
    master: Master | undefined;
  },
): void {
  const path = request.path.replace(/^\/master(?=\/)/, '');
  const who = authentication?.atMaster(path, request);
  if (openViews.some((open) => path.startsWith(open))) return handleView(path, request, info, master, who);
  if (path.startsWith('/redirect')) return redirect(request, leader, '');
  const handled = [
    '/api/v1',
    '/state',
    '/slaves',
    '/frameworks',
    '/tasks',
    '/roles',
    '/quota',
    '/weights',
    '/maintenance',
    '/teardown',
  ];
  if (!handled.some((one) => path.startsWith(one))) throw new HttpAnswer(404, '404 Not Found.');
  if (!master) return redirect(request, leader, `/master${path}${queryOf(request)}`);
  if (path.startsWith('/api/v1/scheduler')) handleScheduler(master, request, who);
  else if (path.startsWith('/api/v1')) handleOperator(master, request, who);
  else handleView(path, request, info, master, who);
}

const queryOf = (request: Request): string => /\?.*$/.exec(request.url)?.[0] ?? '';

function redirect(request: Request, leader: Leader, path: string): void {
  if (!leader) throw new HttpAnswer(503, 'No leader elected');
  answer(request.response, 307, '', { location: `//${leader.hostname}:${leader.port}${path}` });
}
