/**
 * framework/: which offer?
 *
 *   scheduler ──reserve──▶ seats ──gather──▶ launch record ──▶ ACCEPT (one per agent) ──▶ Mesos
 *       ▲                                                                                   │
 *       │ Cluster port          State (pure: agents, offers, tasks, demand)  ◀── OFFERS, UPDATE, FAILURE …
 *       │                                                                                   │
 *   apiserver ◀── Node objects, bindings ◀──────────────── TASK_STARTING ◀─────────────────┘
 *
 * A framework beside others: it takes offers only while pods wait, and gives back what it does not use. It must not decide
 * which node a pod goes to, and pods never hear of offers.
 */
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { annotations } from '../api/kinds/names.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { Node } from '../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod } from '../api/kinds/pod.ts';
import { StorageClass } from '../api/kinds/storage-class.ts';
import type { Stored } from '../api/meta.ts';
import { type PortMapping, openPorts } from '../api/host-ports.ts';
import { podRequests } from '../api/pod-requests.ts';
import { isRevocable, mayBeRevoked } from '../api/revocable.ts';
import type { Client } from '../client/client.ts';
import type { Page } from '../client/door.ts';
import { EventRecorder } from '../client/events.ts';
import type { Informers } from '../client/informer.ts';
import { run } from '../client/reconcile.ts';
import type { Logger } from '../lib/log.ts';
import { type Values, duration, flag, list, number, oneOf, text } from '../lib/options.ts';
import type { ResponseGetAgentsAgent } from '../mesos/master.ts';
import { askMaster } from '../mesos/operator.ts';
import { type Cluster, type Needs, portCount } from '../scheduler/index.ts';
import type { AgentFacts } from './agents.ts';
import { Bindings } from './bindings.ts';
import { Claims, offerClass } from './claims.ts';
import { Figures } from './figures.ts';
import { frameworkInfo } from './framework-info.ts';
import { Framework } from './framework.ts';
import { Inventory } from './inventory.ts';
import { maintenance } from './maintenance.ts';
import { deleteNode, nodeReconciler } from './nodes.ts';
import { pagesOf } from './pages.ts';
import { Poll } from './poll.ts';
import { Records } from './records.ts';
import { Classes, isTakenBack, suffix } from './revocable.ts';
import { Roles } from './roles.ts';
import { State } from './state.ts';
import { uiPages } from './ui.ts';
import { followUpgrade } from './upgrade.ts';
import { Leader, type MasterOptions, keepSubscribed } from '../mesos/subscription.ts';

export { Superseded } from './framework.ts';

const mega = 1024 * 1024;

export const options = {
  mesosMaster: text(
    'The Mesos masters: zk://host:port,…/path, host:port,…, a URL or file:///path',
    '127.0.0.1:5050',
    '<masters>',
  ),
  mesosRole: text('The Mesos role whose resources pods use, where their namespace has none of its own', '*', '<role>'),
  mesosRoles: list(
    'More Mesos roles, for namespaces that name one in the annotation k8s.mesosphere.io/role',
    [],
    '<role,…>',
  ),
  namespaceRoles: list('Mesos roles of namespaces, where no annotation says otherwise', [], '<namespace=role,…>'),
  mesosUser: text('The user executors run as; empty: as the agent decides', '', '<user>'),
  mesosPrincipal: text('Principal for Mesos authentication', '', '<name>'),
  mesosSecretFile: text('File with the secret of the principal', '', '<file>'),
  mesosCaFile: text('CA certificate of masters that speak TLS; naming it turns TLS on', '', '<file>'),
  mesosCertFile: text('Client certificate for the masters', '', '<file>'),
  mesosKeyFile: text('Key of the client certificate', '', '<file>'),
  frameworkName: text(
    'Name of the framework in Mesos; two clusters on one Mesos need two names',
    'kubernetes',
    '<name>',
  ),
  frameworkWebuiUrl: text('Link that the Mesos UI shows', '', '<url>'),
  failoverTimeout: duration('How long Mesos keeps the pods of a scheduler that is away', 7 * 86_400_000),
  regionAware: flag('Also use agents of other regions than the master’s', true),
  gpus: flag('Also use agents that have GPUs', false),
  revocable: flag(
    'Run BestEffort pods annotated k8s.mesosphere.io/revocable=true on cores that Mesos takes back at any time',
    false,
  ),
  executorCommand: text('Command line that starts km executor on an agent', 'km executor', '<command>'),
  executorUris: list('What the Mesos fetcher brings into the sandbox before that', [], '<uri,…>'),
  executorEnv: list('Environment of the executor', [], '<NAME=value,…>'),
  executorCpus: number('Cores that the executor itself is accounted with', 0.1),
  executorMem: number('Megabytes that the executor itself is accounted with', 128),
  defaultPodCpus: number('Cores of a pod that asks for none', 0.25),
  defaultPodMem: number('Megabytes of a pod that asks for none', 64),
  portMapping: oneOf(
    'Whether ports of containers without a host port get one of those that are offered, where no label of their pod says it',
    ['fixed', 'wildcard'],
    'fixed',
  ),
  minOfferCpus: number('Least cores of an offer that is worth an offer; with 0 the masters decide', 0),
  minOfferMem: number('Least megabytes of an offer that is worth an offer; with 0 the masters decide', 0),
  offerConstraints: flag(
    'Ask for offers of those agents only that pods which wait can use (Mesos 1.11 and newer)',
    true,
  ),
  offerLinger: duration('How long unused offers are kept for the next pod of a burst', 250),
  refuseWaiting: duration('How long others have an offer first that no waiting pod fits', 5_000),
  refuseIdle: duration('How long others have an offer first while no pod waits', 120_000),
  reviveInterval: duration('Shortest time between two requests for fresh offers', 1_000),
  gather: duration('How long seats of one agent are gathered into one launch', 10),
  launchTimeout: duration('After how long a launch without an answer is asked about', 60_000),
  maintenanceLead: duration('How long before its maintenance a node gets no more pods and is emptied', 3_600_000),
  maintenanceInterval: duration('Time between two looks at the maintenance schedule of the masters', 15_000),
  quotaInterval: duration(
    'Time between two looks, while pods wait, at the quota of our Mesos roles, so that pods can say that it is used up; and at what Mesos takes back',
    30_000,
  ),
  volumeAudit: duration('Time between two looks for disk that Mesos keeps for claims that are gone', 300_000),
} as const;

export interface FrameworkDeps {
  client: Client;
  informers: Informers;
  log: Logger;
  signal: AbortSignal;
  /** How executors reach the apiserver; the same for the life of every executor. */
  executorData: { server: string; ca: string; token: string };
  /** Where the figures of offers, calls and tasks are kept. */
  registry: Registry;
  now?: () => number;
}

/** Informers the framework reads; ask for them before `informers.start`. */
export function watched(informers: Informers) {
  informers.of(PersistentVolumeClaim);
  informers.of(StorageClass);
  return {
    volumes: informers.of(PersistentVolume),
    namespaces: informers.of(Namespace),
    pods: informers.of(Pod, { indexes: { node: (pod) => (pod.spec.nodeName ? [pod.spec.nodeName] : []) } }),
    nodes: informers.of(Node),
  };
}

/**
 * Resolves when subscribed to Mesos and everything that was under way is known again. `closed` rejects with Superseded
 * when another scheduler takes over.
 */
export async function start(o: Values<typeof options>, deps: FrameworkDeps): Promise<Started> {
  const usual = await startClass({ ...o, revocable: false }, deps);
  if (!o.revocable) return usual;
  // Its figures would be added to those of the usual one.
  const ofClass = { ...deps, registry: new Registry(), log: deps.log.child({ class: 'revocable' }) };
  const revocable = await startClass({ ...o, frameworkName: `${o.frameworkName}${suffix}` }, ofClass);
  const closed = Promise.all([usual.closed, revocable.closed]).then(() => undefined);
  return { cluster: new Classes(usual.cluster, revocable.cluster), closed, pages: usual.pages };
}

interface Started {
  cluster: Cluster;
  closed: Promise<void>;
  pages: Readonly<Record<string, Page>>;
}

async function startClass(o: Values<typeof options>, deps: FrameworkDeps): Promise<Started> {
  const { client, informers, signal, now = Date.now } = deps;
  const log = deps.log.child({ component: 'framework' });
  const isOurs = (node: Node | undefined, pod?: Pod) =>
    (node || !pod ? isRevocable(node) : mayBeRevoked(pod)) === o.revocable;
  const { pods, nodes, volumes, namespaces } = watched(informers);
  const { uid: cluster } = (await client.get(Namespace, { name: 'kube-system' }, signal)).metadata;
  const claims = new Claims(client, informers, cluster, o.mesosPrincipal || undefined);
  const roles = new Roles(o, namespaces);
  const info = frameworkInfo(o, roles.all);
  const state = new State(
    {
      ...stateOptions(o, deps),
      roles: roles.all,
      roleOf: (pod) => roles.of(pod),
      volumes: claims,
      cluster,
      info,
      // Where the operator stream is not ours to read, offers are how agents become nodes.
      mayNarrow: () => o.offerConstraints && inventory.complete,
    },
    log,
  );
  const inventory = new Inventory(
    {
      agent: (facts) => appeared(facts),
      complete: () => inventory.seen([...nodes.list()].filter((node) => isOurs(node)).map(nameOf)),
      removed: (agentId) => void removed(agentId),
      drains: (agentId) => framework.drains(agentId),
      executor: (agentId, info) => state.executorRuns(agentId, info),
    },
    log,
  );
  const figures = new Figures(deps.registry, now);
  const framework = new Framework({
    pods,
    nodes,
    isOurs,
    bindings: new Bindings(client, claims, signal),
    events: new EventRecorder(client, 'km-framework', log),
    records: new Records(client, o.frameworkName),
    state,
    inventory,
    info,
    figures,
    gather: o.gather,
    log,
    signal,
    now,
  });
  const appeared = (facts: AgentFacts) => {
    // Agents that have nothing to take back are no nodes of the class.
    if (o.revocable && !state.agent(facts.id) && !facts.total?.some(isTakenBack)) return;
    const agent = state.learnAgent(facts);
    agent.found();
    agent.refresh();
    framework.agentAppeared(agent.name);
    inventory.seen([agent.name]);
  };
  const leaving = new Set<string>();
  const removed = async (agentId: string) => {
    const isIts = (node: Node) => isOurs(node) && node.metadata.annotations?.[annotations.agentId] === agentId;
    const node = state.agent(agentId)?.name ?? [...nodes.list()].find(isIts)?.metadata.name;
    // Each of its tasks may tell of it.
    if (node === undefined || leaving.has(agentId)) return;
    leaving.add(agentId);
    log.info({ agent: agentId, node }, 'a Mesos agent is gone');
    await framework.agentGone(agentId, node);
    if (!state.agentOfNode(node))
      await deleteNode(client, node).catch((err: unknown) => log.warn({ err }, 'could not delete a node'));
    leaving.delete(agentId);
  };

  followUpgrade(nodes, isOurs, log);
  await framework.recover();
  const masters = masterOptions(o);
  const leader = new Leader(masters, log, signal);
  void run(
    nodeReconciler(client, nodes, (name) => state.agentOfNode(name), {
      subscribe: (add) => inventory.subscribe(add),
      complete: () => inventory.complete,
      isOurs,
      now,
    }),
    { log, signal },
  );
  if (!o.revocable) void run(claims.reclaimer(), { log, signal });
  if (!o.revocable && roles.all.some((role) => role !== '*')) await offerClass(client, signal);
  void keepSubscribed(leader, masters, inventory.subscriber, signal);
  const closed = keepSubscribed(leader, masters, framework.subscriber, signal);
  await Promise.race([framework.subscribed, closed]);
  const asking = { leader, masters, log, signal };
  const audit = new Poll({
    ...asking,
    interval: o.volumeAudit,
    ask: async (master) => {
      const { get_agents } = await askMaster(master, { type: 'GET_AGENTS' });
      framework.audit(totalsOf(get_agents.agents ?? []));
    },
  });
  if (o.revocable)
    new Poll({
      ...asking,
      interval: o.quotaInterval,
      ask: async (master) => {
        inventory.told((await askMaster(master, { type: 'GET_AGENTS' })).get_agents.agents ?? []);
      },
    });
  volumes.on(({ type }) => type === 'deleted' && audit.soon());
  new Poll({
    ...asking,
    interval: o.maintenanceInterval,
    ask: async (master) => {
      const { get_maintenance_schedule } = await askMaster(master, { type: 'GET_MAINTENANCE_SCHEDULE' });
      framework.schedule(get_maintenance_schedule.schedule);
    },
  });
  new Poll({
    ...asking,
    interval: o.quotaInterval,
    ask: async (master) => {
      if (state.waiting.length === 0) return;
      const { configs = [] } = (await askMaster(master, { type: 'GET_QUOTA' })).get_quota.status;
      const isLimited = configs.some(({ limits }) => Object.keys(limits ?? {}).length > 0);
      const held = isLimited ? (await askMaster(master, { type: 'GET_ROLES' })).get_roles.roles : [];
      framework.limits(configs, held ?? []);
    },
  });
  const subscribe = (add: (node: string) => void) => inventory.subscribe(add);
  const agentOf = (name: string) => state.agentOfNode(name);
  const vacated = (name: string) => framework.vacated(name);
  void run(maintenance({ client, nodes, pods, agentOf, subscribe, vacated, log }), { log, signal });
  return {
    cluster: framework,
    closed,
    pages: { ...pagesOf(framework, state, figures), ...uiPages(o.frameworkName, state, figures) },
  };
}

function stateOptions(o: Values<typeof options>, { executorData }: FrameworkDeps) {
  return {
    linger: o.offerLinger,
    reviveInterval: o.reviveInterval,
    random: Math.random,
    refuseWaiting: o.refuseWaiting / 1000,
    refuseIdle: o.refuseIdle / 1000,
    launchTimeout: o.launchTimeout,
    maintenanceLead: o.maintenanceLead,
    isRevocable: o.revocable,
    needs: needsOf({ cpu: o.defaultPodCpus * 1000, memory: o.defaultPodMem * mega }, o.portMapping),
    executor: {
      name: o.frameworkName,
      command: o.executorCommand,
      uris: o.executorUris,
      cpus: Math.round(o.executorCpus * 1000),
      mem: Math.round(o.executorMem * 1000),
      environment: Object.fromEntries(o.executorEnv.map((pair) => splitPair(pair))),
      data: Buffer.from(JSON.stringify(executorData)),
      user: o.mesosUser || undefined,
    },
  };
}

const nameOf = ({ metadata: { name } }: Node & Stored): string => name;

const totalsOf = (agents: readonly ResponseGetAgentsAgent[]) =>
  agents.flatMap(({ agent_info, total_resources = [] }) =>
    agent_info.id ? [{ id: agent_info.id.value, total: total_resources }] : [],
  );

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new Error(`--executor-env: expected NAME=value, got "${pair}"`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

/**
 * Mesos accounts everything, so a pod that asks for no cpu or memory is given defaults; and the ports of the host that its
 * containers get by `mapping`. Remembered by pod object.
 */
export function needsOf(defaults: Record<string, number>, mapping: PortMapping): (pod: Pod) => Needs {
  const known = new WeakMap<Pod, Needs>();
  return (pod) => {
    let needs = known.get(pod);
    if (!needs) {
      const ports = { [portCount]: openPorts(pod, mapping) };
      const amounts = { ...defaults, ...nonZero({ ...podRequests(pod), ...ports }) };
      needs = Object.entries(amounts).map(([resource, amount]) => ({ resource, amount }));
      known.set(pod, needs);
    }
    return needs;
  };
}

const nonZero = (amounts: Record<string, number>) =>
  Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount > 0));

function masterOptions(o: Values<typeof options>): MasterOptions {
  const read = (path: string) => readFileSync(path, 'utf8');
  if (o.mesosPrincipal && !o.mesosSecretFile) throw new Error('--mesos-principal needs --mesos-secret-file');
  return {
    masters: o.mesosMaster,
    credentials: o.mesosPrincipal ? { principal: o.mesosPrincipal, secret: read(o.mesosSecretFile).trim() } : undefined,
    tls: o.mesosCaFile
      ? {
          ca: read(o.mesosCaFile),
          ...(o.mesosCertFile ? { cert: read(o.mesosCertFile) } : {}),
          ...(o.mesosKeyFile ? { key: read(o.mesosKeyFile) } : {}),
        }
      : undefined,
  };
}
