/**
 * scheduler/: which node?
 *
 *   pods without a node ─▶ queue ─▶ decide(pod × nodes × profile) ─▶ seat = cluster.reserve(pod, node) ─▶ bound
 *                            ▲                  │ nothing fits: say why, rest until the cluster changes
 *                            └──────────────────┘
 *
 * Pure policy over the Cluster port (cluster.ts). It must not know of Mesos, offers, agents or tasks, and it never writes
 * a binding: whoever implements the port does, when the pod really has its place.
 */
import type { Client } from '../client/client.ts';
import { EventRecorder } from '../client/events.ts';
import type { Informers } from '../client/informer.ts';
import { Pod } from '../api/kinds/pod.ts';
import { timestamp } from '../api/meta.ts';
import { notFound } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import { type Values, number, text } from '../lib/options.ts';
import type { Page } from '../client/door.ts';
import { AssumedVolumes } from './assumed-volumes.ts';
import type { Cluster } from './cluster.ts';
import { type Profile, readConfiguration } from './configuration.ts';
import { everyNode } from './decide.ts';
import type { Figures } from './figures.ts';
import { defaultProfile } from './profile.ts';
import { followWorld, worldOf } from './world.ts';
import { Scheduler } from './scheduler.ts';

export {
  type ClaimedVolumes,
  type Cluster,
  type Need,
  type Needs,
  type NodeView,
  type Quota,
  type Seat,
  NotLaunched,
  noOffer,
  portCount,
} from './cluster.ts';
export { type Profile, profilesOf, readConfiguration } from './configuration.ts';
export { type Decision, decide, explain } from './decide.ts';
export { explainNodes } from './explain.ts';
export { groupOf } from './groups.ts';
export { Figures } from './figures.ts';
export { defaultProfile } from './profile.ts';

/** Call before the informers start. */
export function watched(informers: Informers): void {
  worldOf(informers);
}

export const options = {
  schedulerName: text('Place pods whose spec.schedulerName is this', 'default-scheduler', '<name>'),
  config: text('Profiles of policies: a KubeSchedulerConfiguration, or a Policy of old, in YAML or JSON', '', '<path>'),
  percentageOfNodesToScore: number(
    'Score no more fitting nodes than this part of all; 0: the fewer the more nodes there are',
    everyNode,
    { max: 100 },
  ),
  seed: number('Makes the choice among equally good nodes repeatable; 0 takes a new seed at each start', 0),
} as const;

/** Reads the file that the options name; a follower must not find out what is wrong with it when it takes over. */
export async function check({ config }: Pick<Values<typeof options>, 'config'>): Promise<void> {
  if (config !== '') await readConfiguration(config);
}

/** Starts placing pods; the informers must be in sync. Runs until the signal aborts. Rejects when the configuration is wrong. */
export async function start(
  { schedulerName, seed, config, percentageOfNodesToScore }: Values<typeof options>,
  {
    client,
    informers,
    cluster,
    log,
    signal,
    figures,
  }: {
    client: Client;
    informers: Informers;
    cluster: Cluster;
    log: Logger;
    signal: AbortSignal;
    figures: Figures;
  },
): Promise<{ pages: Readonly<Record<string, Page>> }> {
  const own = log.child({ component: 'scheduler' });
  const usual: Profile = { schedulerName, plugins: defaultProfile, percentageOfNodesToScore, preempts: true };
  const profiles = config === '' ? [usual] : await readConfiguration(config);
  for (const warning of profiles.flatMap(({ warnings = [] }) => warnings)) own.warn({ config }, warning);
  const world = worldOf(informers);
  const volumes = new AssumedVolumes(world.storage);
  const placing = new Scheduler({
    client,
    cluster,
    pods: informers.of(Pod),
    events: new EventRecorder(client, profiles[0]?.schedulerName ?? schedulerName, own),
    world: { ...world, storage: volumes.storage },
    volumes,
    profiles: new Map(profiles.map((profile) => [profile.schedulerName, profile])),
    log: own,
    figures,
    random: seed === 0 ? Math.random : seeded(seed),
    now: Date.now,
  });
  placing.start(signal);
  followWorld(informers, (helps) => placing.wake(helps));
  return { pages: pagesOf(placing) };
}

const pagesOf = (placing: Scheduler): Readonly<Record<string, Page>> => ({
  '/debug/scheduler/podqueue': {
    method: 'GET',
    answer: () => placing.queue().map(({ until, ...row }) => ({ ...row, until: until > 0 ? timestamp(until) : null })),
  },
  '/debug/scheduler/explain': {
    method: 'GET',
    answer(query) {
      const pod = query.get('pod') ?? '';
      const explained = placing.explain(pod.includes('/') ? pod : `default/${pod}`);
      if (!explained) throw notFound(Pod, pod || '?pod=<namespace>/<name>');
      return explained;
    },
  },
});

/** mulberry32: small, fast, good enough to break ties. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
