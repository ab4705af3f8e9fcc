/**
 * Things that go wrong, on request: from a test in the same process, or over HTTP on any master.
 *
 *   POST /devcluster/faults   {"fault":"loseAgent","agent":0}
 *
 * An agent is named by its number, hostname or id; a master by its number.
 */
import type { Agent } from './agent.ts';
import type { Mischief } from './agent-options.ts';
import { answer, answerJson, HttpAnswer, type Request } from './http.ts';
import { awaitPings } from './membership.ts';
import { asRevocable, preempt } from './oversubscription.ts';
import type { Reconfiguration } from './reconfiguration.ts';
import { parseResources } from './resource-text.ts';
import type { Master, MasterLink } from './state.ts';

export interface Faults {
  /** Cuts the agent off; after the ping timeout it is unreachable. Its executors go on. */
  loseAgent(agent: AgentName): void;
  /** The network is back: within the timeout nothing happened, after it the agent registers again. */
  returnAgent(agent: AgentName): void;
  /** SIGKILL to the agent process. Its executors go on. */
  crashAgent(agent: AgentName): void;
  /** Starts it again, after a crash or in place of one; with other resources in its flags, if its policy lets it. */
  restartAgent(agent: AgentName, changed?: { resources: string; policy: Reconfiguration['policy'] }): Promise<void>;
  /** The agent ends in good order. */
  stopAgent(agent: AgentName): void;
  /** The agent's estimate of what may be used besides is another: `cpus:2;mem:512`, all of it. */
  oversubscribe(agent: AgentName, resources: string): void;
  /** The agent's QoS controller ends the executors that use such resources. */
  preempt(agent: AgentName): void;
  /** Breaks the stream of one framework, or of all, as a broken connection does. */
  dropStreams(frameworkId?: string): void;
  /** From now on, what happens to updates between agents and master. */
  disturbUpdates(mischief: Partial<Mischief>): void;
  /** SIGKILL to a master; the leader unless named. */
  killMaster(master?: number): void;
  /** Starts a master again that was killed, at its old port; nothing while it lives. */
  startMaster(master: number): Promise<void>;
}
export type AgentName = number | string;

/** What the faults may lay hands on. */
export interface Machinery {
  agents: readonly Agent[];
  mischief: Mischief;
  leader(): Master | undefined;
  link(): MasterLink | undefined;
  killMaster(index: number | undefined): void;
  startMaster(index: number): Promise<void>;
}

export function makeFaults(machinery: Machinery): Faults {
  const find = (name: AgentName): Agent => {
    const { agents } = machinery;
    const found =
      typeof name === 'number' ? agents[name] : agents.find((a) => a.id === name || a.options.hostname === name);
    if (!found) throw new HttpAnswer(404, `There is no agent '${name}'; there are ${agents.length}`);
    return found;
  };
  const booked = (agent: Agent) => (agent.id === undefined ? undefined : machinery.leader()?.agents.get(agent.id));
  return {
    loseAgent(name) {
      const agent = find(name);
      const master = machinery.leader();
      agent.partitioned = true;
      const known = booked(agent);
      if (!known || !master) return;
      known.partitioned = true;
      awaitPings(master, known);
    },
    returnAgent(name) {
      const agent = find(name);
      agent.partitioned = false;
      agent.join(machinery.link());
    },
    crashAgent: (name) => find(name).crash(),
    restartAgent: (name, changed) =>
      find(name).restart(
        machinery.link(),
        changed && { resources: parseResources(changed.resources), policy: changed.policy },
      ),
    stopAgent: (name) => find(name).leave(),
    oversubscribe(name, resources) {
      const agent = find(name);
      agent.estimate = asRevocable(parseResources(resources));
      if (agent.id !== undefined && !agent.partitioned) machinery.link()?.oversubscribed(agent.id, agent.estimate);
    },
    preempt: (name) => preempt(find(name).executors.values()),
    dropStreams(frameworkId) {
      for (const framework of machinery.leader()?.frameworks.values() ?? [])
        if (frameworkId === undefined || framework.id === frameworkId) framework.stream?.destroy();
    },
    disturbUpdates: (mischief) => void Object.assign(machinery.mischief, mischief),
    killMaster: (index) => machinery.killMaster(index),
    startMaster: (index) => machinery.startMaster(index),
  };
}

interface Order {
  fault?: string;
  agent?: AgentName;
  master?: number;
  framework?: string;
  delay?: number;
  copies?: number;
  resources?: string;
}

export async function handleFaults(faults: Faults, { method, headers, body, response }: Request): Promise<void> {
  if (method === 'GET') return answerJson(response, { faults: Object.keys(faults) });
  if (method !== 'POST') throw new HttpAnswer(405, 'Expecting GET or POST', { allow: 'GET, POST' });
  // A form of a web page cannot send this type, so no page can make faults.
  if (headers['content-type'] !== 'application/json') throw new HttpAnswer(415, 'Expecting application/json');
  await perform(faults, parse(body));
  answer(response, 200);
}

function parse(body: Buffer): Order {
  try {
    return JSON.parse(body.toString()) as Order;
  } catch (error) {
    throw new HttpAnswer(400, `Expecting JSON such as {"fault":"loseAgent","agent":0}: ${(error as Error).message}`);
  }
}

async function perform(faults: Faults, order: Order): Promise<void> {
  const { fault, agent = 0, master, framework, delay, copies, resources = '' } = order;
  switch (fault) {
    case 'loseAgent':
    case 'returnAgent':
    case 'crashAgent':
    case 'stopAgent':
    case 'preempt':
      return faults[fault](agent);
    case 'oversubscribe':
      return faults.oversubscribe(agent, resources);
    case 'restartAgent':
      return faults.restartAgent(agent, resources === '' ? undefined : { resources, policy: 'additive' });
    case 'dropStreams':
      return faults.dropStreams(framework);
    case 'disturbUpdates':
      return faults.disturbUpdates({
        ...(delay === undefined ? {} : { delay }),
        ...(copies === undefined ? {} : { copies }),
      });
    case 'killMaster':
      return faults.killMaster(master);
    case 'startMaster':
      return faults.startMaster(master ?? 0);
    default:
      throw new HttpAnswer(400, `There is no fault '${fault}'; there are ${Object.keys(faults).join(', ')}`);
  }
}
