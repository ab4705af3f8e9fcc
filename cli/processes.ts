import cluster, { type Worker } from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { AggregatorRegistry, type Registry, type RegistryContentType } from 'prom-client';
import { Backoff, healthyMs } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';

/** Between the processes: a child is ready, asks for the figures of all, and is told them. */
type Message = 'ready' | { asks: number } | { answers: number; metrics: string };

export interface Shared {
  log: Logger;
  signal: AbortSignal;
  /** Called when every process is ready. */
  ready: () => void;
}

/** In the environment of those that `share` started: what all of them are known by. */
const instanceName = 'KM_PROCESSES_INSTANCE';

/** True in a process that `share` started. */
export const isShare = (): boolean => cluster.isWorker;

export const instanceOfAll = (): string => process.env[instanceName] ?? '';

/**
 * Runs this very program `count` times more; the children share the port that they listen on. One that ends is started
 * again; one that ends before all were ready ends everything. Resolves when the signal has aborted and all have ended.
 */
export async function share(count: number, { log, signal, ready }: Shared): Promise<void> {
  const figures = new AggregatorRegistry();
  const running = new Set<Worker>();
  const environment = { [instanceName]: randomUUID() };
  let isReady = false;
  const stop = () => {
    for (const { process } of running) process.kill('SIGTERM');
  };
  signal.addEventListener('abort', stop, { once: true });
  const keep = async (begun: () => void): Promise<void> => {
    const backoff = new Backoff({ first: 200, max: 10_000 });
    while (!signal.aborted) {
      const started = Date.now();
      const child = cluster.fork(environment);
      running.add(child);
      child.on('message', (message: Message) => {
        if (message === 'ready') begun();
        else if ('asks' in message) void answer(child, message.asks, figures, log);
      });
      const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
      running.delete(child);
      if (signal.aborted) return;
      const how = killedBy ?? `exit code ${code}`;
      if (!isReady) throw new Error(`a process of the server ended before it was ready (${how})`);
      if (Date.now() - started > healthyMs) backoff.reset();
      log.warn({ pid: child.process.pid, how }, 'a process of the server ended; starting it again');
      await delay(backoff.next(), signal).catch(() => undefined);
    }
  };
  const beginnings = Array.from({ length: count }, () => Promise.withResolvers<void>());
  const all = Promise.all(beginnings.map(({ resolve }) => keep(resolve)));
  try {
    await Promise.race([Promise.all(beginnings.map(({ promise }) => promise)), all]);
    isReady = true;
    if (!signal.aborted) ready();
    await all;
  } finally {
    stop();
    await Promise.all([...running].map((child) => once(child, 'exit')));
  }
}

async function answer(
  child: Worker,
  asks: number,
  figures: AggregatorRegistry<RegistryContentType>,
  log: Logger,
): Promise<void> {
  const metrics = await figures.clusterMetrics().catch((err: unknown) => {
    log.warn({ err }, 'not every process told its figures');
    return '';
  });
  if (child.isConnected()) child.send({ answers: asks, metrics } satisfies Message);
}

/** The figures of all processes together, for one of them to show; `own` are those of this one. */
export function metricsOfAll(own: Registry): () => Promise<string> {
  AggregatorRegistry.setRegistries([own]);
  // Made for what it does: it answers when the figures of this process are asked for.
  new AggregatorRegistry();
  const waiting = new Map<number, (metrics: string) => void>();
  let asked = 0;
  process.on('message', (message: Message) => {
    if (typeof message !== 'object' || !('answers' in message)) return;
    waiting.get(message.answers)?.(message.metrics);
    waiting.delete(message.answers);
  });
  return () =>
    new Promise((resolve) => {
      asked += 1;
      waiting.set(asked, resolve);
      process.send!({ asks: asked } satisfies Message);
    });
}
