/** Who of several masters leads: through ZooKeeper as real ones do, or, without one, the first that lives. */
import type { Logger } from '../lib/log.ts';
import { addressOf, electionPrefix, leadingNode } from '../mesos/leader-zookeeper.ts';
import { parseLeaderSpec } from '../mesos/leader.ts';
import type { MasterInfo } from '../mesos/types.ts';
import { connectOwn } from '../mesos/zookeeper-own.ts';
import { ZooKeeperError, type ZooKeeper } from '../mesos/zookeeper.ts';
import type { Leader } from './master.ts';

export interface Candidate {
  info: MasterInfo;
  follow(leader: Leader): void;
}

export interface Election {
  /** Takes part from now on. */
  enter(candidate: Candidate): void;
  /** Its process died. */
  leave(candidate: Candidate): void;
  close(): Promise<void>;
}

/** Without ZooKeeper. After the death of the leader the others point to it for as long as a session would last. */
export function localElection(sessionTimeout: number, changed: () => void): Election {
  const alive: Candidate[] = [];
  let timer: NodeJS.Timeout | undefined;
  const announce = () => {
    const leader = alive[0] && { hostname: '127.0.0.1', port: alive[0].info.port };
    for (const candidate of alive) candidate.follow(leader);
    changed();
  };
  return {
    enter(candidate) {
      alive.push(candidate);
      if (!timer) announce();
    },
    leave(candidate) {
      const wasLeader = alive[0] === candidate;
      alive.splice(alive.indexOf(candidate), 1);
      if (!wasLeader) return;
      changed();
      timer = setTimeout(() => {
        timer = undefined;
        announce();
      }, sessionTimeout);
    },
    close: () => {
      clearTimeout(timer);
      return Promise.resolve();
    },
  };
}

/** Each master has a session of its own and a node `json.info_NNNNNNNNNN`; all watch who is first. */
export function zooKeeperElection(spec: string, sessionTimeout: number, log: Logger, changed: () => void): Election {
  const parsed = parseLeaderSpec(spec);
  if (parsed.kind !== 'zookeeper') throw new Error(`expected zk://host:port/path for the election, got "${spec}"`);
  const { servers, path, digest } = parsed;
  const sessions = new Map<Candidate, { close(): Promise<void> }>();
  return {
    enter(candidate) {
      const campaign = new Campaign(candidate, { servers, digest, path, sessionTimeout, log, changed });
      sessions.set(candidate, campaign);
    },
    leave(candidate) {
      void sessions.get(candidate)?.close();
      sessions.delete(candidate);
      changed();
    },
    close: async () => {
      await Promise.all([...sessions.values()].map((session) => session.close()));
    },
  };
}

interface CampaignOptions {
  servers: string[];
  digest: string | undefined;
  path: string;
  sessionTimeout: number;
  log: Logger;
  changed: () => void;
}

class Campaign {
  readonly #candidate: Candidate;
  readonly #options: CampaignOptions;
  #zk: ZooKeeper;
  #over = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(candidate: Candidate, options: CampaignOptions) {
    this.#candidate = candidate;
    this.#options = options;
    this.#zk = this.#open();
  }

  async close(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#retry);
    await this.#zk.close();
  }

  #open(): ZooKeeper {
    const { servers, sessionTimeout, digest } = this.#options;
    const zk = connectOwn({
      servers,
      sessionTimeout,
      digest,
      onState: (state) => {
        if (state !== 'expired' || this.#over) return;
        this.#follow(undefined);
        this.#zk = this.#open();
      },
    });
    void this.#run(zk);
    return zk;
  }

  async #run(zk: ZooKeeper): Promise<void> {
    const { path } = this.#options;
    try {
      await makePath(zk, path);
      await zk.create(`${path}/${electionPrefix}`, Buffer.from(JSON.stringify(this.#candidate.info)), {
        ephemeral: true,
        sequential: true,
      });
      await this.#look(zk);
    } catch (err) {
      this.#failed(zk, err, () => void this.#run(zk));
    }
  }

  async #look(zk: ZooKeeper): Promise<void> {
    const { path } = this.#options;
    try {
      const node = leadingNode(await zk.children(path, () => void this.#look(zk)));
      if (node === undefined) return this.#follow(undefined);
      const { hostname, port } = new URL(addressOf(await zk.get(`${path}/${node}`), 'http'));
      this.#follow({ hostname, port: Number(port) });
    } catch (err) {
      this.#failed(zk, err, () => void this.#look(zk));
    }
  }

  #failed(zk: ZooKeeper, err: unknown, again: () => void): void {
    if (this.#over || zk !== this.#zk) return;
    this.#options.log.warn({ err }, 'The election of a master in ZooKeeper goes on with difficulty');
    this.#retry = setTimeout(again, 200);
  }

  #follow(leader: Leader): void {
    if (this.#over) return;
    this.#candidate.follow(leader);
    this.#options.changed();
  }
}

async function makePath(zk: ZooKeeper, path: string): Promise<void> {
  const parts = path.split('/').filter((part) => part !== '');
  for (let i = 1; i <= parts.length; i++) {
    try {
      await zk.create(`/${parts.slice(0, i).join('/')}`, Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof ZooKeeperError) || error.code !== 'node-exists') throw error;
    }
  }
}
