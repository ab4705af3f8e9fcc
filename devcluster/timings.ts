/** Every wait of a Mesos cluster, in milliseconds, with the real defaults. Tests make them short. */
export interface Timings {
  allocationInterval: number;
  heartbeatInterval: number;
  /** After so long without an answer to its pings an agent is unreachable: 5 pings of 15 s. */
  agentPingTimeout: number;
  /** Offers are rescinded after it; 0 = never. */
  offerTimeout: number;
  executorRegistrationTimeout: number;
  executorReregistrationTimeout: number;
  executorShutdownGracePeriod: number;
  recoveryTimeout: number;
  updateRetryMin: number;
  updateRetryMax: number;
  /** How long an agent that was restarted needs to come back. */
  agentRegistrationBackoff: number;
}

export const realTimings: Timings = {
  allocationInterval: 1000,
  heartbeatInterval: 15_000,
  agentPingTimeout: 75_000,
  offerTimeout: 0,
  executorRegistrationTimeout: 60_000,
  executorReregistrationTimeout: 2000,
  executorShutdownGracePeriod: 5000,
  recoveryTimeout: 900_000,
  updateRetryMin: 10_000,
  updateRetryMax: 600_000,
  agentRegistrationBackoff: 1000,
};
