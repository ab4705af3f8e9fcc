import { describe, expect, test } from '@jest/globals';
import type { Call, Event } from '../../mesos/scheduler.ts';
import { type Session, openSession, schedulerApi } from '../../mesos/session.ts';
import { Framework, task } from '../devcluster/builders.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, talkers } from './harness.ts';

/** A framework as small as can be: it waits for offers of every agent and gives them back, some times over. */
class Neighbour {
  readonly #session: Session<Call, Event>;
  readonly #id: string;
  #leaving = false;
  readonly #waiting = new Set<(agents: string[]) => void>();

  static async join(url: string): Promise<Neighbour> {
    const framework_info = {
      user: 'root',
      name: 'neighbour',
      roles: ['*'],
      capabilities: [
        { type: 'MULTI_ROLE' as const },
        { type: 'REGION_AWARE' as const },
        { type: 'PARTITION_AWARE' as const },
      ],
    };
    const session = await openSession({
      url,
      protocol: schedulerApi,
      subscribe: { type: 'SUBSCRIBE', subscribe: { framework_info } },
    });
    const events = session.events[Symbol.asyncIterator]();
    const first = await events.next();
    if (first.done || first.value.type !== 'SUBSCRIBED') throw new Error('not subscribed');
    const neighbour = new Neighbour(session, first.value.subscribed.framework_id.value);
    neighbour.#listen(events).catch((error: unknown) => {
      if (!neighbour.#leaving) throw error;
    });
    return neighbour;
  }

  private constructor(session: Session<Call, Event>, id: string) {
    this.#session = session;
    this.#id = id;
  }

  async #listen(events: AsyncIterator<Event>): Promise<void> {
    for (let next = await events.next(); !next.done; next = await events.next()) {
      if (next.value.type !== 'OFFERS') continue;
      const offers = next.value.offers.offers ?? [];
      await this.#session.call({
        type: 'DECLINE',
        framework_id: { value: this.#id },
        decline: { offer_ids: offers.map(({ id }) => id), filters: { refuse_seconds: 0 } },
      });
      for (const tell of this.#waiting) tell(offers.map(({ hostname }) => hostname));
    }
  }

  /** Milliseconds until each of so many agents has been offered to us from now on. */
  untilOffered(agents: number, patience: number): Promise<number> {
    const started = performance.now();
    const seen = new Set<string>();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`offered within ${patience} ms: ${[...seen].join(', ') || 'nothing'}`)),
        patience,
      );
      const tell = (hosts: string[]) => {
        for (const host of hosts) seen.add(host);
        if (seen.size < agents) return;
        clearTimeout(timer);
        this.#waiting.delete(tell);
        resolve(performance.now() - started);
      };
      this.#waiting.add(tell);
    });
  }

  async leave(): Promise<void> {
    this.#leaving = true;
    // The master ends the stream with it, maybe before its answer is here.
    await this.#session.call({ type: 'TEARDOWN', framework_id: { value: this.#id } }).catch(() => undefined);
    this.#session.close();
  }
}

/** Takes all of every offer for a task of a second, again and again; answers how many it has launched. */
async function takesAll(url: string, signal: AbortSignal): Promise<number> {
  const greedy = await Framework.open(url, { name: 'greedy' });
  let launched = 0;
  try {
    while (!signal.aborted) {
      const offer = await greedy.offer().catch(() => undefined);
      if (!offer) continue;
      const resources = (offer.resources ?? []).filter(({ name }) => name === 'cpus' || name === 'mem');
      await greedy.launch(offer, task(`greedy-${launched++}`, offer, { command: { value: 'sleep 1' }, resources }));
    }
  } finally {
    await greedy.call({ type: 'TEARDOWN' }).catch(() => undefined);
    greedy.session.close();
  }
  return launched;
}

const limit = 5_000;

export function describeNeighbour(cluster: () => TestCluster): void {
  describe('a neighbour on the same Mesos is offered every agent within five seconds', () => {
    const threeTimes = async () => {
      const neighbour = await Neighbour.join(cluster().masterUrl);
      try {
        for (let round = 0; round < 3; round++) expect(await neighbour.untilOffered(3, limit)).toBeLessThan(limit);
      } finally {
        await neighbour.leave();
      }
    };

    test('while km is idle', async () => {
      await threeTimes();
    });

    test('while km runs pods and waits for nothing', async () => {
      await cluster().kubectl.feed(talkers('calm', 6), 'apply', '-f', '-');
      await cluster().kubectl.run('rollout', 'status', 'deployment/calm', '--timeout=60s');
      await threeTimes();
    });

    test('while km has pods pending that fit nowhere, which say why', async () => {
      await cluster().kubectl.feed(talkers('huge', 3).replace('cpu: 50m', 'cpu: 100'), 'apply', '-f', '-');
      await eventually(async () => {
        const events = await cluster().kubectl.run(
          'get',
          'events',
          '--field-selector=reason=FailedScheduling',
          '-o',
          'jsonpath={.items[*].message}',
        );
        expect(events).toContain('0/3 nodes are available: 3 Insufficient cpu');
      }, 30_000);
      await threeTimes();
      const condition = await cluster().kubectl.run(
        'get',
        'pods',
        '-l',
        'app=huge',
        '-o',
        'jsonpath={.items[0].status.conditions[?(@.type=="PodScheduled")].reason}',
      );
      expect(condition).toBe('Unschedulable');
    });

    test('and km gets its share where the neighbour takes all that it is offered', async () => {
      const over = new AbortController();
      const neighbour = takesAll(cluster().masterUrl, over.signal);
      try {
        await cluster().kubectl.feed(talkers('share', 6), 'apply', '-f', '-');
        await cluster().kubectl.run('rollout', 'status', 'deployment/share', '--timeout=60s');
      } finally {
        over.abort();
      }
      expect(await neighbour).toBeGreaterThan(3);
      await cluster().kubectl.run('delete', 'deployment/share', '--wait=false');
    }, 90_000);

    test('and km still places a pod that does fit, at once, beside those that do not', async () => {
      const started = performance.now();
      await cluster().kubectl.run('run', 'small', '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '100');
      await cluster().kubectl.run('wait', '--for=condition=Ready', 'pod/small', '--timeout=20s');
      expect(performance.now() - started).toBeLessThan(15_000);
    });
  });
}
