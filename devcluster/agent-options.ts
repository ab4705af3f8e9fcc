import type { Logger } from '../lib/log.ts';
import type { Attribute, DomainInfo, Resource } from '../mesos/types.ts';
import type { Authentication } from './authentication.ts';
import type { Timings } from './timings.ts';

/** What an agent is like. */
export interface AgentOptions {
  hostname: string;
  port: number;
  resources: Resource[];
  oversubscribed: Resource[];
  attributes: Attribute[];
  domain: DomainInfo | undefined;
  workDir: string;
  timings: Timings;
  environment: Record<string, string>;
  /** For benches: no listener, no sandboxes, no processes; every task is RUNNING at once. */
  simulated: boolean;
  /** `--http_command_executor` */
  httpCommandExecutor: boolean;
  /** Undefined: nobody is asked who he is. */
  authentication: Authentication | undefined;
  /** What faults do to updates on their way to the master. */
  mischief: Mischief;
  log: Logger;
}

export interface Mischief {
  /** Milliseconds. */
  delay: number;
  /** How often each is sent. */
  copies: number;
}
