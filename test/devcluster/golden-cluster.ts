/** Devclusters as the recorded ones were, and what a replay has to wait for on them. */
import { dirname } from 'node:path';
import { options, start, type AgentSpec, type Devcluster, type Timings } from '../../devcluster/index.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { askAgent, askMaster } from '../../mesos/operator.ts';

/** Hooks after each test do not know which of those that run side by side it was. */
const ends: (() => Promise<void> | void)[] = [];

export const atEnd = (end: () => Promise<void> | void): number => ends.push(end);

export async function endAll(): Promise<void> {
  for (const end of ends.splice(0)) await end();
}

export const agents = (count: number): AgentSpec[] =>
  Array.from({ length: count }, (_, i) => ({
    hostname: '127.0.0.1',
    resources: `cpus:4;mem:4096;disk:8192;ports:[${31 + i}000-${31 + i}999]`,
  }));

export async function cluster(
  count: number,
  timings: Partial<Timings> = {},
  specs = agents(count),
  more: Partial<Parameters<typeof start>[0]> = {},
): Promise<Devcluster> {
  const stop = new AbortController();
  const o = { ...defaultsOf(options), port: 0, agentPort: 0, domain: '', ...more };
  const started = await start(o, {
    log: silent,
    signal: stop.signal,
    agents: specs,
    timings: { allocationInterval: 30, builtinExecutorStart: 250, ...timings },
    environment: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` },
  });
  const end = async () => {
    stop.abort();
    await started.closed;
  };
  atEnd(end);
  return started;
}

export async function untilCompleted(url: string, count: number): Promise<void> {
  for (;;) {
    const { get_frameworks } = await askMaster({ url }, { type: 'GET_FRAMEWORKS' });
    if (get_frameworks.completed_frameworks?.length === count) return;
    await delay(20);
  }
}

export async function untilExecutors(url: string, count: number): Promise<void> {
  for (;;) {
    const { get_executors } = await askAgent({ url }, { type: 'GET_EXECUTORS' });
    if (get_executors.executors?.length === count) return;
    await delay(20);
  }
}

/** An agent. */
export async function untilHealthy(url: string): Promise<void> {
  while (!(await askAgent({ url }, { type: 'GET_HEALTH' }).catch(() => undefined))) await delay(20);
}

export async function untilLeads(url: string): Promise<void> {
  while (!(await askMaster({ url }, { type: 'GET_HEALTH' }).catch(() => undefined))) await delay(20);
}
