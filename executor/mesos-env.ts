/** What the agent tells its executor by environment variables. Times in ms. */
export interface MesosEnv {
  frameworkId: string;
  executorId: string;
  agentId: string;
  /** `http://ip:port` of the agent, and its address alone. */
  agentUrl: string;
  agentIp: string;
  socketPath: string | undefined;
  sandbox: string;
  token: string | undefined;
  checkpoint: boolean;
  recoveryTimeout: number;
  backoffMax: number;
  shutdownGrace: number;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Throws an Error that names the variable that is missing or cannot be read. */
export function mesosEnv(env: Env): MesosEnv {
  const endpoint = needed(env, 'MESOS_AGENT_ENDPOINT');
  return {
    frameworkId: needed(env, 'MESOS_FRAMEWORK_ID'),
    executorId: needed(env, 'MESOS_EXECUTOR_ID'),
    agentId: needed(env, 'MESOS_SLAVE_ID'),
    agentUrl: `http://${endpoint}`,
    agentIp: endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
    socketPath: env.MESOS_DOMAIN_SOCKET || undefined,
    sandbox: env.MESOS_SANDBOX || env.MESOS_DIRECTORY || '',
    token: env.MESOS_EXECUTOR_AUTHENTICATION_TOKEN || undefined,
    checkpoint: env.MESOS_CHECKPOINT === '1',
    recoveryTimeout: time(env, 'MESOS_RECOVERY_TIMEOUT', 15 * 60_000),
    backoffMax: time(env, 'MESOS_SUBSCRIPTION_BACKOFF_MAX', 2_000),
    shutdownGrace: time(env, 'MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD', 5_000),
  };
}

function needed(env: Env, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`${name} is not set: an executor is started by a Mesos agent, which sets it`);
  return value;
}

const units: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  secs: 1000,
  mins: 60_000,
  hrs: 3_600_000,
  days: 86_400_000,
  weeks: 604_800_000,
};

/** `5secs`, `1.5mins`: as Mesos writes durations. */
function time(env: Env, name: string, fallback: number): number {
  const text = env[name];
  if (!text) return fallback;
  const match = /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(text);
  const unit = match && units[match[2]!];
  if (!match || unit === null || unit === undefined) throw new Error(`${name} is no duration of Mesos: "${text}"`);
  return Number(match[1]) * unit;
}
