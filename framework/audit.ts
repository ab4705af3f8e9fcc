import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { MesosError } from '../mesos/errors.ts';
import { askMaster } from '../mesos/operator.ts';
import type { Resource } from '../mesos/types.ts';
import type { Leader, MasterOptions } from './subscription.ts';

/** All that an agent has, with what is reserved and kept for somebody. */
export interface AgentTotal {
  id: string;
  total: readonly Resource[];
}

export interface AuditParts {
  leader: Leader;
  masters: MasterOptions;
  /** Milliseconds from one to the next. */
  interval: number;
  tell: (agents: readonly AgentTotal[]) => void;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Nothing leaks: at the start, now and then, and when a volume was let go, the master is asked what agents keep. Where the
 * operator API may not be read, only what is offered anyhow is looked at.
 */
export class Audit {
  readonly #parts: AuditParts;
  #wanted = Promise.withResolvers<void>();

  constructor(parts: AuditParts) {
    this.#parts = parts;
    void this.#run();
  }

  /** Something is to be found now. */
  soon(): void {
    this.#wanted.resolve();
  }

  async #run(): Promise<void> {
    const { interval, signal, log } = this.#parts;
    while (!signal.aborted) {
      this.#wanted = Promise.withResolvers();
      await this.#look().catch((err: unknown) => {
        const isForbidden = err instanceof MesosError && (err.code === 'forbidden' || err.code === 'unauthorized');
        if (!signal.aborted && !isForbidden) log.warn({ err }, 'could not ask the Mesos master what agents keep');
      });
      await Promise.race([delay(interval, signal).catch(() => undefined), this.#wanted.promise]);
    }
  }

  async #look(): Promise<void> {
    const { leader, masters, tell, signal } = this.#parts;
    const { credentials, tls } = masters;
    const target = { url: await leader.url(signal), credentials, tls, signal };
    const { get_agents } = await askMaster(target, { type: 'GET_AGENTS' });
    tell(
      (get_agents.agents ?? []).flatMap(({ agent_info, total_resources = [] }) =>
        agent_info.id ? [{ id: agent_info.id.value, total: total_resources }] : [],
      ),
    );
  }
}
