/**
 * The executor: a kubelet that Mesos starts on an agent, and that runs the pods bound to it.
 *
 *      agent ◀──── v1 executor API ────▶ executor.ts ─── tasks.ts (what Mesos is told, decided purely)
 *                                            │ a task admits a pod            ▲ reports
 *   apiserver ── pods of this node ─────▶ pods.ts ── one pod-worker.ts a pod ─┘
 *             ◀── status, node, lease ──     │  plan.ts (pod × runtime → steps), status.ts, env.ts, volumes.ts
 *             ─── logs, exec … ─▶ server.ts  ▼
 *                                        runtime.ts: the Runtime port ── runtimes/process.ts, runtimes/cri.ts
 *
 * It must not know offers, roles or other nodes, nor the framework's bookkeeping: what it needs of a pod it reads from the
 * apiserver, never from Mesos.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { annotations } from '../api/kinds/names.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Service } from '../api/kinds/service.ts';
import { Client } from '../client/client.ts';
import { EventRecorder } from '../client/events.ts';
import { Informer } from '../client/informer.ts';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { type Values, duration, list, oneOf, port, text } from '../lib/options.ts';
import type { EventSubscribed } from '../mesos/executor.ts';
import { apiserverOf } from './apiserver-client.ts';
import { servingCertificate } from './certificate.ts';
import { CrashBackoff } from './crash-backoff.ts';
import { Executor } from './executor.ts';
import type { Kubelet, PodReport } from './kubelet.ts';
import { type MesosEnv, mesosEnv } from './mesos-env.ts';
import { amountsOf, findNodeName, keepNode, subtract } from './node.ts';
import { Pods } from './pods.ts';
import type { Runtime } from './runtime.ts';
import { RuntimeView } from './runtime-view.ts';
import { ownCgroup } from './runtimes/cgroups.ts';
import { CriRuntime } from './runtimes/cri.ts';
import { ProcessRuntime } from './runtimes/process.ts';
import { startServer } from './server.ts';
import { StatusWriter } from './status-writer.ts';
import { type TaskAction, Tasks } from './tasks.ts';

export const options = {
  runtime: oneOf('What runs containers', ['process', 'cri'], 'process'),
  criSocket: text('Socket of the container runtime', 'unix:///run/containerd/containerd.sock', '<socket>'),
  cgroupParent: text('Cgroup below which pods are put; below the executor’s own unless set', '', '<path>'),
  rootDir: text('Where logs, volumes and records of pods are; the Mesos sandbox unless set', '', '<directory>'),
  nodeName: text('Name of the node; that of the Node made for this agent unless set', '', '<name>'),
  nodeIp: text('Address of the node; the one the agent uses unless set', '', '<address>'),
  bindAddress: text('Address the kubelet’s port listens on; the node’s unless set', '', '<address>'),
  port: port('The kubelet’s port; 0 takes a free one', 0),
  clientNames: list(
    'Common names, beside members of system:masters, whose certificates may use the port',
    [],
    '<name,name>',
  ),
  nodeStatusInterval: duration('How often the node is looked at', 10_000),
  leaseInterval: duration('How often the node’s lease is renewed', 10_000),
  launchGrace: duration('How long a task waits for its pod to be bound', 5 * 60_000),
  clusterDns: list('DNS servers of the cluster, for pods', [], '<ip,ip>'),
  clusterDomain: text('Domain of the cluster, for pods', 'cluster.local', '<domain>'),
} as const;

export type Options = Values<typeof options>;

export interface Deps {
  log: Logger;
  /** Stops the executor; with the process runtime its containers end, with CRI they go on. */
  signal: AbortSignal;
  env: Readonly<Record<string, string | undefined>>;
}

/** Where the apiserver is: ExecutorInfo.data as JSON. */
interface Introduction {
  server: string;
  ca: string;
  token: string;
}

/** How long a stop waits for pod statuses to be written, ms. */
const lastWords = 2_000;

type PodAction = Exclude<TaskAction, { type: 'update' | 'exit' }>;

/** Resolves at once; `closed` tells with what the executor ended. Throws when the environment is not an executor's. */
export function start(o: Options, { log, signal, env }: Deps): Promise<{ closed: Promise<string> }> {
  const mesos = mesosEnv(env);
  const ending = new AbortController();
  const tasks = new Tasks({ executorId: mesos.executorId, agentId: mesos.agentId, launchGrace: o.launchGrace });
  const waiting: PodAction[] = [];
  let node: RunningNode | undefined;
  const act = (action: PodAction) => (node ? node.act(action) : waiting.push(action));
  const executor = new Executor({
    mesos,
    tasks,
    act: (action) => void act(action),
    subscribed: (info) => {
      void untilStarted(() => startNode(o, mesos, info, executor, log, ending.signal), log, ending.signal).then(
        (started) => {
          if (ending.signal.aborted) return started?.close();
          node = started;
          if (started) waiting.splice(0).forEach((action) => started.act(action));
          return undefined;
        },
      );
    },
    signal,
    log,
  });
  const closed = executor.run().finally(async () => {
    await node?.close();
    ending.abort(new Error('the executor is stopping'));
  });
  return Promise.resolve({ closed });
}

interface RunningNode {
  act(action: PodAction): void;
  close(): Promise<void>;
}

/** Everything but Mesos: runtime, pods, server, node. Cleans up after itself when it throws. */
async function startNode(
  o: Options,
  mesos: MesosEnv,
  info: EventSubscribed,
  executor: Executor,
  log: Logger,
  signal: AbortSignal,
): Promise<RunningNode> {
  const introduction = introductionIn(info);
  const client = new Client({ ...introduction, userAgent: 'km-executor' });
  const stopping = new AbortController();
  const within = AbortSignal.any([signal, stopping.signal]);
  const closers: (() => Promise<void>)[] = [() => client.close()];
  let statuses: StatusWriter | undefined;
  const close = async () => {
    await Promise.race([statuses?.flushAll(), delay(lastWords, within).catch(() => undefined)]);
    stopping.abort(new Error('the executor is stopping'));
    for (const closer of closers.reverse()) await closer();
  };
  try {
    const name = o.nodeName || (await findNodeName(client, mesos.agentId, info.agent_info.hostname, within));
    const ip = o.nodeIp || mesos.agentIp;
    const rootDir = o.rootDir || mesos.sandbox;
    if (!rootDir) throw new Error('there is no directory for pods: name one with --root-dir');
    mkdirSync(rootDir, { recursive: true });
    const runtime = await openRuntime(o, rootDir, ip, `${mesos.frameworkId}/${name}`, log);
    closers.push(() => runtime.close());
    const total = amountsOf(info.agent_info.resources ?? []);
    const allocatable = subtract(total, amountsOf(info.executor_info.resources ?? []));

    const services = new Informer(client, Service, {}, log);
    const pods = new Informer(client, Pod, { fieldSelector: `spec.nodeName=${name}` }, log);
    await services.start(within);
    const apiserver = apiserverOf(
      client,
      new EventRecorder(client, 'kubelet', log),
      () => [...services.list()],
      within,
    );
    statuses = new StatusWriter(apiserver, within, log);
    const kubelet: Kubelet = {
      runtime,
      view: new RuntimeView(runtime),
      apiserver,
      statuses,
      backoff: new CrashBackoff(),
      retries: new CrashBackoff(500),
      nodeName: name,
      nodeIp: ip,
      allocatable,
      volumes: join(rootDir, 'volumes'),
      logs: join(rootDir, 'logs'),
      cgroupParent: o.runtime === 'cri' ? o.cgroupParent || join(ownCgroup(), 'km') : '',
      clusterDns: o.clusterDns,
      clusterDomain: o.clusterDomain,
      report: (uid: string, report: PodReport) => executor.on({ type: 'report', uid, report }),
      log,
    };
    const ours = new Pods(kubelet);
    closers.push(() => ours.close());
    pods.on((change) => {
      const { uid, annotations: marks } = change.object.metadata;
      if (change.type === 'deleted') return ours.lost(uid);
      executor.on({ type: 'bound', uid, taskId: marks?.[annotations.taskId] });
      ours.bound(change.object);
    });
    await pods.start(within);
    await ours.sweep();

    const certificate = await servingCertificate(name, ip);
    const { clientNames, bindAddress } = o;
    const server = await startServer({
      address: bindAddress || ip,
      port: o.port,
      certificate,
      ca: introduction.ca,
      clientNames,
      pods: ours,
      runtime,
      log,
    });
    closers.push(() => server.close());
    const { containerRuntimeVersion: runtimeVersion } = await runtime.version();
    const kept = await keepNode(
      {
        client,
        name,
        ip,
        port: server.port,
        fingerprint: certificate.fingerprint,
        runtimeVersion,
        total,
        allocatable,
        directory: rootDir,
        statusInterval: o.nodeStatusInterval,
        leaseInterval: o.leaseInterval,
        log,
      },
      within,
    );
    closers.push(() => kept.closed);
    return { act: (action) => obey(ours, action), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function obey(pods: Pods, action: PodAction): void {
  if (action.type === 'admit') pods.admit(action.uid);
  else if (action.type === 'dismiss') pods.dismiss(action.uid);
  else pods.end(action.uid, action);
}

function openRuntime(o: Options, rootDir: string, nodeIp: string, owner: string, log: Logger): Promise<Runtime> {
  if (o.runtime === 'cri') return CriRuntime.open({ socket: o.criSocket, owner, nodeIp, log });
  log.warn('the process runtime does not isolate: pods share this machine’s network, processes and users');
  return Promise.resolve(new ProcessRuntime({ root: join(rootDir, 'process'), nodeIp, log }));
}

/** The apiserver or the container runtime may come later than we do. */
async function untilStarted<T>(open: () => Promise<T>, log: Logger, signal: AbortSignal): Promise<T | undefined> {
  const backoff = new Backoff({ first: 500, max: 10_000 });
  while (!signal.aborted) {
    try {
      return await open();
    } catch (err) {
      if (signal.aborted) return undefined;
      log.error({ err }, 'the kubelet could not start; trying again');
      await delay(backoff.next(), signal).catch(() => undefined);
    }
  }
  return undefined;
}

function introductionIn({ executor_info: { data } }: EventSubscribed): Introduction {
  let read: Partial<Introduction>;
  try {
    read = JSON.parse(Buffer.from(data ?? []).toString('utf8')) as Partial<Introduction>;
  } catch (error) {
    throw new Error('ExecutorInfo.data is not the JSON {"server","ca","token"} that says where the apiserver is', {
      cause: error,
    });
  }
  if (!read.server || !read.ca || !read.token)
    throw new Error('ExecutorInfo.data must name server, ca and token of the apiserver');
  return { server: read.server, ca: read.ca, token: read.token };
}
