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
import type { Values } from '../lib/options.ts';
import type { ResponseGetAgentsAgent } from '../mesos/master.ts';
import { askMaster } from '../mesos/operator.ts';
import { type Cluster, type Needs, portCount } from '../scheduler/index.ts';
import type { AgentFacts } from './agents.ts';
import { Bindings } from './bindings.ts';
import { Claims, offerClass } from './claims.ts';
import { Figures } from './figures.ts';
import { openArchive, serveArtifact } from './artifact.ts';
import { frameworkInfo } from './framework-info.ts';
import { Framework } from './framework.ts';
import { Inventory } from './inventory.ts';
import type { Introduction } from './launch.ts';
import { maintenance } from './maintenance.ts';
import { deleteNode, nodeReconciler } from './nodes.ts';
import { live, options, paceOf } from './options.ts';
import { pagesOf } from './pages.ts';
import { Poll } from './poll.ts';
import { Records } from './records.ts';
import { Classes, isTakenBack, suffix } from './revocable.ts';
import { Roles } from './roles.ts';
import { State } from './state.ts';
import { followTotals } from './totals.ts';
import { uiPages } from './ui.ts';
import { followSettings, readSettings } from './settings.ts';
import { followUpgrade } from './upgrade.ts';
import { Leader, type MasterOptions, keepSubscribed } from '../mesos/subscription.ts';
import { zooKeeperTls } from '../mesos/zookeeper-tls.ts';

export { Superseded } from './lost-subscription.ts';
export { options };

const mega = 1024 * 1024;

export interface FrameworkDeps {
  client: Client;
  informers: Informers;
  log: Logger;
  signal: AbortSignal;
  /** Of executors to the apiserver; the same for the life of every one. */
  introduction: Introduction;
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
    nodes: informers.of(Node, {
      indexes: { agent: ({ metadata }) => [metadata.annotations?.[annotations.agentId] ?? ''] },
    }),
  };
}

/** Reads the files that the options name; a follower must not find out what is wrong with them when it takes over. */
export async function check(given: Values<typeof options>): Promise<void> {
  if (given.settingsFile) readSettings(given.settingsFile, live(given));
  if (given.executorArchive) await openArchive(given.executorArchive).then(({ file }) => file.close());
}

/**
 * Resolves when subscribed to Mesos and everything that was under way is known again. `closed` rejects with Superseded
 * when another scheduler takes over.
 */
export async function start(given: Values<typeof options>, deps: FrameworkDeps): Promise<Started> {
  const rows = live(given);
  const { executorArchive, executorUris, executorCommand } = given;
  const artifact = executorArchive ? await serveArtifact(given, deps) : undefined;
  const o = {
    ...given,
    ...(given.settingsFile ? readSettings(given.settingsFile, rows) : {}),
    executorUris: artifact ? [artifact.uri, ...executorUris] : executorUris,
    executorCommand: artifact?.command ?? executorCommand,
  };
  const usual = await startClass({ ...o, revocable: false }, rows, deps);
  if (!o.revocable) return usual;
  // Its figures would be added to those of the usual one.
  const ofClass = { ...deps, registry: new Registry(), log: deps.log.child({ class: 'revocable' }) };
  const revocable = await startClass({ ...o, frameworkName: `${o.frameworkName}${suffix}` }, rows, ofClass);
  const closed = Promise.all([usual.closed, revocable.closed]).then(() => undefined);
  return { cluster: new Classes(usual.cluster, revocable.cluster), closed, pages: usual.pages };
}

interface Started {
  cluster: Cluster;
  closed: Promise<void>;
  pages: Readonly<Record<string, Page>>;
}

async function startClass(
  o: Values<typeof options>,
  rows: ReturnType<typeof live>,
  deps: FrameworkDeps,
): Promise<Started> {
  const { client, informers, signal, now = Date.now } = deps;
  const log = deps.log.child({ component: 'framework' });
  const isOurs = (node: Node | undefined, pod?: Pod) =>
    (node || !pod ? isRevocable(node) : mayBeRevoked(pod)) === o.revocable;
  const { pods, nodes, volumes, namespaces } = watched(informers);
  const { uid: cluster } = (await client.get(Namespace, { name: 'kube-system' }, signal)).metadata;
  const claims = new Claims(client, informers, cluster, o.mesosPrincipal || undefined);
  const roles = new Roles(o, namespaces);
  const info = frameworkInfo(o, roles.all);
  const settings = {
    ...stateOptions(o, deps),
    roles: roles.all,
    roleOf: (pod: Pod) => roles.of(pod),
    volumes: claims,
    cluster,
    info,
    nodeOf: (agentId: string) => nodes.by('agent', agentId).find((node) => isOurs(node))?.metadata.name,
    // Where the operator stream is not ours to read, offers are how agents become nodes.
    mayNarrow: () => o.offerConstraints && inventory.complete,
  };
  const state = new State(settings, log);
  const inventory = new Inventory(
    {
      agent: (facts) => appeared(facts),
      complete: () => inventory.seen([...nodes.list()].filter((node) => isOurs(node)).map(nameOf)),
      removed: (agentId) => void removed(agentId),
      drains: (agentId) => framework.drains(agentId),
      executor: (agentId, info) => state.executors.runs(agentId, info, state.frameworkId),
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
    const node = state.agent(agentId)?.name ?? settings.nodeOf(agentId);
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
  if (o.settingsFile)
    followSettings(
      o.settingsFile,
      rows,
      (changed) => {
        roles.configure(changed.namespaceRoles);
        Object.assign(settings, paceOf(changed));
        framework.settingsChanged();
      },
      { log, signal },
    );
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
      const totals = totalsOf(get_agents.agents ?? []);
      followTotals(state, totals);
      framework.audit(totals);
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
      // No event tells that a drain is over, and offers may not come for long.
      if (!state.agents.some(({ isDraining }) => isDraining)) return;
      const { get_agents } = await askMaster(master, { type: 'GET_AGENTS' });
      const whole = (get_agents.agents ?? []).filter(({ drain_info, deactivated }) => !drain_info && !deactivated);
      framework.drained(whole.flatMap(({ agent_info }) => agent_info.id?.value ?? []));
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

function stateOptions(o: Values<typeof options>, { introduction }: FrameworkDeps) {
  return {
    ...paceOf(o),
    random: Math.random,
    launchTimeout: o.launchTimeout,
    maintenanceLead: o.maintenanceLead,
    isRevocable: o.revocable,
    maxPods: Math.floor(o.maxPods),
    needs: needsOf({ cpu: o.defaultPodCpus * 1000, memory: o.defaultPodMem * mega }, o.portMapping),
    executor: {
      name: o.frameworkName,
      command: o.executorCommand,
      uris: o.executorUris,
      cpus: Math.round(o.executorCpus * 1000),
      mem: Math.round(o.executorMem * 1000),
      environment: Object.fromEntries(o.executorEnv.map((pair) => splitPair(pair))),
      introduction,
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
    zooKeeperTls: zooKeeperTls(o),
  };
}
