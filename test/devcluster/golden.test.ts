import { afterEach, describe, expect, test } from '@jest/globals';
import { options, start, type AgentSpec, type Devcluster, type Timings } from '../../devcluster/index.ts';
import { silent } from '../../lib/log.ts';
import { defaultsOf } from '../../lib/options.ts';
import { replay } from './replay.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const agents = (count: number): AgentSpec[] =>
  Array.from({ length: count }, (_, i) => ({
    hostname: '127.0.0.1',
    resources: `cpus:4;mem:4096;disk:8192;ports:[${31 + i}000-${31 + i}999]`,
  }));

async function cluster(count: number, timings: Partial<Timings> = {}, specs = agents(count)): Promise<Devcluster> {
  const stop = new AbortController();
  const o = { ...defaultsOf(options), port: 0, agentPort: 0, domain: '' };
  const started = await start(o, {
    log: silent,
    signal: stop.signal,
    agents: specs,
    timings: { allocationInterval: 30, ...timings },
  });
  stops.push(async () => {
    stop.abort();
    await started.closed;
  });
  return started;
}

describe('the devcluster answers as a real Mesos did', () => {
  test('to every error of the scheduler API', async () => {
    const { compared } = await replay({ scenario: '02-errors', cluster: await cluster(1), to: 318 });
    expect(compared).toBeGreaterThan(120);
  });

  test.each(['12-accept-invalid-partition-aware', '12-accept-invalid-not-partition-aware'])(
    'to every invalid ACCEPT: %s',
    async (scenario) => {
      const { compared } = await replay({ scenario, cluster: await cluster(2), skip: /^op/ });
      expect(compared).toBeGreaterThan(150);
    },
  );
});
