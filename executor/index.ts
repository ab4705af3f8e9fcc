/**
 * The executor: a kubelet that Mesos starts on an agent, and that runs the pods bound to it.
 *
 *      agent ◀──── v1 executor API ────▶ executor.ts ─── tasks.ts (what Mesos is told, decided purely)
 *                              node-agent.ts │ a task admits a pod            ▲ reports
 *   apiserver ── pods of this node ─────▶ pods.ts ── one pod-worker.ts a pod ─┘
 *             ◀── status, node, lease ──     │  plan.ts (pod × runtime → steps), setbacks.ts (what waits),
 *             ─── logs, exec … ─▶ server.ts  ▼  status.ts, env.ts, volumes.ts
 *   manifests ─▶ static-pods.ts ─▶ pods.ts │  csi/ (drivers of storage)
 *                                        runtime.ts: the Runtime port ── runtimes/{cri,docker,mesos,process}.ts
 *
 * It must not know offers, roles or other nodes, nor the framework's bookkeeping: what it needs of a pod it reads from the
 * apiserver, never from Mesos.
 */
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { Executor } from './executor.ts';
import { mesosEnv } from './mesos-env.ts';
import { NodeAgent, type NodeAgentOptions, type PodAction } from './node-agent.ts';
import { nodeIps } from './node-ips.ts';
import type { Options } from './options.ts';
import { unsafeSysctls } from './sysctls.ts';
import { Tasks } from './tasks.ts';

export { type Options, options } from './options.ts';

export interface Deps {
  log: Logger;
  /** Stops the executor; its containers end with the process and the mesos runtime, and go on with the others. */
  signal: AbortSignal;
  /** The MESOS_ variables that the agent sets. */
  env: Readonly<Record<string, string | undefined>>;
}

/** Resolves at once; `closed` tells with what the executor ended. Rejects when the environment is not an executor's. */
// async, so that every refusal is a rejection
export async function start(o: Options, { log, signal, env }: Deps): Promise<{ closed: Promise<string> }> {
  const mesos = mesosEnv(env);
  // What is wrong with them is said before anything runs.
  unsafeSysctls(o.allowedUnsafeSysctls);
  nodeIps(o.nodeIp, mesos.agentIp);
  const ending = new AbortController();
  const { launchGrace, idleTimeout } = o;
  const tasks = new Tasks({ executorId: mesos.executorId, agentId: mesos.agentId, launchGrace, idleTimeout });
  /** What Mesos asked of pods before there was anybody to do it. */
  const waiting: PodAction[] = [];
  let given: NodeAgentOptions | undefined;
  let node: NodeAgent | undefined;
  const executor = new Executor({
    mesos,
    tasks,
    act: (action) => (node ? node.act(action) : void waiting.push(action)),
    subscribed: (info) => {
      if (given) {
        given.info = info;
        return node?.sizeChanged();
      }
      const first = { options: o, mesos, info, log, signal: ending.signal, tell: executor.on.bind(executor) };
      given = first;
      void untilStarted(() => NodeAgent.start(first), log, ending.signal).then((started) => {
        if (ending.signal.aborted) return started?.close();
        node = started;
        waiting.splice(0).forEach((action) => started?.act(action));
        return undefined;
      });
    },
    signal,
    log,
  });
  const closed = executor.run().finally(async () => {
    await node?.close();
    ending.abort(new Error('the executor is stopping'));
  });
  return { closed };
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
